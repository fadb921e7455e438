"""The fused and the foreach implementation of a rule equal its plain loop."""

import numpy as np
from torch.optim import Optimizer

from skipwise.conformity.outcome import EXACT, Outcome, judged, not_due
from skipwise.conformity.problem import Walk, difference, drawn, walked
from skipwise.strategies import Strategy

KINDS = ("fused", "foreach")


def kernels_agree(strategy: Strategy) -> Outcome:
    """Ten steps with each implementation that the rule, or one within it, has are the loop's."""
    problem = drawn()
    groups = Walk(strategy, problem).optimiser.param_groups
    offered = [kind for kind in KINDS if any(kind in group for group in groups)]
    if not offered:
        return not_due("the rule has one implementation")
    wanted = walked(strategy, problem, change=_Choice(None))
    apart: dict[str, float] = {}
    for kind in offered:
        try:
            found = walked(strategy, problem, change=_Choice(kind))
        except NotImplementedError:
            continue
        pairs = zip(found, wanted, strict=True)
        apart[kind] = float(np.max([difference(now, then, problem.start) for now, then in pairs]))
    if not apart:
        return not_due("the rule has one implementation")
    words = ", ".join(f"{kind} by {value:.1e}" for kind, value in apart.items())
    return judged(
        all(value <= EXACT for value in apart.values()), f"differs from the loop: {words}", **apart
    )


class _Choice:
    """Asks for one implementation, or for the loop."""

    def __init__(self, kind: str | None):
        self.kind = kind

    def __call__(self, optimiser: Optimizer) -> None:
        for group in optimiser.param_groups:
            group.update({kind: kind == self.kind for kind in KINDS if kind in group})
