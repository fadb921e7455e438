"""What theory expects along a stage of a network, read off its structure and its weights.

The facts of a stage decide which theory speaks of it: with skips or without, with BatchNorm or
without, ReLU or tanh, and whether something follows the sum. The theory takes the network's own
weights, so that a start other than He's has its own curve. Where a stage has what the theory does
not know, another norm or activation, it does not hold, and its condition says why.
"""

import math
from collections.abc import Iterator, Sequence

from skipwise.analysis.depth.meanfield import (
    BATCH_NORM_FACTOR,
    RELU,
    SIGMOID,
    TANH,
    VARIANCE_STEP,
    Activation,
    backwards,
    crossing_spread,
    forwards,
    passed_moment,
    plain_spread,
    rectified_sums,
    relu_correlation,
    residual_spread,
    scales,
    slope_factor,
    slope_spread,
)
from skipwise.analysis.depth.theory.operations import strangers
from skipwise.analysis.depth.theory.stage import Layer, Stage, Step
from skipwise.analysis.measurement import Theory

WIDE = "wide layers with independent random weights, as at the start of training"
UNIT = 0.5  # E ReLU(z)² of a standard Gaussian, what BatchNorm–ReLU leaves


def expectations(stage: Stage) -> Iterator[Theory]:
    """Give every theory that speaks of such a stage, with whether its condition is met."""
    if not stage.steps:
        return
    if stage.plain and not any(step.norms for step in stage.steps):
        yield from _plain(stage)
    elif stage.plain and stage.normed:
        yield from _plain_normed(stage)
    elif stage.skip and not any(step.norms for step in stage.steps):
        yield from _residual(stage)
    elif stage.skip and stage.normed:
        yield from _residual_normed(stage)
    if stage.skip and all(step.after == ("ReLU",) for step in stage.steps):
        yield _rectified(stage)


def distances(stage: Stage) -> dict[str, float]:
    """Give how far the stage is from each design: the root mean square of logarithms' differences.

    Compared are the second moment, relative to the first block, and the squared gradient, relative
    to the last; designs with skips are compared with stages that have them, plain ones with plain.
    """
    blocks = len(stage.steps)
    if not blocks or not (stage.skip or stage.plain):
        return {}
    found = {}
    for name, (forward, backward) in _designs(stage, blocks).items():
        pairs = [
            *zip(stage.moment, (stage.moment[0] * f for f in forward), strict=True),
            *zip(
                (g * g for g in stage.gradient),
                (stage.gradient[-1] ** 2 * b for b in backward),
                strict=True,
            ),
        ]
        if all(a > 0 and b > 0 and math.isfinite(a) for a, b in pairs):
            squares = [math.log(a / b) ** 2 for a, b in pairs]
            found[name] = math.sqrt(sum(squares) / len(squares))
    return found


