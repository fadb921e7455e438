"""Records of lessons that were never held: their numbers are chosen, so their story is known."""

import math
from collections.abc import Mapping, Sequence

from skipwise.reports.lesson import DepthLesson, Expectation, Likeness, Profile, Setting, Training

NAMES = {
    "sigmoid": "plain sigmoid",
    "plain": "plain ReLU",
    "plain_norm": "plain BatchNorm",
    "unscaled": "residual unscaled",
    "scaled": "residual scaled",
    "zero": "residual from zero",
    "residual_norm": "residual BatchNorm",
}
PER_LAYER = {
    "sigmoid": 0.25,
    "plain": 1.0,
    "plain_norm": 1.2,
    "unscaled": math.sqrt(math.sqrt(2)),
    "scaled": 1.001,
    "zero": 1.0,
    "residual_norm": 1.01,
}
LOSSES = {
    "sigmoid": (2.3, 2.3, 2.3),
    "plain": (0.1, 0.2, 1.5),
    "plain_norm": (0.1, 0.3, 2.0),
    "unscaled": (0.1, 0.5, math.inf),
    "scaled": (0.12, 0.1, 0.08),
    "zero": (0.12, 0.1, 0.09),
    "residual_norm": (0.1, 0.07, 0.05),
}
DEPTHS = (8, 20, 56)


def lesson(
    per_layer: Mapping[str, float] | None = None,
    losses: Mapping[str, Sequence[float]] | None = None,
    *,
    depths: tuple[int, ...] = DEPTHS,
    left_out: tuple[str, ...] = (),
) -> DepthLesson:
    """Give a lesson in which every layer has such a factor, and trainings end with such losses."""
    factors, ends = PER_LAYER | dict(per_layer or {}), LOSSES | dict(losses or {})
    return DepthLesson(
        setting=Setting(
            data="stones",
            examples=100,
            classes=10,
            width=64,
            batch=16,
            measured=64,
            steps=20,
            seeds=(0, 1, 2),
            starts=(0, 1, 2),
            rates=dict.fromkeys(NAMES, 0.1),
            strategy="heavy ball 0.9",
            command="skipwise explain depth",
        ),
        names=NAMES,
        depths=depths,
        profiles=tuple(a_profile(k, d, factors[k]) for k in NAMES for d in depths),
        likenesses=tuple(
            Likeness(design=k, depth=d, cosines=(c - 0.05, c + 0.05), expected=c)
            for k, c in (("plain", 0.1), ("scaled", 0.6))
            for d in depths
        ),
        trainings=tuple(
            a_training(k, d, seed, end)
            for k in NAMES
            for d, end in zip(depths, ends[k], strict=False)
            for seed in (0, 1, 2)
        ),
        left_out=left_out,
        seconds=12.0,
    )


def a_profile(design: str, depth: int, factor: float) -> Profile:
    """Give three starts: one on the line of the factor, one above and one below."""
    rows = depth // 2
    line = tuple(factor ** (2.0 * (rows - 1 - row)) for row in range(rows))
    around = [(*tuple(v * scale for v in line[:-1]), 1.0) for scale in (0.9, 1.0, 1.1)]
    return Profile(
        design=design,
        depth=depth,
        gradients=tuple(around),
        correlations=(0.97, 0.98, 0.99),
        expectation=Expectation(
            values=line,
            low=tuple(0.5 * v for v in line),
            high=tuple(2 * v for v in line),
            formula="‖g_l‖ = c·‖g_{l+1}‖",
            condition="planted",
            source="nobody",
            holds=True,
        ),
    )


def a_training(design: str, depth: int, seed: int, end: float) -> Training:
    """Give 20 steps that fall to the end, a little above it for later seeds."""
    finite = math.isfinite(end)
    last = end * (1 + 0.01 * seed) if finite else math.inf
    losses = (*([2.5] * 16), *([last] * 4)) if finite else (2.5, math.inf)
    error = min(end / 3, 0.9) if finite else math.nan
    return Training(design=design, depth=depth, seed=seed, losses=losses, error=error)
