"""What a model loses between the data it was trained on and data it has not seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, Problem
from skipwise.analysis.batches import examples_of, posed
from skipwise.analysis.problem import Loss
from skipwise.analysis.spectra import mean_of

RARE = 1e-12  # stands for the share of a class that does not occur


@dataclass(frozen=True, kw_only=True)
class _Part:
    losses: tuple[float, ...]  # of examples, or of batches where these cannot be had
    hits: tuple[float, ...]
    examples: int
    guessed: float
    commonest: float


def generalisation(
    model: nn.Module, training: Any, validation: Any, loss: Loss | None = None, *, seed: int = 0
) -> Measurement:
    """Measure the loss on both parts in evaluation mode, and the gap with its standard error.

    The loss in training is of augmented examples, and with dropout, so it says nothing of the gap;
    both parts are evaluated anew here. The error of the gap is ``√(s_t²/n_t + s_v²/n_v)`` over the
    losses of single examples; where an output cannot be cut by example, over batches.

    Args:
        model: Any module.
        training: Batches (inputs, targets) of what it was trained on, without augmentation.
        validation: Batches of what it was not.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        seed: Of random layers.

    Returns:
        A row for each part: loss, its standard error, accuracy, examples. As figures the gap and
        its error; for classes also loss and accuracy of guessing, which knows only how common each
        class is in the validation part.

    Raises:
        ValueError: If there is no batch, or see ``analysis.pose``.
    """
    parts = {
        "training": _of_part(model, training, loss, seed),
        "validation": _of_part(model, validation, loss, seed),
    }
    means = {name: mean_of(part.losses) for name, part in parts.items()}
    hits = {name: mean_of(part.hits).value for name, part in parts.items()}
    seen, unseen = means["training"], means["validation"]
    return Measurement(
        name="between training and validation",
        formula="L_v − L_t, with √(s_t²/n_t + s_v²/n_v), in evaluation mode",
        source="Welch (1947) for the standard error",
        of="part",
        rows=tuple(parts),
        columns={
            "loss": tuple(mean.value for mean in means.values()),
            "standard error": tuple(mean.error for mean in means.values()),
            "accuracy": tuple(hits.values()),
            "examples": tuple(float(part.examples) for part in parts.values()),
        },
        figures={
            "gap": unseen.value - seen.value,
            "standard error of the gap": math.hypot(seen.error, unseen.error),
            "loss of guessing": parts["validation"].guessed,
            "accuracy of guessing": parts["validation"].commonest,
        },
    )


def _of_part(model: nn.Module, batches: Any, loss: Loss | None, seed: int) -> _Part:
    losses: list[float] = []
    hits: list[float] = []
    guesses: list[tuple[Tensor, int]] = []
    with posed(model, batches, loss, training=False, seed=seed) as problems, torch.no_grad():
        for problem in problems:
            output = problem.output()
            losses += _losses(problem, output)
            classes = _classes(problem, output)
            hits += [math.nan] if classes is None else _hits(output, problem.targets)
            if classes is not None:
                guesses.append((problem.targets, classes))
        guessed, commonest = _guessing(problems[0], guesses)
        examples = sum(map(examples_of, problems))
    return _Part(
        losses=tuple(losses),
        hits=tuple(hits),
        examples=examples,
        guessed=guessed,
        commonest=commonest,
    )


def _losses(problem: Problem, output: Any) -> list[float]:
    """Give each example's loss, or the batch's where the output cannot be cut by example."""
    count = examples_of(problem)
    both = output, problem.targets
    if not all(isinstance(t, Tensor) and t.dim() and len(t) == count for t in both):
        return [problem.loss(*both).item()]
    return [problem.loss(*(t[i : i + 1] for t in both)).item() for i in range(count)]


def _classes(problem: Problem, output: Any) -> int | None:
    """Count the classes, if outputs are scores of classes and targets their numbers."""
    targets = problem.targets
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor):
        return None
    whole = targets.dim() == 1 and not targets.is_floating_point()
    return output.shape[1] if whole and output.dim() == 2 else None


def _hits(output: Tensor, targets: Tensor) -> list[float]:
    return (output.argmax(1) == targets).double().tolist()


def _guessing(problem: Problem, seen: Sequence[tuple[Tensor, int]]) -> tuple[float, float]:
    """Give loss and accuracy of saying how common each class is; NaN without two classes."""
    if not seen:
        return math.nan, math.nan
    targets = torch.cat([targets for targets, _ in seen])
    shares = torch.bincount(targets, minlength=seen[0][1]) / len(targets)
    if int((shares > 0).sum()) < 2:
        return math.nan, math.nan  # sorted by class: nothing is known of the others
    shares = shares.clamp(min=RARE)
    # Of a softmax their logarithms are right, of a sigmoid a class their logits: the better ones.
    ways = (shares.log(), shares.logit())
    losses = [problem.loss(said.expand(len(targets), -1), targets).item() for said in ways]
    return min(losses), shares.max().item()
