"""What a linear classifier reads off the state at each depth."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skipwise.analysis.batches import posed
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.state.observed import run_and_see

STRENGTHS = tuple(10.0**power for power in range(-2, 5))


def linear_probes(
    model: nn.Module,
    batches: Any,
    *,
    sites: Sites | str | None = None,
    training: bool = False,
    seed: int = 0,
) -> Measurement:
    """Measure how well classes are told apart by a linear map of each block's output.

    The output is averaged over positions, standardised, and a ridge regression onto the classes is
    fitted to every second example, its strength chosen among them by leaving one out; the accuracy
    is that of the other half. The state saturates at the first block whose accuracy is within one
    standard error of the best.

    Args:
        model: Any module.
        batches: A pair (inputs, classes), or several; take some hundred examples.
        sites: The blocks, a pattern of their names, or None to find them.
        training: In evaluation mode, or in training mode.
        seed: Of random layers.

    Returns:
        A row for each block: accuracy, its standard error, and the accuracy on what was fitted.

    Raises:
        ValueError: If the targets are no classes, or fewer than two are in a half, or see
            :func:`posed`.

    Source: Alain and Bengio (2016), "Understanding intermediate layers using linear classifier
    probes". Differs: ridge regression, which has a closed form.
    """
    states: dict[str, list[Tensor]] = defaultdict(list)
    with posed(model, batches, training=training, seed=seed) as problems:
        names = as_sites(problems[0].model, sites).names
        classes = np.concatenate([_classes(problem.targets) for problem in problems])
        for problem in problems:
            run_and_see(
                problem, names, lambda name, s: states[name].append(s.mean(1).float().cpu())
            )
        if len(set(classes[::2].tolist())) < 2:
            raise ValueError("the examples are of one class, so there is nothing to tell apart")
        # Within, because importing scikit-learn draws numbers.
        found = [_accuracies(torch.cat(states[name]).numpy(), classes) for name in names]
    return _record(names, found, classes)


def _record(
    names: Sequence[str], found: Sequence[tuple[float, float]], classes: np.ndarray
) -> Measurement:
    tested = len(classes[1::2])
    accuracy = [test for _, test in found]
    errors = [math.sqrt(max(a * (1 - a), 0.0) / tested) for a in accuracy]
    best = accuracy.index(max(accuracy))
    saturated = next(i for i, a in enumerate(accuracy) if a >= accuracy[best] - errors[best])
    counts = np.unique(classes[1::2], return_counts=True)[1]
    return Measurement(
        name="linear probes",
        formula="accuracy of a ridge classifier on the mean over positions of each block's output",
        source="Alain and Bengio (2016)",
        rows=tuple(names),
        columns={
            "accuracy": tuple(accuracy),
            "standard error": tuple(errors),
            "on what was fitted": tuple(fitted for fitted, _ in found),
        },
        figures={
            "saturates at block": float(saturated),
            "best accuracy": accuracy[best],
            "largest class": float(counts.max() / tested),
            "examples fitted": float(len(classes) - tested),
        },
    )


def _classes(targets: Any) -> np.ndarray:
    whole = isinstance(targets, Tensor) and targets.dim() == 1 and not targets.is_floating_point()
    if not whole:
        raise ValueError(
            "probes tell classes apart, so targets must be one whole number an example; for other"
            " targets compare states with state_similarity"
        )
    return targets.cpu().numpy()


def _accuracies(states: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """Fit every second example; give the accuracy on these and on the others."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), RidgeClassifierCV(STRENGTHS))
    probe.fit(states[::2], classes[::2])
    return (
        float(probe.score(states[::2], classes[::2])),
        float(probe.score(states[1::2], classes[1::2])),
    )
