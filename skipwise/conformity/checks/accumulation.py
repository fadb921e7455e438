"""Gradients that are added up over the parts of a batch give the step of the whole batch."""

from skipwise.conformity.outcome import Outcome, judged, steadied, tolerance
from skipwise.conformity.problem import difference
from skipwise.conformity.rehearsal import WITHOUT_NORMS, finish, rehearsal, weights_of
from skipwise.strategies import Strategy

PARTS = 3  # of 8 examples: they are not equally large


def accumulates_exactly(strategy: Strategy) -> Outcome:
    """In parts or whole, the weights are the same (float64, no batch norm)."""
    strategy = steadied(strategy)
    whole = rehearsal(strategy, network=WITHOUT_NORMS)
    parted = rehearsal(strategy, network=WITHOUT_NORMS, parts=PARTS)
    start = weights_of(whole.model)
    one, other = (weights_of(finish(run).model) for run in (whole, parted))
    apart = difference(one, other, start)
    sentence = f"in {PARTS} parts the weights differ by {apart:.1e} of the way after 6 steps"
    return judged(apart <= tolerance(strategy.optimiser), sentence, apart=apart)
