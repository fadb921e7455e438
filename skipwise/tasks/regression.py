"""Numbers: the squared distance of output and target.

With a network whose outermost level is a skip, ``F(x) + x``, this is residual learning as an
objective: min over F of 1/N Σ‖y − (F(x) + x)‖².
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from skipwise.data import Batch
from skipwise.shapes import Outputs, Scalar
from skipwise.tasks.task import Task, same_shape


@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """``1/N Σ‖y − output‖²``, the norm over all numbers of an example, the mean over examples.

    Args:
        unit: What targets were divided by before; the RMS error is given in their own units.
        best_metric: What decides which weights are best.
    """

    unit: float = 1.0
    best_metric: str = "loss"
    judges = ("loss", "rmse", "r2")

    def loss(self, output: Outputs, batch: Batch) -> tuple[Scalar, float | Tensor]:
        """Sum the squared distances."""
        same_shape(output, tuple(batch.targets.shape), "targets")
        return (batch.targets - output.float()).square().sum(), len(batch)

    def tally(self, output: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Sum squared distances, and what the variance of the targets needs."""
        same_shape(output, tuple(batch.targets.shape), "targets")
        targets = batch.targets.double()
        squares = (targets - output.double()).square().sum()
        count = squares.new_full((), len(batch))
        return {
            "squares": squares,
            "count": count,
            "first": targets.sum(0),
            "second": targets.square().sum(0),
        }

    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Give the objective, the RMS error of one number, and R² against each output's mean."""
        squares, count = float(tally["squares"]), float(tally["count"])
        spread = float((tally["second"] - tally["first"].square() / count).sum())
        numbers = count * tally["first"].numel()
        r2 = 1 - squares / spread if spread > 0 else float("nan")
        return {"loss": squares / count, "rmse": self.unit * (squares / numbers) ** 0.5, "r2": r2}
