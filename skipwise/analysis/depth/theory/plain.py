"""What theory expects along blocks without skips."""

import math
from collections.abc import Iterator

from skipwise.analysis.depth.meanfield import (
    BATCH_NORM_FACTOR,
    RELU,
    SIGMOID,
    TANH,
    Activation,
    backwards,
    passed_moment,
    passed_moment_linear,
    plain_spread,
    slope_factor,
    slope_spread,
)
from skipwise.analysis.depth.theory.curves import WIDE, correlations_of, curve
from skipwise.analysis.depth.theory.operations import strangers
from skipwise.analysis.depth.theory.stage import Stage
from skipwise.analysis.measurement import Theory


def plain(stage: Stage) -> Iterator[Theory]:
    """Give the theories of a stage without skips."""
    if not any(step.norms for step in stage.steps):
        yield from _plain(stage)
    elif stage.normed:
        yield _normed(stage)


def _plain(stage: Stage) -> Iterator[Theory]:
    activation: Activation = next((a for a in (TANH, SIGMOID) if stage.bent_by(a.name)), RELU)
    fits = (
        stage.bent_by(activation.name)
        and not stage.other_norms
        and all(len(step.bends) == len(step.layers) for step in stage.steps)
    )
    strange = strangers([activation.name], (*stage.other_norms, *stage.bends))
    condition = f"{WIDE}, {activation.name} after each and no norm{strange}"
    moments, factors, widths, seen = [stage.moment[0]], [], [0], []
    q = post = stage.moment[0]
    for step in stage.steps:
        factor = 1.0
        for layer in step.layers:
            q = passed_moment_linear(post, layer.weights, layer.biases)
            factor *= slope_factor(q, activation, layer.weights)
            post = passed_moment(q, activation, 1.0)
            seen.append(layer.width)
        moments.append(post)
        factors.append(factor)
        widths.append(len(seen))
    spreads = [plain_spread(seen[:count], activation, moments[-1] or 1.0) for count in widths]
    yield curve(
        f"plain, {activation.name}",
        "second moment",
        "q' = E φ(√(sw²q + sb²)·z)²",
        condition,
        tuple(moments),
        spreads,
        holds=fits,
        source="Poole et al. (2016), eq. 3; Hanin (2018) for the band",
    )
    squared = backwards(factors)
    yield curve(
        f"plain, {activation.name}",
        "gradient norm",
        "‖g_l‖² = χ·‖g_{l+1}‖², χ = sw²·E φ'(√q z)²",
        condition,
        tuple(stage.gradient[-1] * math.sqrt(s) for s in squared),
        [slope_spread(seen[count:], activation, q) / 2 for count in widths],
        holds=fits,
        source="Schoenholz et al. (2017), eq. 11",
    )
    if activation is RELU:
        yield from correlations_of(stage, [len(s.layers) for s in stage.steps], holds=fits)


def _normed(stage: Stage) -> Theory:
    counts = [step.norms for step in stage.steps]
    left = [sum(counts[number:]) for number in range(len(counts) + 1)]
    last = stage.gradient[-1]
    strange = strangers(["ReLU"], (*stage.other_norms, *stage.bends))
    return Theory(
        name="plain, BatchNorm–ReLU",
        column="gradient norm",
        formula="‖g_l‖² = π/(π−1)·‖g_{l+1}‖², 1.2112 a layer in the norm",
        condition=f"{WIDE}, ReLU after each norm (γ = 1, β = 0), training mode; band: what batches"
        f" of 64 give{strange}",
        values=tuple(last * BATCH_NORM_FACTOR ** (n / 2) for n in left),
        low=tuple(last * 1.43 ** (n / 2) for n in left),
        high=tuple(last * 1.55 ** (n / 2) for n in left),
        holds=stage.bent_by("ReLU") and not stage.other_norms and stage.unit,
        source="Yang et al. (2019), section 4",
    )
