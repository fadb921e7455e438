"""Tables of what was watched: the verdicts as they changed, and what each monitor cost."""

from skipwise.records import VerdictRecord
from skipwise.reports.chart import Table
from skipwise.reports.inside import watched
from skipwise.reports.reading import Reading
from skipwise.reports.words import duration, percent


def verdicts(run: Reading) -> Table | None:
    """Give every verdict at the step at which it became so; None if none was passed."""
    found = [event for event in run.events if isinstance(event, VerdictRecord)]
    rows = [[v.rule, v.name, f"{v.step:,}", v.level, v.says, v.cure] for v in found]
    columns = ["rule", "about", "since step", "verdict", "what was seen", "what would mend it"]
    caption = "Verdicts, each where it changed."
    return Table(caption=caption, columns=columns, rows=rows) if rows else None


def costs(run: Reading) -> Table | None:
    """Give how often each monitor measured, on how much, and what it cost; None without any."""
    seconds = sum(step.seconds for step in run.steps)
    rows = []
    for name, measures in watched(run).items():
        spent = sum(m.values["seconds"] for m in measures)
        rows.append([
            name,
            f"{len(measures):,}",
            f"{measures[-1].values['examples']:,.0f}",
            duration(spent),
            duration(spent / len(measures)),
            percent(spent / seconds) if seconds else "",
        ])
    columns = ["monitor", "measurements", "examples", "in all", "each", "of the step time"]
    caption = "What watching cost; it is no part of a step's time."
    return Table(caption=caption, columns=columns, rows=rows) if rows else None
