"""Whether the answers of a comparison can be trusted: thousands of studies whose truth is known.

``python studies/simulated.py`` simulates 2,000 studies for each kind of noise and each number of
seeds, lets the statistics of :mod:`skipwise.comparison` judge them, and writes
``studies/simulated/table.md``: how often the 95 % interval holds the truth, how often a study
without any difference ends in a verdict, and how often another study finds the difference that a
study claims to see. The score of a run is the effect of its seed, which the arms of a pair share,
plus noise of its own; in a family all arms are compared with the same baseline.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from skipwise.comparison import holm, sign_flip_interval, sign_flip_p, smallest_difference

LEVEL, POWER, FAMILIES, SEEDS = 0.05, 0.8, (1, 3), (6, 8, 10)
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "skewed (exponential)": lambda random, shape: random.standard_exponential(shape) - 1,
    "heavy-tailed (t, 3 degrees)": lambda random, shape: random.standard_t(3, shape),
}

HEADER = """{studies:,} simulated studies a row, all in per cent; made by `python studies/simulated.py`.

* Coverage: the 95 % paired interval holds the true difference (in theory 96.9, 95.3 and 95.1 with
  6, 8 and 10 seeds, since it can only be cut at means over sets of seeds). At least {covered:.1f}.
* False verdicts: a study of equal arms ends with any "better" or "worse"; the whole procedure, with
  Holm over the family. At most {most:.1f}: 5 and two standard errors.
* False equivalence: an arm that differs by exactly the margin (two standard deviations of the
  differences) is called equivalent. At most {alone:.1f}: 2.5 and two standard errors; in a family of
  {most_arms} at most {shared:.1f}, since its comparisons share the 2.5.
* Power: another study, with the difference that a study claims to see, finds it. At least
  {least:.1f}: 80 less two standard errors.
* Claimed: that difference, the median, in standard deviations of the paired differences.

