"""The rule equals its formula, and a step of the training loop is one update of it."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from skipwise.conformity.changing import allowed_variants, paths
from skipwise.conformity.formulas import Setting, formula_of
from skipwise.conformity.outcome import Outcome, judged, not_due, precision_of, tolerance
from skipwise.conformity.problem import (
    PARTS,
    Arrays,
    Problem,
    difference,
    drawn,
    walked,
)
from skipwise.conformity.rehearsal import rehearsal, weights_of
from skipwise.description import replace_at
from skipwise.strategies import Strategy, decays, roles
from skipwise.training import train

NO_FORMULA = "there is no formula of this rule in the package to compare with"


def equals_its_formula(strategy: Strategy) -> Outcome:
    """One update, and ten with gradients that change, equal the formula written in float64.

    So do those of the rule with each of its numbers changed, one at a time, and all with gradients
    so small that a number added to them somewhere is seen.
    """
    if formula_of(strategy.optimiser) is None:
        return not_due(NO_FORMULA)
    problem, allowed = drawn(), tolerance(strategy.optimiser)
    one, ten = _apart(strategy, problem)
    others = {path: max(_apart(other, problem)) for path, other in _others(strategy)}
    others["gradient, a ten thousandth"] = max(_apart(strategy, drawn(scale=1e-4)))
    worst = max(others, key=others.__getitem__, default="")
    varied = others.get(worst, 0.0)
    which = f"another {worst}" if varied > allowed else f"{len(others)} changes of numbers"
    return judged(
        max(one, ten, varied) <= allowed,
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
    wanted, found = slowly(strategy, problem), walked(strategy, problem)
    assert wanted is not None
    pairs = zip(found, wanted, strict=True)
    apart = [difference(now, then, problem.start) for now, then in pairs]
    return apart[0], max(apart)


def slowly(strategy: Strategy, problem: Problem) -> list[Arrays] | None:
    """Give the weights after each step by the formula, or None where there is none."""
    formula = formula_of(strategy.optimiser)
    if formula is None:
        return None
    weights, found = problem.start, []
    for step in range(problem.steps):
        rate = strategy.rate(step, problem.steps)
        settings = {name: setting_of(strategy, name, rate) for name in weights}
        weights = formula.step(weights, partial(problem.gradient, step), settings)
        found.append(weights)
    return found


def setting_of(strategy: Strategy, name: str, rate: float) -> Setting:
    """Say what is due to a parameter of the small problem."""
    part = PARTS[name]
    factor = strategy.layer_decay**part.distance * strategy.rates.get(part.role, 1.0)
    if name == "connection.scale":  # the one parameter of one number
        factor *= strategy.scalar_rate
    decay = strategy.weight_decay * strategy.decay_factors.get(part.role, float(part.decays))
    return Setting(rate=rate * factor, decay=decay, role=part.role)


def steps_once(strategy: Strategy) -> Outcome:
    """A step of the loop is one call of the optimiser, and moves as far as one update."""
    formula = formula_of(strategy.optimiser)
    run = rehearsal(strategy)
    optimiser: Any = run.optimiser
    calls, step = [], optimiser.step

    def counted(closure: Any) -> Any:
        calls.append(1)
        return step(closure)

    optimiser.step = counted
    start, rate = weights_of(run.model), run.rate
    next(iter(train(run)))
    if len(calls) != 1:
        return judged(False, f"the optimiser was called {len(calls)} times in one step")
    if formula is None:
        return not_due(f"one call of the optimiser a step; {NO_FORMULA}")
    gradients = {
        name: np.zeros_like(start[name]) if p.grad is None else p.grad.numpy()
        for name, p in run.model.named_parameters()
    }
    settings = _settings(run.strategy, run.model, rate)
    wanted = formula.step(start, lambda _: gradients, settings)
    apart = difference(weights_of(run.model), wanted, start)
    return judged(
        apart <= tolerance(strategy.optimiser),
        f"one call a step, which differs from one update by {apart:.1e} of the way",
        apart=apart,
    )


def _settings(strategy: Strategy, model: Any, rate: float) -> Mapping[str, Setting]:
    of_roles, far = roles(model), _distances(model)
    return {
        name: Setting(
            rate=rate
            * strategy.layer_decay ** far[name]
            * (strategy.scalar_rate if p.numel() == 1 else 1.0)
            * strategy.rates.get(of_roles[name], 1.0),
            decay=strategy.weight_decay
            * strategy.decay_factors.get(of_roles[name], float(decays(name, p))),
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
