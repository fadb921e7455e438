"""What theory expects along blocks with skips."""

import math
from collections.abc import Iterator, Sequence

from skipwise.analysis.depth.meanfield import (
    BATCH_NORM_FACTOR,
    MEAN_STEP,
    TANH,
    VARIANCE_STEP,
    back_spread,
    backwards,
    crossing_spread,
    forwards,
    layer_spread,
    passed_moment_linear,
    rectified_sums,
    residual_spread,
    tanh_block,
)
from skipwise.analysis.depth.theory.curves import WIDE, correlations_of, curve, remaining
from skipwise.analysis.depth.theory.operations import MATRIX, strangers
from skipwise.analysis.depth.theory.reading import UNIT, behind
from skipwise.analysis.depth.theory.stage import Moments, Stage, Step
from skipwise.analysis.measurement import Theory

ACTIVATED = Moments(moment=UNIT, mean=UNIT * MEAN_STEP)  # of what BatchNorm–ReLU leaves
UNIT_NORMS = "BatchNorm–ReLU (γ = 1, β = 0) before each matrix"


def residual(stage: Stage) -> Iterator[Theory]:
    """Give the theories of a stage with skips."""
    rectified = all(step.after == ("ReLU",) for step in stage.steps)
    if all(step.silent and step.identity for step in stage.steps) and (
        rectified or not any(step.after for step in stage.steps)
    ):
        yield from _from_zero(stage, rectified=rectified)
        return
    if stage.normed:
        yield from _normed(stage)
    elif not any(step.norms for step in stage.steps):
        bent = all(step.order == (MATRIX, "tanh", MATRIX) for step in stage.steps)
        yield from _tanh(stage) if bent else _measured(stage)
    if rectified:
        yield _rectified(stage)


def _from_zero(stage: Stage, *, rectified: bool) -> Iterator[Theory]:
    """Give the curves of blocks that are their skips: nothing changes, whatever the branches are.

    A ReLU after the sum leaves a stream that is nowhere negative as it is. It cuts the gradient off
    where the stream is zero; all blocks have that in common, so the last does it for all.
    """
    follows = "a stream that is nowhere negative" if rectified else "nothing after the sum"
    share = stage.let_through if rectified else 1.0
    norms = (stage.gradient[-1] * math.sqrt(share),) * len(stage.steps) + stage.gradient[-1:]
    moments = {
        "second moment": stage.moment,
        "channel mean square": stage.mean,
        "channel variance": stage.variance,
        "correlation": stage.correlation,
    }
    flat = {column: (values[0],) * len(values) for column, values in moments.items()}
    for column, values in {**flat, "gradient norm": norms}.items():
        cut = rectified and column == "gradient norm"
        yield Theory(
            name="residual, from zero",
            column=column,
            formula="g_l = 1[x > 0]·g_L, exactly"
            if cut
            else "F = 0 and J_F = 0: no change, exactly",
            condition="branches that start at zero (ReZero, SkipInit, zero γ, Fixup): on this batch"
            f" they write zeros and pass no gradient; identity skips with {follows}",
            values=values,
            low=values,
            high=values,
            holds=stage.rectified or not rectified,
            source="Bachlechner et al. (2020), section 3; Zhang et al. (2019); Goyal et al. (2017)",
        )


def _measured(stage: Stage) -> Iterator[Theory]:
    """Give the curves of branches without norms, whose gains are taken as they were measured."""
    gains = [step.gain for step in stage.steps]
    factors = [1 + gain for gain in gains]
    fits = not stage.strange and all(step.ends and not step.after for step in stage.steps)
    condition = (
        f"{WIDE}, identity skips with nothing after the sum, branches that end in a matrix and have"
        " no norm"
    )
    depth = max(len(stage.steps[0].layers), 1)
    spreads = residual_spread(gains, stage.width, depth)
    crossing = crossing_spread(gains, stage.width)
    # What ‖F‖² is by chance stands in the measured gains too, and not in the gradient's own.
    against = [math.sqrt(2 * s * s - c * c) for s, c in zip(spreads, crossing, strict=True)]
    yield curve(
        "residual",
        "second moment",
        "q' = (1 + a)·q, a = E F²/E x² as measured",
        f"{condition}{strangers([], stage.strange)}",
        tuple(stage.moment[0] * f for f in forwards(factors)),
        crossing,
        holds=fits,
        source="De, Smith (2020), section 3; Zhang et al. (2019), section 2",
    )
    relu = fits and stage.bent_by("ReLU")
    bent = strangers(["ReLU"], (*stage.strange, *stage.bends))
    yield curve(
        "residual",
        "gradient norm",
        "‖g_l‖² = (1 + a)·‖g_{l+1}‖², the forward factor",
        f"{condition}; ReLU or linear branches{bent}",
        tuple(stage.gradient[-1] * math.sqrt(s) for s in backwards(factors)),
        remaining(against),
        remaining(crossing),
        holds=relu or (fits and all(not step.bends for step in stage.steps)),
        source="Taki (2017), section 3; Zhang et al. (2019)",
    )
    if stage.bent_by("ReLU"):
        yield from correlations_of(stage, [len(s.bends) for s in stage.steps], holds=relu)


