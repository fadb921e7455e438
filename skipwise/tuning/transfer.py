"""Taking the rate of a shallow network over to a deep one, and measuring whether that holds.

Theory scales the rate by the depth (:mod:`skipwise.tuning.depth`). Whether it does so for this
network, these data and this rule is measured, with the deep network's settings at small depths:

* the coordinate check: the slope of the stream's movement on the depth lies within ±0.15;
* the best rate, as a multiple of the one that was taken over, has a slope on the depth whose 95 %
  interval contains 0 and lies within ±0.25;
* the regret: at the largest depth of these, the loss at the multiple that is best at the run's own
  depth lies at most one standard deviation of seeds above the least.

What is not shown to hold is refused, with the rate that the slope suggests.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skipwise.data import Dataset
from skipwise.experiment import Experiment
from skipwise.strategies import Strategy, roles
from skipwise.tuning.coordinates import STEPS, movement, movement_slope
from skipwise.tuning.depth import (
    AnyNetwork,
    at_other_depth,
    between,
    check_family,
    depth_of,
    power_of,
)
from skipwise.tuning.slope import BESIDE, Grid, Slope, slope_of
from skipwise.tuning.trials import begun, check_rate_is_theirs, short_run

COORDINATES, WIDEST = 0.15, 0.25  # how far from 0 the two slopes may lie
MOVES = 4  # rates beyond the grid at most, where the best one stands near its edge
Tell = Callable[[str], None]  # is told what goes on


@dataclass(frozen=True, kw_only=True)
class Check:
    """How much is measured.

    Args:
        seeds: Runs at each rate and depth.
        steps: Updates of each.
        rates: Rates at each depth, each twice the one before; an odd number.
        reach: The largest of the three depths is at most so many times the run's.
    """

    seeds: int = 3
    steps: int = 200
    rates: int = 7
    reach: float = 4.0

    def __post_init__(self):
        if self.seeds < 2:
            raise ValueError(f"an interval needs at least 2 seeds, got {self.seeds}")
        if self.steps < STEPS:
            raise ValueError(f"steps must be at least {STEPS}, got {self.steps}")
        if self.rates < 3 or self.rates % 2 == 0:
            raise ValueError(f"rates must be an odd number from 3 on, got {self.rates}")
        if not 1 < self.reach < math.inf:
            raise ValueError(f"reach must be above 1, got {self.reach}")


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What was measured of a rate that is taken over to a deeper network; it prints itself.

    Args:
        depths: Blocks of the run's network and of the deep one.
        power: a: branches have the factor (L₀/L)^a; 0 without one.
        strategy: The run's strategy, scaled to the deep network.
        moved: How far the stream moves in the first steps, by depth, mean over seeds.
        coordinates: The slope of that on the depth, both as logarithms.
        slope: The slope of the best rate, as a multiple of the scaled one.
        losses: End losses at log₂ of that multiple, seed by seed, by depth.
        regret: At the largest depth, the loss at the run's depth's best multiple above the least.
        spread: Standard deviation of the least one over seeds.
        seconds: How long all took.
    """

    depths: tuple[int, int]
    power: float
    strategy: Strategy
    moved: Mapping[int, list[float]]
    coordinates: float
    slope: Slope
    losses: Mapping[int, Grid]
    regret: float
    spread: float
    seconds: float

    @property
    def faults(self) -> tuple[str, ...]:
        """What speaks against the rate, one sentence each; none if it holds."""
        slope, found = self.slope, []
        if abs(self.coordinates) > COORDINATES:
            found.append(
                f"the stream moves with the depth to the power {self.coordinates:.2f} in the first"
                f" steps, not within ±{COORDINATES}"
            )
        if not slope.low <= 0 <= slope.high:
            found.append(f"the slope of the best rate is {self._slope}, without 0")
        elif max(-slope.low, slope.high) > WIDEST:
            found.append(
                f"the slope of the best rate is {self._slope}, not known within ±{WIDEST}: more"
                " seeds would tell"
            )
        if self.regret > self.spread:
            found.append(
                f"at {max(self.losses)} blocks the best rate of {self.depths[0]} costs a loss of"
                f" {self.regret:.3g}, more than the seeds' standard deviation of"
                f" {self.spread:.3g}"
            )
        return tuple(found)

    @property
    def holds(self) -> bool:
        """Whether the rate may be taken over."""
        return not self.faults

    @property
    def suggested(self) -> tuple[float, float, float]:
        """The rate that the slope suggests for the deep network, between the interval's ends."""
        ratio, rate = self.depths[1] / self.depths[0], self.strategy.peak_lr
        slopes = (self.slope.low, self.slope.value, self.slope.high)
        low, middle, high = (rate * ratio**slope for slope in slopes)
        return low, middle, high

    @property
    def _slope(self) -> str:
        return f"{self.slope.value:.2f} ({self.slope.low:.2f} to {self.slope.high:.2f})"

    @property
    def verdict(self) -> str:
        """Say in one sentence whether the rate may be taken over."""
        few, many = self.depths
        if self.holds:
            return (
                f"the rate of {few} blocks holds for {many}: the slope of the best rate on the"
                f" depth is {self._slope}, the stream moves with slope {self.coordinates:.2f}"
            )
        low, middle, high = self.suggested
        return (
            f"not transferable from {few} to {many} blocks: {'; '.join(self.faults)}; the slope"
            f" suggests --set strategy.peak_lr={middle:.2g} ({low:.2g} to {high:.2g})"
        )

    def __str__(self) -> str:
        rows = [f"{'blocks':>6}  {'best rate':>9}  moved after 1 and {STEPS} steps"]
        for depth, moved in self.moved.items():
            best = self.slope.optima.get(depth)
            times = "" if best is None else f"× {2**best:.2f}"
            rows.append(f"{depth:>6}  {times:>9}  {moved[0]:.3g}, {moved[-1]:.3g}")
        own = self.slope.optima[min(self.losses)]
        if abs(own) > 1:
            rows.append(
                f"in such short runs the best rate at the run's own depth is {2**own:.2g} times the"
                " run's; skipwise find-rate looks for it"
            )
        return "\n".join([*rows, self.verdict])


