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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skipwise.data import Dataset, described
from skipwise.description import by_path, replace_all
from skipwise.experiment import Experiment, described_network
from skipwise.records import RunRecord, place_of
from skipwise.runs import experiment_of
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
from skipwise.tuning.grid import FINER, MOVES, Grid, best_of, explored
from skipwise.tuning.slope import Slope, slope_of
from skipwise.tuning.trials import amount_of, begun, check_rate_is_theirs, short_run

COORDINATES, WIDEST = 0.15, 0.25  # how far from 0 the two slopes may lie
OF_LENGTH = ("epochs", "steps", "seconds", "target", "doublings", "patience", "seed")
Tell = Callable[[str], None]  # is told what goes on


@dataclass(frozen=True, kw_only=True)
class Check:
    """How much is measured.

    Args:
        seeds: Runs at each rate and depth.
        steps: Updates of each.
        rates: Rates at each depth, each twice the one before, and some more where the best stands;
            an odd number.
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
        epsilons: Every ε of its rule that is not the run's, by path.
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
    epsilons: Mapping[str, float]
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
            f" suggests --set strategy.peak_lr={middle:.2g} ({low:.2g} to {high:.2g}){self._beside}"
        )

    @property
    def _beside(self) -> str:
        """Name the settings of the scaled strategy that the suggested rate goes with."""
        settings = {f"rates.{role}": value for role, value in self.strategy.rates.items()}
        settings |= {f"optimiser.{path}": value for path, value in self.epsilons.items()}
        words = (f"--set strategy.{name}={value:.3g}" for name, value in settings.items())
        return f" with {' '.join(words)}" if settings else ""

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


def transfer(
    run: str | Path | RunRecord,
    network: Any = None,
    *,
    check: Check | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    reach: float | None = None,
    set: Mapping[str, Any] | None = None,
    data: Any = None,
    allow: Iterable[str] = (),
    tell: Tell = lambda sentence: None,
) -> Transfer:
    """Measure whether a run's rate holds for a deeper network; the form of ``skipwise transfer``.

    If it ``holds``, ``skipwise.train(data, network, found.strategy)`` trains with it.

    Args:
        run: The folder of a run of the shallow network, or the record that ``train`` gave.
        network: The deep one; the run's own if None, which ``set`` then makes deep.
        check: How much is measured, as a whole: a :class:`skipwise.tuning.Check`.
        seeds: In its place: runs at each rate and depth; three if None.
        steps: Updates of each; two hundred if None.
        reach: The largest of the three depths is at most so many times the run's; four if None.
        set: Values by path, as ``--set``: ``{"network.blocks": [9, 9, 9]}``.
        data: The run's data, if they were made in Python.
        allow: Packages outside ``skipwise`` that the run names.
        tell: Is told what it costs, before it begins, and what goes on.

    Raises:
        TypeError: If ``check`` is given and one of its parts too.
        ValueError: If it is no run, or a setting is of what the measurement takes from it, or makes
            anew.
    """
    folder, settings = place_of(run), by_path("set", set)
    wanted = amount_of(Check, "check", check, seeds=seeds, steps=steps, reach=reach)
    _check_settings(folder, settings)
    deep_network = described_network(network)
    shallow = experiment_of(folder, allow=allow)
    deep = shallow if data is None else replace(shallow, data=described(data))
    deep = deep if deep_network is None else replace(deep, network=deep_network)
    deep = replace_all(deep, settings)
    return check_transfer(shallow, deep, deep.data.load(), wanted, tell)


def _check_settings(run: Path, settings: Mapping[str, Any]) -> None:
    for path, value in settings.items():
        field = path.partition(".")[0]
        if field in ("strategy", "weights", "freeze"):
            raise ValueError(
                f"the strategy that is measured is that of {run}, on new weights which all learn;"
                f" leave {path}={value} out"
            )
        if field in OF_LENGTH:
            raise ValueError(
                "the runs that measure have a length and seeds of their own, --steps and --seeds;"
                f" leave {path}={value} out"
            )


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
    grid, all_depths = _networks(few, many, check.reach)
    tell(_cost(check, [depth_of(network) for network in grid], depth_of(many)))
    present = _roles(deep, dataset, few)

    def scaled(network: AnyNetwork) -> Experiment:
        ratio = depth_of(network) / depth_of(few)
        strategy = at_other_depth(shallow.strategy, many, ratio, present)
        return replace(deep, network=network, strategy=strategy, weights=None, freeze=None)

    moved = {depth: _moved(scaled(n), dataset, check) for depth, n in all_depths.items()}
    coordinates = movement_slope(moved)
    tell(f"coordinate check at {', '.join(map(str, moved))} blocks: slope {coordinates:.2f}")
    losses = {depth_of(n): _grid(scaled(n), dataset, check, tell) for n in grid}
    slope = slope_of(losses)
    losses, kept = _with_kept(losses, slope, lambda m: _runs(scaled(grid[-1]), dataset, check, m))
    regret, spread = regret_of(losses[max(losses)], kept)
    strategy, own = scaled(many).strategy, shallow.strategy.optimiser.epsilons
    return Transfer(
        depths=(depth_of(few), depth_of(many)),
        power=power_of(many),
        strategy=strategy,
        epsilons={p: e for p, e in strategy.optimiser.epsilons.items() if e != own[p]},
        moved=moved,
        coordinates=coordinates,
        slope=slope,
        losses=losses,
        regret=regret,
        spread=spread,
        seconds=time.perf_counter() - began,
    )


def _networks(
    few: AnyNetwork, many: AnyNetwork, reach: float
) -> tuple[list[AnyNetwork], dict[int, AnyNetwork]]:
    """Give the two or three networks that are trained, and by depth all whose stream is looked at.

    Raises:
        ValueError: If there is only one.
    """
    tall = depth_of(many) / depth_of(few)
    share = min(1.0, math.log(reach) / math.log(tall))
    shares = (share * n / 2 for n in range(3))
    distinct = {depth_of(network): network for network in (between(few, many, t) for t in shares)}
    trained = [distinct[depth] for depth in sorted(distinct)]
    if len(trained) < 2:
        raise ValueError(
            f"up to {reach:g} times the run's {depth_of(few)} blocks there is no other depth to"
            " measure at; set a larger --reach"
        )
    seen = (*trained, between(few, many, (1 + share) / 2), many)
    return trained, {depth_of(network): network for network in sorted(seen, key=depth_of)}


def _roles(deep: Experiment, dataset: Dataset, network: AnyNetwork) -> set[str]:
    with begun(replace(deep, network=network, weights=None), dataset, 0, 1) as (run, _):
        return set(roles(run.model).values())


def _moved(experiment: Experiment, dataset: Dataset, check: Check) -> list[float]:
    seeds = range(experiment.seed, experiment.seed + check.seeds)
    each = [movement(experiment, dataset, seed=seed) for seed in seeds]
    shortest = min(map(len, each))
    means = np.mean([some[:shortest] for some in each], axis=0).tolist()
    return means + [math.inf] * (STEPS - shortest)


def _runs(experiment: Experiment, dataset: Dataset, check: Check, multiple: float) -> list[float]:
    """Give the end losses at a multiple of the experiment's rate, log₂ of it, seed by seed."""
    rate, steps = experiment.strategy.peak_lr * 2.0**multiple, check.steps
    seeds = range(experiment.seed, experiment.seed + check.seeds)
    trials = (short_run(experiment, dataset, rate=rate, seed=n, steps=steps) for n in seeds)
    return [trial.end_loss for trial in trials]


