"""The barrier on the straight line between two sets of weights."""

from typing import Any

from torch import nn

from skipwise.analysis.curvature import objective
from skipwise.analysis.landscape.statistics import Statistics, checked, loss_here, words
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss
from skipwise.analysis.weights import Weights, pairs, place


def barrier(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    first: Weights,
    second: Weights,
    points: int = 21,
    statistics: Statistics = "recomputed",
    seed: int = 0,
) -> Measurement:
    """Measure ``max_a [L((1−a)θ₀ + aθ₁) − ((1−a)L(θ₀) + aL(θ₁))]``.

    At most 0 for a convex loss. Two runs without a barrier lie in one basin; but runs from two
    starts may differ only by the order of their units, and a barrier says nothing against either.

    Args:
        model: Any module; what it holds is put back.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        first: θ₀, a ``state_dict``.
        second: θ₁.
        points: On the line, both ends included.
        statistics: How BatchNorm normalises; ``stored`` mixes the two sets' statistics like the
            weights, which makes a barrier where there is none.
        seed: Of random layers.

    Returns:
        A row for each a: the loss, the straight line between the ends, and the height over it.

    Raises:
        ValueError: If there are fewer than 3 points or the weights are of another model, or see
            :func:`objective`.

    Source: Frankle et al. (2020), "Linear mode connectivity and the lottery ticket hypothesis";
    on statistics Jordan et al. (2023), "REPAIR".
    """
    checked(statistics)
    if points < 3:
        raise ValueError(f"points must be at least 3, both ends and one between; got {points}")
    pairs(first, second, model)
    mixable = pairs(first, second)
    shares = [index / (points - 1) for index in range(points)]
    training, losses = statistics == "batch", []
    with objective(model, batches, loss, training=training, weights=True, seed=seed) as held:
        for share in shares:
            mixed = {name: one.lerp(two.to(one), share) for name, (one, two) in mixable.items()}
            place(model, {**first, **mixed})
            losses.append(loss_here(held, statistics))
    return _record(shares, losses, statistics)


def _record(shares: list[float], losses: list[float], statistics: Statistics) -> Measurement:
    straight = [(1 - a) * losses[0] + a * losses[-1] for a in shares]
    heights = [here - chord for here, chord in zip(losses, straight, strict=True)]
    return Measurement(
        name="barrier between two sets of weights",
        formula="L((1−a)θ₀ + aθ₁) − ((1−a)L(θ₀) + aL(θ₁))",
        source="Frankle et al. (2020)",
        of="a",
        rows=tuple(f"{a:.3g}" for a in shares),
        columns={"loss": tuple(losses), "straight": tuple(straight), "height": tuple(heights)},
        figures={"barrier": max(heights), "at": shares[heights.index(max(heights))]},
        notes=(words(statistics),),
        positions=tuple(shares),
    )
