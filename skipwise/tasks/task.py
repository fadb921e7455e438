"""The contract: (output, batch) → loss as (sum, count), and metrics as sums over a whole part.

Sums, because batches may differ in size and lie on different processes: a mean of means is wrong.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skipwise.data import Batch
from skipwise.shapes import Outputs, Scalar

LOWER = ("loss", "rmse")  # of which less is better


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """The frozen choice of what is learned.

    ``best_metric`` decides which weights are best, and is one of ``judges``.
    """

    judges: ClassVar[tuple[str, ...]]
    best_metric: str

    @property
    def higher(self) -> bool:
        """Whether more of the metric that decides is better."""
        return self.best_metric not in LOWER

    @abstractmethod
    def loss(self, output: Outputs, batch: Batch) -> tuple[Scalar, float | Tensor]:
        """Give the training loss summed over the batch, and what to divide it by."""

    @abstractmethod
    def tally(self, output: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Give float64 sums over the batch from which the metrics follow; batches add up."""

    @abstractmethod
    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Turn the sums over a whole part into metrics, ``loss`` among them."""

    def right(self, output: Outputs, batch: Batch) -> Tensor | None:
        """Count right answers, shape ``()``, on the device; None where no answer is just right."""
        return None

    def per_class(self, tally: Mapping[str, Tensor]) -> Mapping[str, Sequence[float]]:
        """Turn them into metrics class by class; nothing where there are no classes."""
        return {}


def ratios(right: Tensor, said: Tensor, true: Tensor) -> dict[str, Sequence[float]]:
    """Give precision, recall, F1 and the number of examples of each class, in their order.

    A ratio whose denominator is zero is zero, as in scikit-learn.

    Args:
        right: How often each class was said rightly, shape ``(classes,)``.
        said: How often it was said.
        true: How often it was true.
    """
    found = {
        "precision": right / said.clamp(min=1),
        "recall": right / true.clamp(min=1),
        "f1": 2 * right / (said + true).clamp(min=1),
    }
    counts = [int(n) for n in true.tolist()]
    return {**{name: ratio.tolist() for name, ratio in found.items()}, "examples": counts}


def same_shape(output: Tensor, wanted: tuple[int, ...], what: str) -> None:
    """Refuse an output that would be broadcast against its target.

    Raises:
        ValueError: If the shapes differ.
    """
    if tuple(output.shape) != wanted:
        raise ValueError(
            f"the network gives {tuple(output.shape)}, but {what} need {wanted};"
            " mend its last layer"
        )
