"""Which weights are best so far, and when to give up: choices that validation data make."""

import math
from dataclasses import dataclass
from typing import Any

from skipwise.records import EvaluationRecord


@dataclass(kw_only=True)
class Best:
    """The best validation result so far.

    Equal values of the metric are told apart by the loss, and of two equal in both the earlier
    stays: accuracy on a small validation part has many ties.

    Args:
        metric: Its name.
        higher: Whether more is better.
        patience: Stop after so many evaluations without a better one; 0 never stops.
    """

    metric: str
    higher: bool
    patience: int = 0
    value: float = math.nan
    loss: float = math.nan
    step: int = 0
    since: int = 0

    def improves(self, record: EvaluationRecord) -> bool:
        """Take an evaluation in, and say whether it is the best."""
        value, loss = record.metrics[self.metric], record.metrics["loss"]
        better = self.step == 0 or self._rank(value, loss) > self._rank(self.value, self.loss)
        if better:
            self.value, self.loss, self.step, self.since = value, loss, record.step, 0
        else:
            self.since += 1
        return better

    def _rank(self, value: float, loss: float) -> tuple[float, float]:
        known = -math.inf if math.isnan(value) else value if self.higher else -value
        return known, -loss

    @property
    def gives_up(self) -> bool:
        """Whether patience is at an end."""
        return 0 < self.patience <= self.since

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {
            "metric": self.metric,
            "value": self.value,
            "loss": self.loss,
            "step": self.step,
            "since": self.since,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state.

        Raises:
            ValueError: If it was judged by another metric.
        """
        before = state["metric"]
        if before != self.metric:
            raise ValueError(
                f"the best weights of the run were chosen by {before}, so it cannot go on by"
                f" {self.metric}; give metric back in experiment.yaml, or train anew"
            )
        self.value, self.loss = state["value"], state["loss"]
        self.step, self.since = state["step"], state["since"]
