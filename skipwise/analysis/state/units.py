"""Units that never fire, with what that proves, and units that hardly do."""

import math
from typing import Any, final

import torch
from torch import Tensor, nn

from skipwise.analysis.batches import examples_of, posed
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.state.observed import SILENT_NORM, SUM, watched

DORMANT = 0.025


@final
class Tally:
    """Sums over examples for one activation, by unit: what fired, and the mean magnitude."""

    def __init__(self, *, rectifies: bool, units: int, origin: str = ""):
        self.rectifies, self.origin = rectifies, origin
        self.fired = torch.zeros(units, dtype=torch.int64)
        self.magnitude = torch.zeros(units, dtype=torch.float64)


def firing_bound(examples: int, confidence: float = 0.95) -> float:
    """Give the largest probability of firing that agrees with not one firing in N examples.

    ``1 − (1 − confidence)^(1/N) ≤ −ln(1 − confidence)/N``, for 95 % less than 3/N.

    >>> firing_bound(1000) < 3 / 1000
    True

    Raises:
        ValueError: If there is no example.

    Source: Hanley and Lippman-Hand (1983), "If nothing goes wrong, is everything all right?".
    """
    if examples < 1:
        raise ValueError("nothing can be said from no example; give a batch")
    return -math.expm1(math.log1p(-confidence) / examples)


def silenced_probability(width: int, depth: int) -> float:
    """Give the probability that some layer of a ReLU network is all zero for a given input.

    At the start, with symmetric weights and no biases, each unit is off with probability ½:
    ``1 − (1 − 2^−width)^depth``. Such a network is constant near that input and learns nothing
    from it.

    Source: Lu et al. (2019), "Dying ReLU and initialization".
    """
    return -math.expm1(depth * math.log1p(-(2.0**-width)))


def units(
    model: nn.Module,
    batches: Any,
    *,
    dormant: float = DORMANT,
    training: bool = False,
    seed: int = 0,
) -> Measurement:
    """Count dead and dormant units of every activation.

    A unit is a channel where there are positions. It is dead if its output is exactly zero at every
    position of every example (of ReLU and its kin, whose gradient is zero there too), which says
    with 95 % confidence that it fires for less than 3/N of all examples, if these are independent.
    It is dormant if its score ``E|hᵢ| / meanⱼ E|hⱼ|`` is at most a threshold.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several; the targets are not used.
        dormant: The threshold; a layer without any output is dormant altogether.
        training: In evaluation mode, or in training mode.
        seed: Of random layers.

    Returns:
        A row for each activation: the shares of dead (NaN where none can be) and dormant units,
        how often a unit fires for an example, and (1 or 0) whether the activation stands behind a
        sum, or behind a norm whose scale is zero.

    Raises:
        ValueError: If the model computes no activation that is known, or see :func:`posed`.

    Source: Sokar et al. (2023), "The dormant neuron phenomenon", definition 3.1.
    """
    tallies: dict[str, Tally] = {}

    def see(name: str, rectifies: bool, origin: str, values: Tensor) -> None:
        fresh = Tally(rectifies=rectifies, units=values.shape[-1], origin=origin)
        tally = tallies.setdefault(name, fresh)
        tally.fired = tally.fired.to(values.device) + (values != 0).any(1).sum(0)
        magnitude = values.abs().mean(1, dtype=torch.float64).sum(0)
        tally.magnitude = tally.magnitude.to(values.device) + magnitude

    with posed(model, batches, training=training, seed=seed) as problems, torch.no_grad():
        for problem in problems:
            with watched(problem.model, see):
                problem.output()
        examples = sum(map(examples_of, problems))
    if not tallies:
        name = type(model).__name__
        raise ValueError(f"{name} computes no activation that is known, so no unit can be dead")
    return _table(tallies, examples, dormant)


def _table(tallies: dict[str, Tally], examples: int, dormant: float) -> Measurement:
    counts = [len(tally.fired) for tally in tallies.values()]
    dead = [
        int((tally.fired == 0).sum()) if tally.rectifies else math.nan for tally in tallies.values()
    ]
    scores = [tally.magnitude / tally.magnitude.mean() for tally in tallies.values()]
    # 0/0 where a layer gives nothing at all: not above any threshold.
    asleep = [int((~(score > dormant)).sum()) for score in scores]
    known = [(d, n) for d, n in zip(dead, counts, strict=True) if not math.isnan(d)]
    firing = [(tally.fired / examples).mean().item() for tally in tallies.values()]
    figures = {
        "examples": float(examples),
        "dead": float(sum(d for d, _ in known)),
        "of units": float(sum(n for _, n in known)),
        "a dead unit fires at most": firing_bound(examples),
    }
    return Measurement(
        name="dead and dormant units",
        formula=f"dead: h = 0 on all examples; dormant: E|hᵢ| / meanⱼ E|hⱼ| ≤ {dormant:g}",
        source="Sokar et al. (2023); Hanley and Lippman-Hand (1983)",
        of="activation",
        rows=tuple(tallies),
        columns={
            "dead": tuple(d / n for d, n in zip(dead, counts, strict=True)),
            "dormant": tuple(a / n for a, n in zip(asleep, counts, strict=True)),
            "fires": tuple(firing),
            "units": tuple(map(float, counts)),
            "after a sum": tuple(float(tally.origin == SUM) for tally in tallies.values()),
            "after zero scale": tuple(
                float(tally.origin == SILENT_NORM) for tally in tallies.values()
            ),
        },
        figures=figures,
        notes=(
            f"a unit that is dead on {examples} independent examples fires for less than"
            f" {3 / examples:.2g} of all, with 95 % confidence",
        ),
    )