def _tanh(stage: Stage) -> Iterator[Theory]:
    """Give the curves of ``x + V·tanh(W·x + b) + a`` for the network's own weights and biases."""
    moments, factors, forward, back = [stage.moment[0]], [], [], []
    for step in stage.steps:
        inner, outer = step.layers
        p = moments[-1]
        q = passed_moment_linear(p, inner.weights, inner.biases)
        after, factor = tanh_block(
            p,
            inner=inner.weights,
            outer=step.scale * outer.weights,
            bias=inner.biases,
            outer_bias=step.scale * outer.biases,
        )
        moments.append(after)
        factors.append(factor)
        forward.append((after / p - 1 if p else math.inf, layer_spread(TANH, q or 1.0)))
        back.append((factor - 1, back_spread(TANH, q)))
    fits = not stage.strange and not any(step.after for step in stage.steps)
    condition = (
        f"{WIDE}, identity skips with nothing after the sum, branches of two matrices with a tanh"
        f" between them and no norm{strangers(['tanh'], (*stage.strange, *stage.bends))}"
    )
    yield curve(
        "residual, tanh",
        "second moment",
        "p' = p + sv²·E tanh(√q z)² + sa², q = sw²p + sb²",
        condition,
        tuple(moments),
        _spreads(forward, stage.width),
        holds=fits,
        source="Yang, Schoenholz (2017), theorems on the full residual network with tanh",
    )
    yield curve(
        "residual, tanh",
        "gradient norm",
        "‖g_l‖² = (1 + sv²sw²·E tanh'(√q z)²)·‖g_{l+1}‖²",
        condition,
        tuple(stage.gradient[-1] * math.sqrt(s) for s in backwards(factors)),
        remaining(_spreads(back, stage.width)),
        holds=fits,
        source="Yang, Schoenholz (2017), theorems on the full residual network with tanh",
    )


def _spreads(blocks: Sequence[tuple[float, float]], width: int) -> list[float]:
    """Give :func:`residual_spread` of two layers where each block has its gain and its c."""
    parts = [residual_spread([gain], width, 2, hidden=c)[-1] ** 2 for gain, c in blocks]
    return [math.sqrt(sum(parts[:count])) for count in range(len(parts) + 1)]


def _normed(stage: Stage) -> Iterator[Theory]:
    fits = not stage.strange and all(map(_is_preactivated, stage.steps))
    strange = strangers(["ReLU"], (*stage.strange, *stage.bends))
    condition = (
        f"{WIDE}, identity skips with nothing after the sum, {UNIT_NORMS}, training mode{strange}"
    )
    added = [written(step) for step in stage.steps]
    columns = (
        ("second moment", stage.moment[0], [a.moment for a in added], "q' = q + 1"),
        ("channel variance", stage.variance[0], [a.variance for a in added], "v' = v + 1 − 1/π"),
        ("channel mean square", stage.mean[0], [a.mean for a in added], "m' = m + 1/π"),
    )
    for column, start, steps, formula in columns:
        values = tuple(start + sum(steps[:count]) for count in range(len(steps) + 1))
        yield curve(
            "residual, BatchNorm",
            column,
            f"{formula} (times the last matrix's sw²/2)",
            condition,
            values,
            residual_spread(_shares(steps, values), stage.width),
            holds=fits,
            source="De, Smith (2020), section 3; 1/π is (E ReLU(z))²·sw²",
        )
    yield _normed_gradient(stage, [a.moment for a in added], condition, holds=fits)


