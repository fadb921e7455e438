"""The record of a search for a rate, which says and draws what was found."""

from dataclasses import dataclass
from pathlib import Path

from skipwise.tuning.picture import drawn, write_page
from skipwise.tuning.range_test import Sweep
from skipwise.tuning.trials import Trial


@dataclass(frozen=True, kw_only=True)
class FoundRate:
    """A learning rate, with what speaks for it; it prints itself, and draws itself in a notebook.

    Args:
        data: Name of the data.
        network: Name of the network.
        strategy: Name of the strategy.
        rate: The middle of those that are as good as the best of what was tried, to two digits.
        low: Lower end of the rates that the seeds do not tell from it.
        high: Upper end.
        sweeps: The range tests, one a seed.
        trials: The short runs, by rising rate.
        scored_by: What the runs were chosen by.
        seconds: How long all took.
        notes: What a reader should know, one sentence each.
    """

    data: str
    network: str
    strategy: str
    rate: float
    low: float
    high: float
    sweeps: tuple[Sweep, ...]
    trials: tuple[Trial, ...]
    scored_by: str
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def setting(self) -> str:
        """What ``--set`` takes."""
        return f"strategy.peak_lr={self.rate:g}"

    @property
    def words(self) -> tuple[str, ...]:
        """What was found, one sentence each."""
        seeds, steps = len(self.sweeps), len(self.trials[0].losses)
        turns = sorted(sweep.turn for sweep in self.sweeps)
        between = f"{turns[0]:.2g}" if seeds == 1 else f"{turns[0]:.2g} to {turns[-1]:.2g}"
        exploded = [sweep.limit for sweep in self.sweeps if sweep.exploded]
        beyond = f" and explodes at {min(exploded):.2g}" if exploded else ""
        return (
            f"The rate is {self.rate:g}, the middle of those that have the least {self.scored_by}"
            f" of {len({t.rate for t in self.trials})} in runs of up to {steps} updates.",
            f"Rates between {self.low:.2g} and {self.high:.2g} are as good, as far as"
            f" {seeds} {'seed' if seeds == 1 else 'seeds'} can tell.",
            f"In the range test the loss turns at {between}{beyond}.",
            *self.notes,
        )

    def __str__(self) -> str:
        return "\n".join(self.words)

    @property
    def title(self) -> str:
        """What the rate is of."""
        return f"Learning rate of {self.network} on {self.data}, {self.strategy}"

    @property
    def marks(self) -> tuple[float, float, float]:
        """The rate between the ends of its interval."""
        return self.low, self.rate, self.high

    def _repr_html_(self) -> str:
        return drawn(self.title, self.words, self.sweeps, self.marks)

    def draw(self, path: str | Path) -> Path:
        """Write the picture: one HTML file that needs nothing else.

        Args:
            path: The file.

        Returns:
            The file.
        """
        return write_page(
            Path(path), self.title, self.words, self.sweeps, self.trials, self.marks, self.scored_by
        )
