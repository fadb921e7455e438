"""A strategy of the user's own, by the name of the function that gives it."""

from typing import Any

from skipwise.description import Call
from skipwise.strategies.optimisers import Optimiser
from skipwise.strategies.schedules import Constant
from skipwise.strategies.strategy import Strategy

RATE = 0.01  # of an optimiser that comes without a strategy


def own_strategy(target: str) -> Strategy:
    """Call ``package.module:function``; an optimiser alone is taken at a constant rate of 0.01.

    Raises:
        ValueError: If it cannot be called, or returns neither a strategy nor an optimiser.
    """
    made: Any = Call(target=target)()
    if isinstance(made, Strategy):
        return made
    if isinstance(made, Optimiser):
        name = target.rpartition(":")[2]
        return Strategy(name=name, optimiser=made, peak_lr=RATE, schedule=Constant())
    raise ValueError(
        f"{target} must return a Strategy or an Optimiser, it returned {type(made).__name__}"
    )
