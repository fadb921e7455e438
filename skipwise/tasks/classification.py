"""One class out of several: cross-entropy, and accuracy."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from skipwise.data import Batch
from skipwise.shapes import Outputs, Scalar
from skipwise.tasks.task import Task, same_shape


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Cross-entropy of the softmax of the outputs.

    Args:
        classes: Their number.
        label_smoothing: ε: the target is 1 − ε on the class and ε spread over all classes; in
            training only.

    Source: Szegedy et al. (2016), "Rethinking the Inception architecture", section 7 (label
    smoothing).
    """

    classes: int
    label_smoothing: float = 0.0
    best_metric = "accuracy"
    higher = True

    def __post_init__(self):
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing}")

    def loss(self, output: Outputs, batch: Batch) -> tuple[Scalar, float]:
        """Sum the cross-entropy, in nats."""
        same_shape(
            output, (len(batch), self.classes), f"{len(batch)} examples of {self.classes} classes"
        )
        smoothing = self.label_smoothing
        return cross_entropy(
            output.float(), batch.targets, reduction="sum", label_smoothing=smoothing
        ), len(batch)

    def tally(self, output: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Sum cross-entropy (without smoothing) and right answers."""
        same_shape(
            output, (len(batch), self.classes), f"{len(batch)} examples of {self.classes} classes"
        )
        right = (output.argmax(1) == batch.targets).double().sum()
        nats = cross_entropy(output.double(), batch.targets, reduction="sum")
        return {"loss": nats, "right": right, "count": right.new_tensor(len(batch))}

    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Give accuracy and mean cross-entropy."""
        count = float(tally["count"])
        return {"accuracy": float(tally["right"]) / count, "loss": float(tally["loss"]) / count}
