"""What a person sees while a study goes: a table on a terminal, plain lines elsewhere."""

import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from skipwise.studies.launchers import DIVERGED, FAILED, FINISHED, REPEATED, News, Outcome, Task

LINE_SECONDS = 30.0


@dataclass(kw_only=True)
class Row:
    """How far the runs of one arm have come."""

    runs: int = 0
    scores: list[float] = field(default_factory=list)
    diverged: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def ended(self) -> int:
        """Runs that are over."""
        return len(self.scores) + self.diverged + self.failed


@final
class Progress:
    """How far a study has come; takes news, and counts.

    Args:
        tasks: All that is to be done.
        jobs: How many are done at the same time.
        title: What they are, in a word.
    """

    def __init__(self, tasks: Sequence[Task], jobs: int = 1, *, title: str):
        self.title, self.jobs, self.total = title, jobs, len(tasks)
        self.rows: dict[str, Row] = {}
        for task in tasks:
            self.rows.setdefault(task.arm, Row()).runs += 1
        self.running: dict[Task, tuple[int, int]] = {}
        self.began = time.perf_counter()

    def known(self, task: Task, outcome: Outcome) -> None:
        """Count what had ended before."""
        row = self.rows[task.arm]
        if outcome.state == FINISHED:
            row.scores.append(math.nan if outcome.score is None else outcome.score)
        row.diverged += outcome.state == DIVERGED
        row.failed += outcome.state == FAILED
        if outcome.is_result:
            row.seconds.append(outcome.seconds)

    def take(self, news: News) -> str | None:
        """Count what is told, and give a line where a reader should hear of it at once."""
        if news.task is None:
            return None
        if news.outcome is None:
            at = self.running.get(news.task, (0, 0))
            self.running[news.task] = (news.step, news.steps) if news.steps else at
            self.jobs = max(self.jobs, len(self.running))  # a cluster may do more than is known
            return None
        self.running.pop(news.task, None)
        self.known(news.task, news.outcome)
        return self._line(news.task, news.outcome)

    def _line(self, task: Task, outcome: Outcome) -> str:
        done = sum(row.ended for row in self.rows.values())
        what = f"{task.arm}, seed {task.seed}"
        if outcome.state == FINISHED:
            score = "" if outcome.score is None else f" {outcome.score:.4f}"
            return f"{done}/{self.total} {what}:{score} in {outcome.seconds:.1f} s{self._left()}"
        if outcome.state == REPEATED:
            return f"{what}: {outcome.words}; it is done once more, from its last save"
        return f"{done}/{self.total} {what}: {outcome.state}: {outcome.words}"

    def seconds_left(self) -> float:
        """Estimate from what the runs of each arm took; NaN until one has ended."""
        known = [s for row in self.rows.values() for s in row.seconds]
        if not known:
            return math.nan
        usual = statistics.mean(known)
        left = sum(
            (row.runs - row.ended) * (statistics.mean(row.seconds) if row.seconds else usual)
            for row in self.rows.values()
        )
        begun = sum(step / steps for step, steps in self.running.values() if steps) * usual
        return max(left - begun, 0.0) / self.jobs

    def _left(self) -> str:
        left = self.seconds_left()
        return "" if math.isnan(left) or not left else f", about {in_time(left)} left"

    def summary(self) -> str:
        """Say in one line how far it has come."""
        done = sum(row.ended for row in self.rows.values())
        return f"{self.title}: {done}/{self.total} done, {len(self.running)} running{self._left()}"

    def table(self) -> Table:
        """Draw one row for each arm."""
        table = Table(title=self.summary(), title_justify="left")
        for column in ("arm", "done", "running", "mean", "deviation"):
            table.add_column(column, justify="left" if column == "arm" else "right")
        for arm, row in self.rows.items():
            now = [at for task, at in self.running.items() if task.arm == arm]
            at = ", ".join(f"{step}/{steps}" if steps else "begins" for step, steps in now)
            mean = f"{statistics.mean(row.scores):.4f}" if row.scores else ""
            spread = f"{statistics.stdev(row.scores):.4f}" if len(row.scores) > 1 else ""
            odd = "".join(
                f", {count} {word}"
                for count, word in ((row.diverged, DIVERGED), (row.failed, FAILED))
                if count
            )
            table.add_row(arm, f"{row.ended}/{row.runs}{odd}", at, mean, spread)
        return table


class Teller:
    """Says nothing; the others say more."""

    def heard(self, progress: Progress, line: str | None) -> None:
        """Take note that news came, and what line goes with it."""

    def say(self, words: str) -> None:
        """Say something beside the news."""


@final
class Lines(Teller):
    """Plain lines: every end of a run, and now and then how far it has come."""

    def __init__(self):
        self.spoke = time.perf_counter()

    def heard(self, progress: Progress, line: str | None) -> None:
        """Print the line, or after a while the summary."""
        now = time.perf_counter()
        if line is None and now - self.spoke < LINE_SECONDS:
            return
        self.spoke = now
        self.say(line or progress.summary())

    def say(self, words: str) -> None:
        """Print it."""
        print(words, file=sys.stderr, flush=True)


@final
class OnTerminal(Teller):
    """A table that renews itself; what went wrong stays above it."""

    def __init__(self, live: Live):
        self.live = live

    def heard(self, progress: Progress, line: str | None) -> None:
        """Draw the table anew."""
        if line is not None and ("once more" in line or f": {FAILED}" in line):
            self.say(line)
        self.live.update(progress.table())

    def say(self, words: str) -> None:
        """Print it above the table."""
        self.live.console.print(words, highlight=False)


@contextmanager
def telling(*, quiet: bool) -> Iterator[Teller]:
    """Give what tells: nothing, lines, or a table where there is a terminal."""
    console = Console(stderr=True)
    if quiet:
        yield Teller()
    elif not console.is_terminal:
        yield Lines()
    else:
        with Live(console=console, refresh_per_second=4) as live:
            yield OnTerminal(live)


def in_time(seconds: float) -> str:
    """Write about how long something takes.

    >>> in_time(75), in_time(600), in_time(9000)
    ('75 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