| noise of a run | seeds | comparisons | coverage | false verdicts | false equivalence | power | claimed |
|:---|---:|---:|---:|---:|---:|---:|---:|"""  # noqa: E501
FOOTER = """
The interval is exact where the difference between two arms is a shift. Where the noise of one arm
is skewed (exponential) and that of the other small, differences are not symmetric, and the interval
holds the difference of the means less often than it says: {ends}.
"""


@dataclass(frozen=True)
class Figures:
    """What the studies of one kind gave, as shares; NaN where no verdict is possible."""

    noise: str
    seeds: int
    comparisons: int
    coverage: float
    false_verdicts: float
    false_equivalence: float
    power: float
    claimed: float


def differences(
    random: np.random.Generator, noise: Noise, studies: int, comparisons: int, seeds: int
) -> np.ndarray:
    """Give the advantages of equal arms over one baseline, shape ``(comparisons, studies, n)``."""
    effect = random.standard_normal((studies, seeds))
    scores = effect + noise(random, (comparisons + 1, studies, seeds))
    return scores[1:] - scores[0]


def verdicts(advantages: np.ndarray) -> np.ndarray:
    """Judge families: −1 worse, 0 open, 1 better, in the shape ``(comparisons, studies)``."""
    adjusted = holm(sign_flip_p(advantages).T).T
    return np.where(adjusted <= LEVEL * (1 + 1e-9), np.sign(advantages.mean(-1)), 0)


def simulate(name: str, seeds: int, comparisons: int, studies: int) -> Figures:
    """Simulate the studies of one kind."""
    random = np.random.default_rng([seeds, comparisons, len(name)])
    noise = NOISES[name]
    none = differences(random, noise, studies, comparisons, seeds)
    low, high = sign_flip_interval(none[0], LEVEL)
    claims = smallest_difference(none[0], LEVEL / comparisons)
    possible = bool(np.isfinite(claims).all())
    found = np.nan
    if possible:
        others = differences(random, noise, studies, comparisons, seeds)
        others[0] += claims[:, None]
        found = float((verdicts(others)[0] > 0).mean())
    margin = 2 * none[0].std()
    at_margin = sign_flip_interval(none[0] + margin, LEVEL / comparisons)
    return Figures(
        noise=name,
        seeds=seeds,
        comparisons=comparisons,
        coverage=float(((low <= 0) & (high >= 0)).mean()),
        false_verdicts=float((verdicts(none) != 0).any(0).mean()),
        false_equivalence=float(((at_margin[0] > -margin) & (at_margin[1] < margin)).mean()),
        power=found,
        claimed=float(np.median(claims) / none[0].std()) if possible else np.nan,
    )


def unequal(seeds: int, studies: int) -> float:
    """Give the coverage for the mean where one arm is skewed and the other is not."""
    random = np.random.default_rng([seeds, 99])
    shape = studies, seeds
    apart = random.standard_exponential(shape) - 1 - 0.1 * random.standard_normal(shape)
    low, high = sign_flip_interval(apart, LEVEL)
    return float(((low <= 0) & (high >= 0)).mean())


@dataclass(frozen=True)
class Limits:
    """What the shares of one kind of studies may be, within two standard errors of theory."""

    coverage: float
    false_verdicts: float
    false_equivalence: float
    power: float

    def hold(self, found: Figures) -> bool:
        """Whether all of a row are as they should be; no power is none too little."""
        return (
            found.coverage >= self.coverage
            and found.false_verdicts <= self.false_verdicts
            and found.false_equivalence <= self.false_equivalence
            and not found.power < self.power
        )


def limits(studies: int, comparisons: int) -> Limits:
    """Give the limits for so many studies with so many comparisons each.

    An arm at the margin is called equivalent by one side of an interval, whose level all
    comparisons share.
    """

    def errors(share: float) -> float:
        return 2 * sqrt(share * (1 - share) / studies)

    side = LEVEL / 2 / comparisons
    return Limits(
        coverage=1 - LEVEL - errors(LEVEL),
        false_verdicts=LEVEL + errors(LEVEL),
        false_equivalence=side + errors(side),
        power=POWER - errors(POWER),
    )


def table(figures: list[Figures], skewed: dict[int, float], studies: int) -> Iterator[str]:
    """Write what came out, with what was to be shown."""
    alone, family = (limits(studies, comparisons) for comparisons in FAMILIES)
    yield HEADER.format(
        studies=studies,
        covered=100 * alone.coverage,
        most=100 * alone.false_verdicts,
        alone=100 * alone.false_equivalence,
        most_arms=max(FAMILIES),
        shared=100 * family.false_equivalence,
        least=100 * alone.power,
    )
    for row in figures:
        power = "none possible" if np.isnan(row.power) else f"{100 * row.power:.1f}"
        claimed = "∞" if np.isnan(row.claimed) else f"{row.claimed:.2f}"
        yield (
            f"| {row.noise} | {row.seeds} | {row.comparisons} | {100 * row.coverage:.1f} |"
            f" {100 * row.false_verdicts:.1f} | {100 * row.false_equivalence:.1f} | {power} |"
            f" {claimed} |"
        )
    ends = ", ".join(f"{100 * share:.1f} with {seeds} seeds" for seeds, share in skewed.items())
    yield FOOTER.format(ends=ends)


def main() -> None:
    """Simulate, write the table, and end with 1 if a figure is not what it should be."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--studies", type=int, default=2000)
    words.add_argument("--out", type=Path, default=Path(__file__).parent / "simulated" / "table.md")
    told = words.parse_args()
    figures = [
        simulate(name, seeds, comparisons, told.studies)
        for name in NOISES
        for seeds in SEEDS
        for comparisons in FAMILIES
    ]
    skewed = {seeds: unequal(seeds, told.studies) for seeds in SEEDS}
    text = "\n".join(table(figures, skewed, told.studies))
    told.out.parent.mkdir(parents=True, exist_ok=True)
    told.out.write_text(text)
    print(text)
    failed = [f for f in figures if not limits(told.studies, f.comparisons).hold(f)]
    for figures_of in failed:
        print("not as it should be:", figures_of, file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
