"""One class out of several: the loss, accuracy, and what else is asked of a classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from skipwise.data import Batch
from skipwise.shapes import Outputs, Scalar
from skipwise.tasks.task import Task, ratios, same_shape

BINS = 15  # of the calibration error
CROSS_ENTROPY, BINARY = "cross-entropy", "binary"


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Cross-entropy of the softmax of the outputs, or of the sigmoid of each.

    The binary one of an example is ``−1/C Σ_c [t_c log σ(o_c) + (1 − t_c) log(1 − σ(o_c))]`` with
    outputs o, targets t and C classes: the mean over the classes, as timm has it, not the sum. It
    is the loss of training only: evaluations and probabilities are those of the softmax.

    Args:
        classes: Their number.
        label_smoothing: ε: the target is 1 − ε on the class and ε spread over all classes; in
            training only.
        objective: Of training: ``"cross-entropy"`` or ``"binary"``.
        weights: Weight of each class in the training loss; all one if empty.
        best_metric: What decides which weights are best.

    Source: Szegedy et al. (2016), "Rethinking the Inception architecture", section 7 (label
    smoothing); Guo et al. (2017), "On calibration of modern neural networks", eq. 3;
    Wightman et al. (2021), "ResNet strikes back", and timm's ``BinaryCrossEntropy`` (binary).
    Differs: mixed targets stay shares, timm can also set those above a threshold to 1.
    """

    classes: int
    label_smoothing: float = 0.0
    objective: str = CROSS_ENTROPY
    weights: tuple[float, ...] = ()
    best_metric: str = "accuracy"
    judges = ("accuracy", "balanced_accuracy", "f1", "loss")

    def __post_init__(self):
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing}")
        if self.objective not in (CROSS_ENTROPY, BINARY):
            raise ValueError(
                f"objective must be one of {CROSS_ENTROPY}, {BINARY}, got {self.objective!r}"
            )
        if self.weights and len(self.weights) != self.classes:
            raise ValueError(f"{self.classes} classes need as many weights, got {self.weights}")

    def loss(self, output: Outputs, batch: Batch) -> tuple[Scalar, float | Tensor]:
        """Sum the loss, in nats; targets are class numbers, or shares of the classes.

        Weights of classes weigh the terms of the cross-entropy; of the binary one they weigh whole
        examples, mixed ones by their shares.
        """
        self._check(output, batch)
        weights = _placed(self.weights, output.device) if self.weights else None
        if self.objective == BINARY:
            return self._binary(output.float(), batch, weights)
        total = cross_entropy(
            output.float(),
            batch.targets,
            weight=weights,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        if weights is None:
            return total, len(batch)
        mixed = batch.targets.is_floating_point()
        return total, (batch.targets @ weights if mixed else weights[batch.targets]).sum()

    def _binary(
        self, output: Tensor, batch: Batch, weights: Tensor | None
    ) -> tuple[Scalar, float | Tensor]:
        targets = batch.targets
        shares = targets if targets.is_floating_point() else one_hot(targets, self.classes)
        shares = shares.to(output.dtype)
        smooth = (1 - self.label_smoothing) * shares + self.label_smoothing / self.classes
        each = binary_cross_entropy_with_logits(output, smooth, reduction="none").mean(1)
        if weights is None:
            return each.sum(), len(batch)
        weight = (shares * weights).sum(1)
        return (weight * each).sum(), weight.sum()

    def right(self, output: Outputs, batch: Batch) -> Tensor | None:
        """Count where the largest output is the class; None for targets that are shares."""
        if batch.targets.is_floating_point():
            return None
        return (output.argmax(1) == batch.targets).sum()

    def tally(self, output: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Sum cross-entropy (without smoothing or weights), right answers and what goes with them.

        ``right``, ``said`` and ``are`` count by class; ``bin_*`` by the answer's probability.
        """
        self._check(output, batch)
        targets, logits = batch.targets, output.double()
        nats = cross_entropy(logits, targets, reduction="sum")
        probability, answer = logits.softmax(1).max(1)
        hit = (answer == targets).double()
        # Bins are open at their lower end, as in Guo et al.: (m − 1)/M < p ≤ m/M.
        bins = ((probability * BINS).ceil().long() - 1).clamp(0, BINS - 1)
        empty = logits.new_zeros(self.classes)
        per_bin = logits.new_zeros(BINS)
        return {
            "loss": nats,
            "count": hit.new_full((), len(batch)),
            "top5": _among_first(logits, targets, 5),
            "right": empty.index_add(0, targets, hit),
            "said": empty.index_add(0, answer, torch.ones_like(hit)),
            "are": empty.index_add(0, targets, torch.ones_like(hit)),
            "bin_probability": per_bin.index_add(0, bins, probability),
            "bin_right": per_bin.index_add(0, bins, hit),
        }

    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Give the accuracies, mean cross-entropy, macro F1 and calibration error.

        Balanced accuracy is the mean recall of the classes that occur.
        """
        count = float(tally["count"])
        found = {
            "accuracy": float(tally["right"].sum()) / count,
            "loss": float(tally["loss"]) / count,
        }
        if self.classes > 5:
            found["top5"] = float(tally["top5"]) / count
        there = tally["are"] > 0
        recalls = tally["right"][there] / tally["are"][there]
        found["balanced_accuracy"] = float(recalls.mean())
        gaps = (tally["bin_probability"] - tally["bin_right"]).abs()
        found["f1"] = fmean(self.per_class(tally)["f1"])
        found["calibration_error"] = float(gaps.sum()) / count
        return found

    def per_class(self, tally: Mapping[str, Tensor]) -> Mapping[str, Sequence[float]]:
        """Give precision, recall, F1 and the number of examples of each class."""
        return ratios(tally["right"], tally["said"], tally["are"])

    def _check(self, output: Outputs, batch: Batch) -> None:
        what = f"{len(batch)} examples of {self.classes} classes"
        same_shape(output, (len(batch), self.classes), what)


@lru_cache(maxsize=8)
def _placed(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """Copy weights to a device once: a copy in each step would wait for it."""
    return torch.tensor(weights, dtype=torch.float32, device=device)


def balanced(counts: Sequence[int]) -> tuple[float, ...]:
    """Weigh classes so that each has the same share in the loss: n / (classes · n_c).

    Raises:
        ValueError: If a class has no example.
    """
    if min(counts) < 1:
        raise ValueError(
            f"class {list(counts).index(min(counts))} has no training example, so no weight"
            " balances it; add some, or remove the class"
        )
    return tuple(sum(counts) / (len(counts) * count) for count in counts)


def _among_first(logits: Tensor, targets: Tensor, first: int) -> Tensor:
    places = min(first, logits.shape[1])
    return (logits.topk(places, dim=1).indices == targets[:, None]).any(1).double().sum()
