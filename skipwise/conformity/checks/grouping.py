"""Parameters do not meddle with each other: without gradient, in another order, in other groups."""

import numpy as np
from torch import nn
from torch.optim import Optimizer

from skipwise.conformity.outcome import Outcome, judged, steadied, tolerance
from skipwise.conformity.problem import Arrays, Walk, difference, distances_of, drawn
from skipwise.strategies import Optimiser, Strategy, parameter_groups

ABSENT = ("branch.weight", "branch.bias", "norm.weight")


def absent_gradients_are_harmless(strategy: Strategy) -> Outcome:
    """A parameter without a gradient stays, decay or not, whether it had one before or will."""
    problem = drawn(12)
    walk = Walk(strategy, problem, absent=ABSENT)
    for _ in range(3):
        walk.step()
    weights = walk.weights()
    moved = [name for name in ABSENT if not np.array_equal(weights[name], problem.start[name])]
    if moved:
        return judged(False, f"{moved[0]} has no gradient and moves")
    still = [n for n in weights if n not in ABSENT and np.array_equal(weights[n], problem.start[n])]
    if still:
        return judged(False, f"{still[0]} has a gradient and stays, since others have none")
    walk.absent = ()
    for _ in range(3):
        walk.step()
    after = walk.weights()
    late = [name for name in ABSENT if np.array_equal(after[name], problem.start[name])]
    broken = [name for name, w in after.items() if not np.isfinite(w).all()]
    if late or broken:
        return judged(False, f"{(late or broken)[0]} is lost once its gradient comes")
    if strategy.optimiser.can_skip:  # one that cannot moves along directions of before
        walk.absent = ABSENT
        for _ in range(6):
            walk.step()
        frozen = walk.weights()
        moved = [name for name in ABSENT if not np.array_equal(frozen[name], after[name])]
        if moved:
            return judged(False, f"{moved[0]} has a gradient no more and moves")
    return judged(True, "parameters without a gradient stay, and join in when they have one")


def order_does_not_matter(strategy: Strategy) -> Outcome:
    """Each parameter in a group of its own, in reverse, gives the same weights."""
    strategy = steadied(strategy)
    problem = drawn()
    usual, single = Walk(strategy, problem), Walk(strategy, problem)
    single.optimiser = _one_by_one(strategy, single.module)
    apart = 0.0
    for _ in range(problem.steps):
        usual.step()
        single.step()
        one: Arrays = usual.weights()
        apart = float(np.maximum(apart, difference(single.weights(), one, problem.start)))
    return judged(
        apart <= tolerance(strategy.optimiser),
        f"in groups of one and in reverse, weights differ by {apart:.1e} of the way",
        apart=apart,
    )


def _one_by_one(strategy: Strategy, module: nn.Module) -> Optimizer:
    groups = parameter_groups(
        module,
        strategy.weight_decay,
        layer_decay=strategy.layer_decay,
        distances=distances_of(strategy),
        scalar_rate=strategy.scalar_rate,
        rates=strategy.rates,
        decay_factors=strategy.decay_factors,
    )
    rule: Optimiser = strategy.optimiser
    alone = [{**group, "params": [p]} for group in groups for p in group["params"]]
    return rule.build(alone[::-1], rate=strategy.peak_lr)
