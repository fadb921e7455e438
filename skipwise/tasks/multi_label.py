"""Any number of labels: a yes or no for each class."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from skipwise.data import Batch
from skipwise.shapes import Outputs, Scalar
from skipwise.tasks.task import Task, same_shape


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Task):
    """Cross-entropy of the sigmoid of each output, the mean over the classes of an example.

    The mean, not the sum, so that a learning rate fits ten classes and a hundred alike. A label is
    given where its probability is at least one half.

    Args:
        classes: Their number.
    """

    classes: int
    best_metric = "f1"
    higher = True

    def loss(self, output: Outputs, batch: Batch) -> tuple[Scalar, float]:
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
            "count": nats.new_tensor(len(batch)),
        }

    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Give F1, precision and recall as means over classes, exact matches, and the loss.

        What has no denominator, the precision of a class that was never given for example, is 0.
        """
        both, given, true = tally["both"], tally["given"], tally["true"]
        count = float(tally["count"])

        def mean_ratio(above: Tensor, below: Tensor) -> float:
            return float(torch.where(below > 0, above / below.clamp(min=1), 0.0).mean())

        return {
            "f1": mean_ratio(2 * both, given + true),
            "precision": mean_ratio(both, given),
            "recall": mean_ratio(both, true),
            "exact": float(tally["exact"]) / count,
            "loss": float(tally["loss"]) / count,
        }

    def _nats(self, output: Tensor, batch: Batch) -> Tensor:
        same_shape(
            output, (len(batch), self.classes), f"{len(batch)} examples of {self.classes} labels"
        )
        targets = batch.targets.to(output.dtype)
        return binary_cross_entropy_with_logits(output, targets, reduction="sum") / self.classes
