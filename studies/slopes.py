"""How often the interval of the best rate's slope over depth holds the truth, where that is known.

``python studies/slopes.py`` simulates 600 checks of a transfer for each shape of the loss and each
noise: at three depths a search for the best rate (:func:`skipwise.tuning.grid.explored`) with three
seeds, its least loss at a random place between the rates, whose true slope on log₂ of the depth is
one of five. It writes ``studies/slopes/table.md``. Losses are ``f(u − u*) + seed + noise`` with u =
log₂ of the rate; a run above the edge of a shape that has one explodes. Needs numpy only.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skipwise.tuning import slope_of
from skipwise.tuning.grid import explored

DEPTHS, SEEDS, RATES = (3, 6, 12), 3, 7
SLOPES = (0.0, -0.25, -0.5, -1.0, 0.37)
NOISES = (0.2, 0.4)  # times what a factor of two below the best rate costs
OVER = 3.0  # how far the least loss may lie from the grid's middle, so that some go beyond it
Shape = Callable[[np.ndarray, int], np.ndarray]  # (u − u*, number of the depth) → loss, least at 0


def valley(steepness: float) -> Shape:
    """``0.4·((1 − e^{ax})/2a)²``: gentle below the best rate, steep above.

    With a = ln 2 it is a parabola in the rate itself, as after one step of gradient descent.
    """
    return lambda x, depth: 0.4 * ((1 - np.exp(steepness * x)) / (2 * steepness)) ** 2


def cut(shape: Shape, *edges: float) -> Shape:
    """A shape whose runs diverge above an edge, one for each depth."""
    return lambda x, depth: np.where(x > edges[depth], np.inf, shape(x, depth))


def burst(x: np.ndarray, depth: int) -> np.ndarray:
    """Runs that explode and end finite, orders of magnitude above."""
    with np.errstate(over="ignore"):
        return valley(0.6)(x, depth) + np.where(x > 0.5, 10.0 ** (12 * (x - 0.5)), 0.0)


def descent(x: np.ndarray, depth: int) -> np.ndarray:
    """What 40 steps of noisy gradient descent leave of six directions, stable below a rate of 2."""
    curvatures = np.array([1.0, 0.5, 0.2, 0.1, 0.05, 0.02])
    rate = 2.0 ** (np.asarray(x, np.float64) + LEAST_OF_DESCENT)
    left = (0.9 * curvatures * np.abs(1 - rate[..., None] * curvatures) ** 80).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rate < 2, left + 0.06 * rate / (2 - rate), np.inf)


LEAST_OF_DESCENT = 0.0
_at = np.linspace(-3, 1, 40001)
LEAST_OF_DESCENT = float(_at[descent(_at, 0).argmin()])

SHAPES: dict[str, Shape] = {
    "parabola": lambda x, depth: 0.1 * x**2,
    "kink: three times as steep above": lambda x, depth: np.where(x < 0, 0.1, 0.3) * x**2,
    "valley": valley(0.6),
    "valley, diverging above × 1.74": cut(valley(0.6), 0.8, 0.8, 0.8),
    "valley, diverging above × 1.23": cut(valley(0.6), 0.3, 0.3, 0.3),
    "valley, finite explosions": burst,
    "gradient descent with noise": descent,
}
DRIFTING = "steeper with the depth, diverging nearer"
STEEPER = [valley(a) for a in (0.4, 0.55, 0.7)]
SHAPES[DRIFTING] = cut(lambda x, depth: STEEPER[depth](x, depth), 1.3, 0.8, 0.5)


@dataclass(frozen=True)
class Figures:
    """What so many studies gave: share of intervals with the truth, mean error, median width."""

    coverage: float
    bias: float
    width: float


def simulated(shape: Shape, noise: float, studies: int, seed: int = 0) -> Figures:
    """Simulate so many checks."""
    random, errors, widths, held = np.random.default_rng(seed), [], [], 0
    for number in range(studies):
        slope = SLOPES[number % len(SLOPES)]
        first, apart = random.uniform(-OVER, OVER), random.normal(size=SEEDS)

        def run(u: float, depth: int, first=first, apart=apart, slope=slope) -> list[float]:
            away = u - first - slope * np.log2(DEPTHS[depth] / DEPTHS[0])
            loss = shape(np.asarray(away), depth)
            spread = noise * float(shape(np.asarray(-1.0), depth) - shape(np.asarray(0.0), depth))
            return (loss + apart + spread * random.normal(size=SEEDS)).tolist()

        grids = {
            blocks: explored(lambda u, n=n, run=run: run(u, n), RATES)
            for n, blocks in enumerate(DEPTHS)
        }
        found = slope_of(grids)
        errors.append(found.value - slope)
        widths.append(found.high - found.low)
        held += found.low <= slope <= found.high
    return Figures(held / studies, float(np.mean(errors)), float(np.median(widths)))


def main() -> None:
    """Simulate all, and write the table."""
    parser = argparse.ArgumentParser(description="Coverage of the slope's interval.")
    parser.add_argument("--studies", type=int, default=600)
    studies = parser.parse_args().studies
    lines = [
        f"`python studies/slopes.py`: {studies:,} simulated checks a row, {SEEDS} seeds at each of"
        f" {', '.join(map(str, DEPTHS))} blocks, true slopes {', '.join(map(str, SLOPES))}. Two"
        f" standard errors of a coverage of 95 % are {200 * (0.95 * 0.05 / studies) ** 0.5:.1f}.",
        "",
        "| loss | noise | coverage, % | bias | width of the interval, median | bias / width |",
        "|:---|---:|---:|---:|---:|---:|",
    ]
    for name, shape in SHAPES.items():
        for noise in NOISES:
            found = simulated(shape, noise, studies)
            lines.append(
                f"| {name} | {noise:g} | {100 * found.coverage:.1f} | {found.bias:+.3f} |"
                f" {found.width:.2f} | {abs(found.bias) / found.width:.2f} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    here = Path(__file__).parent / "slopes"
    here.mkdir(exist_ok=True)
    (here / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