def check_transfer(
    shallow: Experiment,
    deep: Experiment,
    dataset: Dataset,
    check: Check | None = None,
    tell: Tell = lambda sentence: None,
) -> Transfer:
    """Scale a run's strategy to a deeper network of its family, and measure whether that holds.

    Args:
        shallow: The run's experiment: its network and its strategy, as it was tuned.
        deep: The experiment that is to be run; its strategy plays no role.
        dataset: Its data, loaded.
        check: How much is measured.
        tell: Is told what it costs, before it begins, and what goes on.
    """
    check = Check() if check is None else check
    check_family(shallow.network, deep.network)
    check_rate_is_theirs(shallow.strategy)
    began, few, many = time.perf_counter(), shallow.network, deep.network
    tall = depth_of(many) / depth_of(few)
    reach = min(1.0, math.log(check.reach) / math.log(tall))
    grid = [between(few, many, reach * n / 2) for n in range(3)]
    all_depths = {depth_of(n): n for n in (*grid, between(few, many, (1 + reach) / 2), many)}
    tell(_cost(check, [depth_of(network) for network in grid], depth_of(many)))
    present = _roles(deep, dataset, few)

    def scaled(network: AnyNetwork) -> Experiment:
        ratio = depth_of(network) / depth_of(few)
        strategy = at_other_depth(shallow.strategy, many, ratio, present)
        return replace(deep, network=network, strategy=strategy, weights=None, freeze=None)

    moved = {
        depth: _moved(scaled(all_depths[depth]), dataset, check) for depth in sorted(all_depths)
    }
    coordinates = movement_slope(moved)
    tell(f"coordinate check at {', '.join(map(str, moved))} blocks: slope {coordinates:.2f}")
    losses = {depth_of(n): _grid(scaled(n), dataset, check, tell) for n in grid}
    slope = slope_of(losses)
    regret, spread = regret_of(losses, slope.optima[min(losses)])
    return Transfer(
        depths=(depth_of(few), depth_of(many)),
        power=power_of(many),
        strategy=scaled(many).strategy,
        moved=moved,
        coordinates=coordinates,
        slope=slope,
        losses=losses,
        regret=regret,
        spread=spread,
        seconds=time.perf_counter() - began,
    )