def _normed_gradient(
    stage: Stage, added: Sequence[float], condition: str, *, holds: bool
) -> Theory:
    variances = [
        stage.variance[0] + VARIANCE_STEP * sum(added[:count]) for count in range(len(added))
    ]
    shares = _shares(added, variances)
    bends = [max(len(step.bends), 1) for step in stage.steps]
    factors = [
        1 + BATCH_NORM_FACTOR ** (count - 1) * share
        for count, share in zip(bends, shares, strict=True)
    ]
    return curve(
        "residual, BatchNorm",
        "gradient norm",
        "‖g_l‖² = (1 + (π/(π−1))^(k−1)/(v₀ + (1 − 1/π)·l))·‖g_{l+1}‖²",
        condition,
        tuple(stage.gradient[-1] * math.sqrt(s) for s in backwards(factors)),
        remaining(residual_spread(shares, stage.width)),
        holds=holds,
        source="own derivation from De, Smith (2020) and Yang et al. (2019)",
    )


def _shares(added: Sequence[float], before: Sequence[float]) -> list[float]:
    """Divide; what is added to nothing is infinitely more, and nothing is no part of anything."""
    pairs = zip(added, before, strict=False)
    return [a / b if b > 0 else (math.inf if a else 0.0) for a, b in pairs]


def _is_preactivated(step: Step) -> bool:
    """Whether BatchNorm–ReLU stands before each matrix but perhaps the first, and γ, β are 1, 0."""
    order = step.order
    bent = [n for n, name in enumerate(order) if name == "ReLU"]
    return (
        order[-3:] == ("BatchNorm", "ReLU", MATRIX)
        and all(order[n - 1] == "BatchNorm" for n in bent)
        and set(step.bends) == {"ReLU"}
        and step.unit
        and step.ends
        and not step.after
    )


def written(step: Step) -> Moments:
    """Give the moments of what a branch writes that ends in BatchNorm–ReLU–W: sw²/2 and sw²/(2π).

    Of a branch that ends otherwise, as behind a norm: 1, with no mean.
    """
    if not (step.ends and step.layers):
        return Moments(moment=1.0, mean=0.0)
    return behind(ACTIVATED, step.layers[-1], step.scale)


def _rectified(stage: Stage) -> Theory:
    """Give the recursion of the original block, whose sum passes a ReLU; it has no closed form."""
    added = [s.gain * moment for s, moment in zip(stage.steps, stage.moment, strict=False)]
    return Theory(
        name="residual, ReLU after the sum",
        column="second moment",
        formula="q' = E ReLU(x + z)² ≤ q + E z², the bound; z Gaussian, E z² = E F² as measured",
        condition=f"{WIDE}, identity skips, branches that end in a matrix or BatchNorm, a stream"
        f" that begins as the ReLU of a Gaussian{strangers([], stage.strange)}",
        values=rectified_sums(stage.moment[0], added),
        holds=not stage.strange and all(step.ends or step.norms for step in stage.steps),
        source="own recursion on the law of x; the bound from De, Smith (2020), section 3",
    )


def beginnings(steps: Sequence[Step], rows: int) -> Iterator[Theory]:
    """Give what stands behind blocks whose skip begins anew, each a value at a row of its own.

    Where widths change, and in the first block of a pre-activation network, the skip carries
    BatchNorm–ReLU or its projection, so the stream forgets what it was: the moments fall to 1 + 1
    behind a projection with He's weights, and grow from there.
    """
    found = [
        (n + 1, step)
        for n, step in enumerate(steps)
        if step.begun is not None and not step.after and n + 1 < rows
    ]
    if not found:
        return
    strange = strangers(["ReLU"], (name for _, s in found for name in (*s.other_norms, *s.bends)))
    width = min((layer.width for _, step in found for layer in step.layers), default=1)
    spreads = [math.sqrt(2 / width)] * rows
    for column in ("second moment", "channel variance", "channel mean square"):
        values = [math.nan] * rows
        for row, step in found:
            values[row] = _begins(step, column)
        yield curve(
            "where a stage begins",
            column,
            "E (skip)² + E F²: of W·ReLU(BatchNorm(x)) sw²/2 each, 1 + 1 for He's weights",
            f"{WIDE}, a skip behind a BatchNorm of its own, {UNIT_NORMS}, training mode{strange}",
            tuple(values),
            spreads,
            holds=all(_is_preactivated(step) and not step.other_norms for _, step in found),
            source="Brock et al. (2021), section 3; De, Smith (2020), section 3",
        )


def _begins(step: Step, column: str) -> float:
    assert step.begun is not None
    parts = (step.begun, written(step))
    if column == "second moment":
        return sum(part.moment for part in parts)
    if column == "channel mean square":
        return sum(part.mean for part in parts)
    return sum(part.variance for part in parts)