def _grid(experiment: Experiment, dataset: Dataset, check: Check, tell: Tell) -> Grid:
    found = explored(lambda m: _runs(experiment, dataset, check, m), check.rates)
    blocks, best = depth_of(experiment.network), best_of(found)
    tell(f"{blocks} blocks: the best of the rates is the scaled one × {2.0**best:.3g}")
    return found


def _with_kept(
    losses: Mapping[int, Grid], slope: Slope, run: Callable[[float], list[float]]
) -> tuple[Mapping[int, Grid], float]:
    """Give the multiple that the least depth would choose, and see that the largest ran at it."""
    few, deep = min(losses), max(losses)
    kept = kept_of(losses[few], slope.optima[few])
    if kept in losses[deep]:
        return losses, kept
    return {**losses, deep: {**losses[deep], kept: run(kept)}}, kept


def kept_of(grid: Grid, optimum: float) -> float:
    """Give log₂ of the multiple that the run's own depth would choose.

    Where the seeds do not tell several multiples from the best one (their means lie within its
    standard error), that nearest to the fitted optimum counts.

    Args:
        grid: End losses at the run's own depth.
        optimum: log₂ of the best multiple, as fitted.
    """
    least = grid[best_of(grid)]
    limit = float(np.mean(least)) + float(np.std(least, ddof=1)) / math.sqrt(len(least))
    alike = [multiple for multiple in grid if np.mean(grid[multiple]) <= limit]
    return min(alike, key=lambda multiple: abs(multiple - optimum))


def regret_of(deep: Grid, kept: float) -> tuple[float, float]:
    """Give what a multiple costs at the largest depth, and a spread beside it.

    Args:
        deep: End losses at the largest depth.
        kept: log₂ of the multiple, one of its grid.

    Returns:
        The mean loss there above the least mean, and the standard deviation over seeds of the
        losses at the best multiple.
    """
    best = deep[best_of(deep)]
    lost = 0.0 if kept == best_of(deep) else float(np.mean(deep[kept]) - np.mean(best))
    return lost, float(np.std(best, ddof=1))


def _cost(check: Check, depths: list[int], deep: int) -> str:
    least, most = ((check.rates + more) * check.seeds for more in (FINER - 1, FINER + MOVES))
    work = [sum(depths) * runs * check.steps / deep for runs in (least, most)]
    at = ", ".join(map(str, depths))
    return (
        f"before the run, {least} to {most} runs of {check.steps} updates at each of {at} blocks:"
        f" as much work as {work[0]:,.0f} to {work[1]:,.0f} updates of the deep network"
    )
