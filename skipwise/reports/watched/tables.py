"""Tables of what was watched: the verdicts as they changed, and what each monitor cost."""

import math

from skipwise.records import VerdictRecord
from skipwise.reports.chart import Table
from skipwise.reports.inside import spent, watched
from skipwise.reports.reading import Reading
from skipwise.reports.words import duration, number, percent

EDGE = "V4"
SHARPNESS, RATIO = "watch curvature: batch sharpness", "seen / limit"


def verdicts(run: Reading) -> Table | None:
    """Give every verdict at the step at which it became so; None if none was passed."""
    found = [event for event in run.events if isinstance(event, VerdictRecord)]
    rows = [[v.rule, v.name, f"{v.step:,}", v.level, v.says, v.cure] for v in found]
    last = max((n for n, verdict in enumerate(found) if verdict.rule == EDGE), default=None)
    if last is not None:
        rows[last][4] += _since(run, found[last].step)
    columns = ["rule", "about", "since step", "verdict", "what was seen", "what would mend it"]
    caption = "Verdicts, each where it changed, with the numbers of that step."
    return Table(caption=caption, columns=columns, rows=rows) if rows else None


def _since(run: Reading, step: int) -> str:
    """Say of the curvature what was measured after the verdict became so: the last and worst."""
    measures = [(m.step, m.values.get(RATIO, math.nan)) for m in run.measures(SHARPNESS)]
    later = [(at, ratio) for at, ratio in measures if at > step and math.isfinite(ratio)]
    if not later:
        return ""
    (at, ratio), (worst_at, worst) = later[-1], max(later, key=lambda each: each[1])
    words = f" Since then: {number(ratio)} of the limit at step {at:,}, the last"
    return f"{words}; at most {number(worst)}, at step {worst_at:,}."


def costs(run: Reading) -> Table | None:
    """Give how often each monitor measured, on how much, and what it cost; None without any."""
    seconds, whole = sum(step.seconds for step in run.steps), sum(spent(run).values())
    rows = []
    for name, measures in watched(run).items():
        cost = sum(m.values["seconds"] for m in measures)
        rows.append([
            name,
            f"{len(measures):,}",
            f"{measures[-1].values['examples']:,.0f}",
            duration(cost),
            duration(cost / len(measures)),
            percent(cost / seconds) if seconds else "",
            percent(cost / whole) if whole else "",
        ])
    columns = ["monitor", "measurements", "examples", "in all", "each"]
    columns += ["against the time of all steps", "of the whole run"]
    caption = (
        "What watching cost, over the whole run. It is no part of a step's time, and is held"
        " against that of all steps; the whole run holds evaluations, saves and watching too, as in"
        " “Where the time went”."
    )
    return Table(caption=caption, columns=columns, rows=rows) if rows else None
