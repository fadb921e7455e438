"""A strategy of the user's own, by the name of the function that gives it."""

from dataclasses import replace
from typing import Any

from skipwise.description import Call
from skipwise.strategies.named import named_strategies
from skipwise.strategies.optimisers import Optimiser
from skipwise.strategies.schedules import Constant
from skipwise.strategies.strategy import Strategy

RATE = 0.01  # of an optimiser that comes without a strategy


def own_strategy(target: str) -> Strategy:
    """Call ``package.module:function``; an optimiser alone is taken at a constant rate of 0.01.

    One of our strategies that was changed is called as the function is.

    Raises:
        ValueError: If it cannot be called, or returns neither a strategy nor an optimiser.
    """
    call = Call(target=target)
    made: Any = call()
    if isinstance(made, Strategy):
        ours = made.name in {make().name for make in named_strategies().values()}
        return replace(made, name=call.name) if ours else made
    if isinstance(made, Optimiser):
        return Strategy(name=call.name, optimiser=made, peak_lr=RATE, schedule=Constant())
    raise ValueError(
        f"{target} must return a Strategy or an Optimiser, it returned {type(made).__name__}"
    )