def _designs(stage: Stage, blocks: int) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    flat = (1.0,) * (blocks + 1)
    layers = max(len(stage.steps[0].bends), 1)
    if stage.plain:
        factor = BATCH_NORM_FACTOR**layers
        exploding = backwards([factor] * blocks)
        return {"plain, He": (flat, flat), "plain, BatchNorm": (flat, exploding)}
    found = {}
    for name in ("unscaled", "1/√L", "1/L", "decreasing", "identity"):
        factors = [1 + scale for scale in scales(name, blocks)]
        found[f"residual, {name}"] = (forwards(factors), backwards(factors))
    start = stage.moment[0]
    spread = stage.variance[0]
    if not (start > 0 and spread > 0):  # one example, or nothing at all: no batch to normalise over
        return found
    factors = [
        1 + BATCH_NORM_FACTOR ** (layers - 1) / (spread + VARIANCE_STEP * block)
        for block in range(blocks)
    ]
    grown = tuple(1 + block / start for block in range(blocks + 1))
    return {**found, "residual, BatchNorm": (grown, backwards(factors))}


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
            q = passed_moment_linear(post, layer)
            factor *= slope_factor(q, activation, layer.weights)
            post = passed_moment(q, activation, 1.0)
            seen.append(layer.width)
        moments.append(post)
        factors.append(factor)
        widths.append(len(seen))
    spreads = [plain_spread(seen[:count], activation, moments[-1] or 1.0) for count in widths]
    yield _theory(
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
    yield _theory(
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
        yield from _correlation(stage, fits, [len(step.layers) for step in stage.steps])


def passed_moment_linear(moment: float, layer: Layer) -> float:
    """Give ``sw²·m + sb²``, the second moment behind a matrix, from that before it."""
    return layer.weights * moment + layer.biases


def _plain_normed(stage: Stage) -> Iterator[Theory]:
    counts = [step.norms for step in stage.steps]
    left = [sum(counts[number:]) for number in range(len(counts) + 1)]
    last = stage.gradient[-1]
    strange = strangers(["ReLU"], (*stage.other_norms, *stage.bends))
    yield Theory(
        name="plain, BatchNorm–ReLU",
        column="gradient norm",
        formula="‖g_l‖² = π/(π−1)·‖g_{l+1}‖², 1.2112 a layer in the norm",
        condition=f"{WIDE}, ReLU after each norm, training mode; band: what batches of 64 give"
        f"{strange}",
        values=tuple(last * BATCH_NORM_FACTOR ** (n / 2) for n in left),
        low=tuple(last * 1.43 ** (n / 2) for n in left),
        high=tuple(last * 1.55 ** (n / 2) for n in left),
        holds=stage.bent_by("ReLU") and not stage.other_norms,
        source="Yang et al. (2019), section 4",
    )


def _residual(stage: Stage) -> Iterator[Theory]:
    gains = [step.gain for step in stage.steps]
    factors = [1 + gain for gain in gains]
    fits = not stage.other_norms and all(step.ends and not step.after for step in stage.steps)
    condition = f"{WIDE}, nothing after the sum, branches that end in a matrix and have no norm"
    unknown = strangers([], stage.other_norms)
    bent = strangers(["ReLU"], (*stage.other_norms, *stage.bends))
    depth = max(len(stage.steps[0].layers), 1)
    spreads = residual_spread(gains, stage.width, depth)
    crossing = crossing_spread(gains, stage.width)
    # What ‖F‖² is by chance stands in the measured gains too, and not in the gradient's own.
    against = [math.sqrt(2 * s * s - c * c) for s, c in zip(spreads, crossing, strict=True)]
    yield _theory(
        "residual",
        "second moment",
        "q' = (1 + a)·q, a = E F²/E x² as measured",
        f"{condition}{unknown}",
        tuple(stage.moment[0] * f for f in forwards(factors)),
        crossing,
        holds=fits,
        source="De, Smith (2020), section 3; Zhang et al. (2019), section 2",
    )
    relu = fits and stage.bent_by("ReLU")
    squared = backwards(factors)
    yield _theory(
        "residual",
        "gradient norm",
        "‖g_l‖² = (1 + a)·‖g_{l+1}‖², the forward factor",
        f"{condition}; ReLU or linear branches{bent}",
        tuple(stage.gradient[-1] * math.sqrt(s) for s in squared),
        _remaining(against),
        _remaining(crossing),
        holds=relu or (fits and all(not step.bends for step in stage.steps)),
        source="Taki (2017), section 3; Zhang et al. (2019)",
    )
    if stage.bent_by("ReLU"):
        yield from _correlation(stage, relu, [len(step.bends) for step in stage.steps])


def _residual_normed(stage: Stage) -> Iterator[Theory]:
    fits = stage.bent_by("ReLU") and not stage.other_norms
    fits = fits and all(step.ends and not step.after for step in stage.steps)
    strange = strangers(["ReLU"], (*stage.other_norms, *stage.bends))
    condition = (
        f"{WIDE}, BatchNorm–ReLU before each matrix, nothing after the sum, training mode{strange}"
    )
    added = [_written(step) for step in stage.steps]
    sums = [sum(added[:count]) for count in range(len(added) + 1)]
    moments = tuple(stage.moment[0] + s for s in sums)
    variances = tuple(stage.variance[0] + VARIANCE_STEP * s for s in sums)
    shares = [a / v for a, v in zip(added, variances, strict=False)]
    spreads = residual_spread(shares, stage.width)
    bends = [max(len(step.bends), 1) for step in stage.steps]
    for column, values, formula in (
        ("second moment", moments, "q' = q + 1 (times the last matrix's sw²/2)"),
        ("channel variance", variances, "v' = v + 1 − 1/π (times the last matrix's sw²/2)"),
    ):
        yield _theory(
            "residual, BatchNorm",
            column,
            formula,
            condition,
            values,
            spreads,
            holds=fits,
            source="De, Smith (2020), section 3",
        )
    factors = [
        1 + BATCH_NORM_FACTOR ** (count - 1) * share
        for count, share in zip(bends, shares, strict=True)
    ]
    yield _theory(
        "residual, BatchNorm",
        "gradient norm",
        "‖g_l‖² = (1 + (π/(π−1))^(k−1)/(v₀ + (1 − 1/π)·l))·‖g_{l+1}‖²",
        condition,
        tuple(stage.gradient[-1] * math.sqrt(s) for s in backwards(factors)),
        _remaining(spreads),
        holds=fits,
        source="own derivation from De, Smith (2020) and Yang et al. (2019)",
    )


def _rectified(stage: Stage) -> Theory:
    """Give the recursion of the original block, whose sum passes a ReLU; it has no closed form."""
    added = [s.gain * moment for s, moment in zip(stage.steps, stage.moment, strict=False)]
    return Theory(
        name="residual, ReLU after the sum",
        column="second moment",
        formula="q' = E ReLU(x + z)² ≤ q + E z², the bound; z Gaussian, E z² = E F² as measured",
        condition=f"{WIDE}, branches that end in a matrix or BatchNorm, a stream that begins as"
        f" the ReLU of a Gaussian{strangers([], stage.other_norms)}",
        values=rectified_sums(stage.moment[0], added),
        holds=not stage.other_norms and all(step.ends or step.norms for step in stage.steps),
        source="own recursion on the law of x; the bound from De, Smith (2020), section 3",
    )


def _written(step: Step) -> float:
    """Give the second moment that a normed branch writes: sw²/2 behind BatchNorm–ReLU–W."""
    return step.layers[-1].weights * UNIT if step.ends and step.layers else 1.0


def _correlation(stage: Stage, holds: bool, bends: Sequence[int]) -> Iterator[Theory]:
    found = [stage.correlation[0]]
    for step, count in zip(stage.steps, bends, strict=True):
        bent = found[-1]
        for _ in range(count):
            bent = relu_correlation(bent)
        found.append((found[-1] + step.gain * bent) / (1 + step.gain) if step.skip else bent)
    yield Theory(
        name="ReLU",
        column="correlation",
        formula="c' = (c + a·R(c))/(1 + a); plain: c' = R(c)",
        condition=f"{WIDE}, no bias{strangers(['ReLU'], (*stage.other_norms, *stage.bends))}",
        values=tuple(found),
        holds=holds,
        source="Cho, Saul (2009), eq. 6",
    )


def _remaining(spreads: Sequence[float]) -> list[float]:
    """Give the deviation of log‖g‖ at every block from those of log‖x‖²: what is still to come."""
    return [math.sqrt(max(spreads[-1] ** 2 - s * s, 0)) / 2 for s in spreads]


def _theory(
    name: str,
    column: str,
    formula: str,
    condition: str,
    values: tuple[float, ...],
    spreads: Sequence[float],
    unmeasured: Sequence[float] | None = None,
    *,
    holds: bool,
    source: str,
) -> Theory:
    """Join a curve with its band of two standard deviations of its logarithm.

    The curve is a mean over networks, of q or of ‖g‖². With s the standard deviation of log q (of
    log‖g‖) one network's logarithm lies s²/2 (s²) lower in the mean, and there the band is centred.
    ``unmeasured`` is the part of s that measured gains do not take up already; all of it if None.
    """
    fall = 1.0 if column == "gradient norm" else 0.5
    lower = spreads if unmeasured is None else unmeasured
    centres = [v * math.exp(-fall * s * s) for v, s in zip(values, lower, strict=True)]
    return Theory(
        name=name,
        column=column,
        formula=formula,
        condition=f"{condition}; band of ±2 standard deviations for one network of this width",
        values=values,
        low=tuple(c * math.exp(-2 * s) for c, s in zip(centres, spreads, strict=True)),
        high=tuple(c * math.exp(2 * s) for c, s in zip(centres, spreads, strict=True)),
        holds=holds,
        source=source,
    )
