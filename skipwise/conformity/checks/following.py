"""The rule equals its formula, and a step of the training loop is one update of it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from skipwise.conformity.changing import allowed_variants, paths
from skipwise.conformity.formulas import Setting, change_of, formula_of, norm_of
from skipwise.conformity.formulas.searching import direction, excess
from skipwise.conformity.outcome import (
    EXACT,
    Outcome,
    judged,
    not_due,
    precision_of,
    steadied,
    tolerance,
    unjudged,
)
from skipwise.conformity.problem import (
    PARTS,
    Array,
    Arrays,
    Problem,
    Walk,
    difference,
    drawn,
)
from skipwise.conformity.rehearsal import rehearsal, weights_of
from skipwise.description import replace_at
from skipwise.randomness import seeded
from skipwise.strategies import LBFGS, Chain, Muon, Strategy, decays, roles
from skipwise.training import learning_of, train

NO_FORMULA = "there is no formula of this rule in the package to compare with"
GRADIENTS = 40  # more than ZClip settles in


def equals_its_formula(strategy: Strategy) -> Outcome:
    """One update, and ten with gradients that change, equal the formula written in float64.

    So do the weights that are evaluated, those of the rule with each of its numbers changed, one at
    a time, and all with gradients so small that a number added to them somewhere is seen.
    """
    if isinstance(strategy.optimiser, LBFGS):
        return _searches_along_its_formula(strategy, strategy.optimiser)
    if formula_of(strategy.optimiser) is None:
        return unjudged(NO_FORMULA)
    problem, allowed = drawn(), tolerance(strategy.optimiser)
    one, ten = _apart(strategy, problem)
    others = {path: _apart(other, problem)[1] for path, other in _others(strategy)}
    others["gradient, a ten thousandth"] = _apart(strategy, drawn(scale=1e-4))[1]
    worst = max(others, key=lambda path: (math.isnan(others[path]), others[path]))
    varied = others[worst]
    which = f"{len(others)} changes of numbers" if varied <= allowed else f"another {worst}"
    return judged(
        all(apart <= allowed for apart in (one, ten, *others.values())),
        f"differs from its formula by {one:.1e} of the way after one update, by {ten:.1e} in ten,"
        f" by {varied:.1e} with {which}{precision_of(strategy.optimiser)}",
        one=one,
        ten=ten,
        varied=varied,
    )


def _others(strategy: Strategy) -> Iterator[tuple[str, Strategy]]:
    """Yield the strategy with each number of its rule changed to the first that is allowed."""
    for path, values in paths(strategy.optimiser, "optimiser."):
        kept = list(allowed_variants(strategy, path, values))
        yield from ((path, other) for other in kept[:1])
        if path.endswith("epsilon"):  # so large that its place in the formula is seen
            yield f"{path} of 0.1", replace_at(strategy, path, 0.1)


def _apart(strategy: Strategy, problem: Problem) -> tuple[float, float]:
    """Give the difference after one update, and the largest of all."""
    wanted, walk, apart = slowly(strategy, problem), Walk(strategy, problem), []
    its_roles = {name: part.role for name, part in PARTS.items()}
    assert wanted is not None
    for after in wanted:
        walk.step()
        trained = _of_each(strategy, walk.weights(), after.trained, problem.start, its_roles)
        evaluated = _of_each(strategy, walk.evaluated(), after.evaluated, problem.start, its_roles)
        apart.append(float(np.max([trained, evaluated])))
    return apart[0], float(np.max(apart))


def _of_each(
    strategy: Strategy, found: Arrays, wanted: Arrays, start: Arrays, its_roles: Mapping[str, str]
) -> float:
    """Give the difference, of Muon's weights and of the rest in units of their own ways.

    A way a thousandth as long, as Prodigy's is at first, would hide beside the other.
    """
    muon = any(isinstance(rule, Muon) for rule in strategy.optimiser.rules)
    branch = {name for name in start if muon and its_roles[name] == "branch"}
    parts = [names for names in (branch, start.keys() - branch) if names]
    cut = ([{n: w[n] for n in names} for w in (found, wanted, start)] for names in parts)
    return float(np.max([difference(*each) for each in cut]))


@dataclass(frozen=True, kw_only=True)
class After:
    """Weights after a step.

    Args:
        trained: Those that the rule moves.
        evaluated: Those that it evaluates.
    """

    trained: Arrays
    evaluated: Arrays


def slowly(strategy: Strategy, problem: Problem) -> list[After] | None:
    """Give the weights after each step by the formula, or None where there is none."""
    formula = formula_of(strategy.optimiser)
    if formula is None:
        return None
    weights, found = problem.start, []
    for step in range(problem.steps):
        rate = strategy.rate(step, problem.steps)
        settings = {name: setting_of(strategy, name, rate) for name in weights}
        weights = formula.step(weights, partial(problem.gradient, step), settings)
        found.append(After(trained=weights, evaluated=formula.evaluated(weights)))
    return found


def setting_of(strategy: Strategy, name: str, rate: float) -> Setting:
    """Say what is due to a parameter of the small problem."""
    part = PARTS[name]
    factor = strategy.layer_decay**part.distance * strategy.rates.get(part.role, 1.0)
    if name == "connection.scale":  # the one parameter of one number
        factor *= strategy.scalar_rate
    decay = strategy.weight_decay * strategy.decay_factors.get(part.role, float(part.decays))
    return Setting(rate=rate * factor, decay=decay, role=part.role)


def _searches_along_its_formula(strategy: Strategy, rule: LBFGS) -> Outcome:
    """Each of ten updates of one search goes along the direction, as far as Wolfe would have it.

    How far is read off the step; the direction is that of all the steps that were taken before, and
    of as few as two.
    """
    rules = (rule, replace(rule, history=2))
    found = [_search(steadied(replace(strategy, optimiser=each)), each.history) for each in rules]
    aside, broken = (float(np.max(numbers)) for numbers in zip(*found, strict=True))
    return judged(
        aside <= EXACT and broken <= EXACT,
        f"ten updates leave their direction by {aside:.1e} of the way, and their lengths keep the"
        f" strong Wolfe conditions with {-broken:.1e} to spare",
        aside=aside,
        spare=-broken,
    )


def _search(strategy: Strategy, history: int) -> tuple[float, float]:
    """Give how far steps leave their direction, and by how much they break the conditions."""
    problem = drawn()
    problem = replace(problem, pushes=problem.pushes[:1] * problem.steps)  # one function
    walk, before, pairs = Walk(strategy, problem), problem.start, list[tuple[Array, Array]]()
    aside, broken = [], []
    for step in range(problem.steps):
        walk.step()
        after = walk.weights()
        old, new = (_flat(problem.gradient(step, w)) for w in (before, after))
        towards, move = direction(old, pairs[-history:]), _flat(after) - _flat(before)
        if not move.any():
            return math.inf, math.inf
        length = float(move @ towards) / float(towards @ towards)
        aside.append(np.abs(move - length * towards).max() / np.abs(move).max())
        losses = problem.loss(step, before), problem.loss(step, after)
        broken.append(excess(losses, (float(old @ towards), float(new @ towards)), length))
        pairs.append((move, new - old))
        before = after
    return float(np.max(aside)), float(np.max(broken))


def _flat(arrays: Arrays) -> Array:
    return np.concatenate([value.ravel() for value in arrays.values()])


def steps_once(strategy: Strategy) -> Outcome:
    """A step of the loop is one call of the optimiser, and moves as far as one update.

    A rule without a formula is asked how many steps it counts itself, if it asks for the gradient
    once; what it does within one is not known.
    """
    formula = formula_of(strategy.optimiser)
    run = rehearsal(strategy)
    optimiser: Any = run.optimiser
    calls, asked, step = [], [], optimiser.step

    def counted(closure: Any) -> Any:
        calls.append(1)
        return step(lambda: asked.append(1) or closure())

    optimiser.step = counted
    start, rate, steps = weights_of(run.model), run.rate, iter(train(run))
    next(steps)
    if len(calls) != 1:
        return judged(False, f"the optimiser was called {len(calls)} times in one step")
    if isinstance(strategy.optimiser, LBFGS):
        return not_due("one call of the optimiser a step, which goes as far as its search does")
    if formula is None:
        seen = [_steps_counted(optimiser), *(_steps_counted(optimiser) for _ in islice(steps, 2))]
        many = [n for n in seen[0] if n > 1 and seen == [{n}, {2 * n}, {3 * n}]]
        if many and len(asked) == len(calls):
            return judged(False, f"one call of the optimiser is {many[0]:g} steps by its own count")
        return unjudged(f"one call of the optimiser a step; {NO_FORMULA}")
    gradients = {
        name: np.zeros_like(start[name]) if p.grad is None else p.grad.numpy()
        for name, p in run.model.named_parameters()
    }
    settings = _settings(run.strategy, run.model, rate)
    wanted = formula.step(start, lambda _: gradients, settings)
    apart = _of_each(strategy, weights_of(run.model), wanted, start, roles(run.model))
    return judged(
        apart <= tolerance(strategy.optimiser),
        f"one call a step, which differs from one update by {apart:.1e} of the way",
        apart=apart,
    )


def _steps_counted(optimiser: Optimizer) -> set[float]:
    """Give the numbers of steps that a rule says it took, of the parameters it counts them for."""
    states = [state for state in optimiser.state.values() if isinstance(state, Mapping)]
    counts = [state.get("step") for state in states]
    counts = [c.item() if isinstance(c, Tensor) and c.numel() == 1 else c for c in counts]
    return {count for count in counts if isinstance(count, int | float)}


def _settings(strategy: Strategy, model: Any, rate: float) -> Mapping[str, Setting]:
    of_roles, far = roles(model), _distances(model)
    return {
        name: Setting(
            rate=rate
            * strategy.layer_decay ** far[name]
            * (strategy.scalar_rate if p.numel() == 1 and not name.startswith("head.") else 1.0)
            * strategy.rates.get(of_roles[name], 1.0),
            decay=strategy.weight_decay
            * strategy.decay_factors.get(of_roles[name], float(decays(of_roles[name]))),
            role=of_roles[name],
        )
        for name, p in model.named_parameters()
    }


def _distances(model: Any) -> dict[str, int]:
    blocks = len(model.trunk.blocks)
    found = {}
    for name, _ in model.named_parameters():
        words = name.split(".")
        inner = blocks - int(words[2]) if words[:2] == ["trunk", "blocks"] else 0
        found[name] = blocks + 1 if words[0] == "stem" else inner
    return found


def gradient_equals_its_formula(strategy: Strategy) -> Outcome:
    """What happens to gradients of all sizes equals the formula, with other numbers too."""
    if not strategy.transforms:
        return not_due("the gradient is taken as it is")
    if any(change_of(part) is None for part in strategy.transforms):
        return unjudged("there is no formula of its own transform in the package to compare with")
    others = [
        other
        for path, values in paths(strategy)
        if path.partition(".")[0] in ("gradient", "clip_norm")
        for other in list(allowed_variants(strategy, path, values))[:1]
    ]
    one = _changed_otherwise(strategy)
    varied = float(np.max([_changed_otherwise(other) for other in others], initial=0.0))
    return judged(
        one <= EXACT and varied <= EXACT,
        f"gradients differ from their formula by {one:.1e} in {GRADIENTS} steps, by {varied:.1e}"
        f" with {len(others)} changes of numbers",
        one=one,
        varied=varied,
    )


def _changed_otherwise(strategy: Strategy) -> float:
    """Give the largest difference of gradients that are transformed, in units of the largest."""
    problem, sizes = drawn(GRADIENTS), np.random.default_rng(1).uniform(-3, 1, GRADIENTS)
    chain, walk = Chain(strategy.transforms), Walk(strategy, problem)
    parts = [(part, change_of(part), dict[str, Any]()) for part in strategy.transforms]
    its_roles = {name: part.role for name, part in PARTS.items()}
    learning = learning_of(walk.module)
    apart = []
    for step, size in enumerate(sizes):
        given = problem.gradient(step, problem.start)
        wanted: Arrays = {name: 10**size * g for name, g in given.items()}
        for entry in learning:
            entry.parameter.grad = torch.from_numpy(wanted[entry.name].copy())
        with seeded("conformity", step):
            chain.apply(learning, torch.tensor(norm_of(wanted), dtype=torch.float64), step)
        chain.keep()
        with seeded("conformity", step):
            for part, change, state in parts:
                assert change is not None
                wanted = change(part, state, wanted, problem.start, its_roles)
        found = {n: p.grad.numpy() for n, p in walk.named.items() if p.grad is not None}
        nothing = {name: np.zeros_like(g) for name, g in wanted.items()}
        apart.append(difference(found, wanted, nothing))
    return float(np.max(apart))