def _roles(deep: Experiment, dataset: Dataset, network: AnyNetwork) -> set[str]:
    with begun(replace(deep, network=network, weights=None), dataset, 0, 1) as (run, _):
        return set(roles(run.model).values())


def _moved(experiment: Experiment, dataset: Dataset, check: Check) -> list[float]:
    seeds = range(experiment.seed, experiment.seed + check.seeds)
    each = [movement(experiment, dataset, seed=seed) for seed in seeds]
    shortest = min(map(len, each))
    means = np.mean([some[:shortest] for some in each], axis=0).tolist()
    return means + [math.inf] * (STEPS - shortest)


def _grid(experiment: Experiment, dataset: Dataset, check: Check, tell: Tell) -> Grid:
    """Give the end losses at rates around the scaled one; while the best is at an edge, go on."""
    seeds = range(experiment.seed, experiment.seed + check.seeds)

    def run(multiple: int) -> list[float]:
        rate = experiment.strategy.peak_lr * 2.0**multiple
        steps = check.steps
        trials = [short_run(experiment, dataset, rate=rate, seed=n, steps=steps) for n in seeds]
        return [trial.end_loss for trial in trials]

    half = check.rates // 2
    found = {multiple: run(multiple) for multiple in range(-half, half + 1)}
    for _ in range(MOVES):
        best = _best(found)
        if max(found) - best < BESIDE:
            beyond = max(found) + 1
        elif best - min(found) < BESIDE:
            beyond = min(found) - 1
        else:
            break
        found[beyond] = run(beyond)
    best = _best(found)
    blocks = depth_of(experiment.network)
    tell(f"{blocks} blocks: the best of the rates is the scaled one × {2.0**best:g}")
    return {float(multiple): found[multiple] for multiple in sorted(found)}


def _best(losses: Mapping[Any, list[float]]) -> Any:
    return min(losses, key=lambda multiple: float(np.mean(losses[multiple])))


def regret_of(losses: Mapping[int, Grid], optimum: float) -> tuple[float, float]:
    """Give what the run's depth's best multiple costs at the largest depth, and a spread beside it.

    Where the seeds do not tell several multiples from the best one at the run's depth (their means
    lie within its standard error), that nearest to the fitted optimum counts.

    Args:
        losses: End losses by log₂ of the multiple, seed by seed, at each depth.
        optimum: log₂ of the best multiple at the least depth, as fitted.

    Returns:
        The mean loss at that multiple above the least mean, and the standard deviation over seeds
        of the losses at the best multiple.
    """
    few, deep = losses[min(losses)], losses[max(losses)]
    least = few[_best(few)]
    limit = float(np.mean(least)) + float(np.std(least, ddof=1)) / math.sqrt(len(least))
    alike = [m for m in few if np.mean(few[m]) <= limit and m in deep]
    kept = min(alike, key=lambda m: abs(m - optimum), default=None)
    best = _best(deep)
    spread = float(np.std(deep[best], ddof=1))
    if kept is None:
        return math.inf, spread
    return (float(np.mean(deep[kept]) - np.mean(deep[best])) if kept != best else 0.0), spread


def _cost(check: Check, depths: list[int], deep: int) -> str:
    runs = check.rates * check.seeds
    work = sum(depths) * runs * check.steps / deep
    at = ", ".join(map(str, depths))
    return (
        f"before the run, {runs} runs of {check.steps} updates at each of {at} blocks: as much work"
        f" as {work:,.0f} updates of the deep network"
    )
