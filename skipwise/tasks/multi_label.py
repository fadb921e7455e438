"""Any number of labels: a yes or no for each class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from skipwise.data import Batch
from skipwise.shapes import Outputs, Scalar
from skipwise.tasks.task import Task, ratios, same_shape


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Task):
    """Cross-entropy of the sigmoid of each output, the mean over the classes of an example.

    The mean, not the sum, so that a learning rate fits ten classes and a hundred alike. A label is
    given where its probability is at least one half.

    Args:
        classes: Their number.
        best_metric: What decides which weights are best.
    """

    classes: int
    best_metric: str = "f1"
    judges = ("f1", "precision", "recall", "exact", "loss")

    def loss(self, output: Outputs, batch: Batch) -> tuple[Scalar, float | Tensor]:
        """Sum over examples the mean over classes, in nats."""
        nats = self._nats(output.float(), batch)
        return nats, len(batch)

    def tally(self, output: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Sum cross-entropy, and for each class what was given rightly, given, and true."""
        nats = self._nats(output.double(), batch)
        given, true = output >= 0, batch.targets > 0.5
        return {
            "loss": nats,
            "both": (given & true).double().sum(0),
            "given": given.double().sum(0),
            "true": true.double().sum(0),
            "exact": (given == true).all(1).double().sum(),
            "count": nats.new_full((), len(batch)),
        }

    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Give F1, precision and recall as means over classes, exact matches, and the loss."""
        count, columns = float(tally["count"]), self.per_class(tally)
        return {
            **{name: fmean(columns[name]) for name in ("f1", "precision", "recall")},
            "exact": float(tally["exact"]) / count,
            "loss": float(tally["loss"]) / count,
        }

    def per_class(self, tally: Mapping[str, Tensor]) -> Mapping[str, Sequence[float]]:
        """Give precision, recall, F1 and the number of examples of each class."""
        return ratios(tally["both"], tally["given"], tally["true"])

    def _nats(self, output: Tensor, batch: Batch) -> Tensor:
        same_shape(
            output, (len(batch), self.classes), f"{len(batch)} examples of {self.classes} labels"
        )
        targets = batch.targets.to(output.dtype)
        return binary_cross_entropy_with_logits(output, targets, reduction="sum") / self.classes
