"""The guard against explosion, as a description: what is refused, and what is done about it."""

from dataclasses import dataclass
from math import inf

from skipwise.description import Description


@dataclass(frozen=True, kw_only=True)
class Guard(Description):
    """Skips steps that would do harm, and returns to an earlier state where skipping is no help.

    A step is skipped, and changes nothing, if its loss or its gradient's norm n is not finite, or
    if n has exploded: with m the median of log n over the last ``window`` steps that were taken,
    s the larger of 1.4826 times their median absolute deviation and 0.1, m₀ the median over the
    first ``settling``, and m₁ the largest of the last ten::

        log n − m > sigmas · s    and    log n > max(m, m₀, m₁) + log ratio

    m₀ leaves alone the late batch of a network that has nearly nothing to learn any more, m₁ one
    whose branches start at zero and wake up within some steps. Neither condition is asked in the
    first ``settling`` steps.

    The run returns to an earlier state after ``patience`` skipped steps in a row, after an update
    that left weights which are not finite, where the median loss of the last ``patience`` steps is
    more than ``ratio`` times the larger of 1, the loss of the first step and the median of the
    window, and where the gradient of ``patience`` of the last 2 ``patience`` steps is exactly zero
    with a loss above 0.001: hardly a unit is active any more. That state is the newest of ``kept``
    that was taken at least ``age`` steps before the trouble; the rate is multiplied by ``factor``
    from there on, and the batches go on, so those that did harm lie behind. Where a loss in the
    ``settling`` steps after a return is more than 1.5 times the largest remembered, than 1.5, and
    than that of the kept state on the same batch, the rate is too high still, and the run returns
    again; the last of ``returns`` is kept for lasting trouble.

    The kept states are copies of weights, optimiser and average, in memory and in every checkpoint.
    A step waits for the device twice: for the loss and the norm, and for whether the weights are
    finite. A rule that asks for the gradient twice, as SAM does, makes it wait three times.

    Args:
        patience: Skipped steps in a row that lead to a return.
        factor: On the rate, at each return, in (0, 1).
        returns: After so many returns the next trouble ends the run.
        sigmas: Robust standard deviations.
        ratio: At least so many times the usual norm, or loss, is an explosion.
        settling: Steps at the start in which only what is not finite counts.
        window: Steps whose norms and losses are remembered, at least twice ``patience``.
        every: Steps between two kept states.
        kept: How many states are kept.
        age: Least number of steps between a state and the trouble that it is returned to from, at
            most ``(kept - 1) * every``, which is how far the states reach back.

    Source: skipping steps that are not finite: torch's ``GradScaler``; returning to a state some
    hundred steps before a spike and leaving batches out: Chowdhery et al. (2022), "PaLM", section
    5.1. Differs: the rate is lowered too, and the test is robust and ours.
    """

    patience: int = 5
    factor: float = 0.1
    returns: int = 10
    sigmas: float = 6.0
    ratio: float = 10.0
    settling: int = 20
    window: int = 100
    every: int = 100
    kept: int = 2
    age: int = 50

    def __post_init__(self):
        super().__post_init__()
        counts = {
            "patience": self.patience,
            "returns": self.returns,
            "settling": self.settling,
            "window": self.window,
            "every": self.every,
            "kept": self.kept,
        }
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} of the guard must be positive, got {value}")
        if self.age < 0:
            raise ValueError(f"age of the guard must not be negative, got {self.age}")
        if not 0 < self.factor < 1:
            raise ValueError(
                f"factor of the guard must lie in (0, 1), got {self.factor}; it lowers the rate at"
                " each return"
            )
        for name, value in (("sigmas", self.sigmas), ("ratio", self.ratio)):
            if not 1 < value < inf:
                raise ValueError(
                    f"{name} of the guard must be more than 1, got {value}, or healthy steps would"
                    " be skipped"
                )
        if self.window < self.settling:
            raise ValueError(
                f"window of the guard must be at least settling, got {self.window} and"
                f" {self.settling}"
            )

    def check_reach(self) -> None:
        """Refuse a guard that could not do what it is for.

        Not where it is made, so that a run of an older version can still be opened.

        Raises:
            ValueError: If the window is too short to see an explosion, or no state is old enough.
        """
        if self.window < 2 * self.patience:
            raise ValueError(
                "window of the guard must be at least twice its patience, or losses that explode"
                f" are not seen; got {self.window} and {self.patience}"
            )
        reach = (self.kept - 1) * self.every
        if reach < self.age:
            raise ValueError(
                f"the guard keeps states of at most {reach} steps ago, (kept - 1) * every, so age"
                f" must not be above that, got {self.age}; set a smaller age, or more kept"
            )
