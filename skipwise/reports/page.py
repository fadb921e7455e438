"""The page: everything that a run says, put into one file."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from skipwise.files import (
    DIAGNOSIS,
    DIAGNOSIS_PAGE,
    EXPERIMENT,
    LOG,
    REPORT,
    check_ending,
    write_atomic,
)
from skipwise.records import RunRecord, finite, place_of, throughput
from skipwise.reports.chart import Chart, Table
from skipwise.reports.comparison import COMPARISON, Comparison, compare_to
from skipwise.reports.curves import curves
from skipwise.reports.inside import branches, gradients, times
from skipwise.reports.predictions import Picture, classes, confusion, frequent_mistakes, mistakes
from skipwise.reports.reading import Reading, read_run
from skipwise.reports.verdict import headline, interval, verdict
from skipwise.reports.watched import costs, over_depth, over_steps, verdicts
from skipwise.reports.words import PLAIN_NAMES, counted, duration, number, value_of

RESUMED = re.compile(r"session from step (\d+): (.*(?:skipwise|__main__\.py) resume .+)")
# What makes it another run: epochs, steps, time, set as options, or key=value for one of them.
CHANGE = re.compile(r"--(epochs|steps|time|set)(=|$)|(epochs|steps|time|[A-Za-z][\w-]*\.[\w.-]*)=")
DIFFERENT = {
    "regression": "Numbers were learned, not classes",
    "multi-label": "An example may have several labels",
}


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page; ``absent`` says what does not apply, and why.

    ``words`` and ``formulas`` come before the charts and explain them, ``seen`` is what the numbers
    say. ``partial`` is a template of its own, which writes ``content``.
    """

    name: str
    title: str
    words: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    absent: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    pictures_words: str = ""
    tables: tuple[Table, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    partial: str = ""
    content: Any = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the template writes."""

    title: str
    headline: str
    verdict: list[str]
    figures: list[tuple[str, str, str]]
    sections: list[Section]
    command: str = ""
    command_words: tuple[str, ...] = ()
    texts: list[tuple[str, str]] = field(default_factory=list)
    kicker: str = "Skipwise report"
    summary: str = "Verdict"


def report(*runs: str | Path | RunRecord, out: str | Path | None = None) -> Path:
    """Write the report of a run, or one page that puts several side by side.

    The run may still be going, or have broken off; the headline says so.

    Args:
        runs: Folders, or the records that :func:`skipwise.train` gave.
        out: The file; ``report.html`` in the run's folder if None, of several runs
            ``comparison.html`` in the current folder.

    Returns:
        The file.

    Raises:
        ValueError: If a folder is no run, none is given, or ``out`` lies in none or is no page.
        OSError: If the page cannot be written; a page that was there stays as it was.
    """
    folders = [place_of(run) for run in runs]
    if not folders:
        raise ValueError("name a run: skipwise report RUN")
    readings = [read_run(folder) for folder in folders]
    several = len(readings) > 1
    usual = Path(COMPARISON) if several else folders[0] / REPORT
    path = usual if out is None else Path(out)
    if path.is_dir():
        path /= usual.name
    check_ending(path, "report")
    place = path.parent
    if not place.is_dir():
        raise ValueError(f"the folder {place} does not exist; make it, or name another with --out")
    page = _compared(compare_to(readings, place)) if several else _of_run(readings[0], place)
    write_atomic(path, rendered(page).encode())
    return path


def rendered(page: Page) -> str:
    """Write the page, with its style, its program and plotly.js inside."""
    return _template().render(page=page, plotly=get_plotlyjs(), as_json=_as_json)


@cache
def _template():
    environment = Environment(
        loader=PackageLoader("skipwise.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = _unbroken
    environment.filters["formula"] = _set
    return environment.get_template("page.html")


def _unbroken(text: str) -> str:
    """Keep a number and its per cent sign on one line."""
    return text.replace(" %", "\u00a0%")


def _set(formula: str) -> Markup:
    """Set what stands behind ``_`` as a subscript: one sign, or what braces hold."""
    return Markup(re.sub(r"_(?:\{(.+?)\}|(\w))", r"<sub>\1\2</sub>", str(escape(formula))))


def _as_json(value) -> str:
    text = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # no text can end the element that it stands in


def _of_run(run: Reading, place: Path) -> Page:
    sections = [
        _how_it_learned(run),
        _predictions(run),
        _inside(run),
        *_diagnosed(run, place),
        *_watched(run),
        Section(name="time", title="Time", charts=_present(times(run)), absent=_if_no_steps(run)),
        Section(name="made", title="How it was made", tables=(_environment(run),)),
    ]
    return Page(
        title=run.title,
        headline=headline(run),
        verdict=verdict(run),
        figures=list(_figures(run)),
        sections=sections,
        command=_command(run),
        command_words=tuple(_not_repeated(run)),
        texts=[(EXPERIMENT, run.description), (LOG, run.log)],
    )


def _compared(comparison: Comparison) -> Page:
    return Page(
        title=comparison.title,
        headline=comparison.headline,
        verdict=comparison.verdict,
        figures=[],
        sections=[
            Section(name="results", title="Results", tables=(comparison.results,)),
            Section(
                name="curves",
                title="How they learned",
                charts=tuple(comparison.charts),
                absent=comparison.absent,
            ),
            Section(name="settings", title="Settings that differ", tables=(comparison.settings,)),
        ],
    )


def _present(*charts: Chart | None) -> tuple[Chart, ...]:
    return tuple(chart for chart in charts if chart is not None)


def _if_no_steps(run: Reading) -> tuple[str, ...]:
    return () if run.steps else ("No step was taken yet.",)


def _how_it_learned(run: Reading) -> Section:
    absent = list(_if_no_steps(run))
    if run.steps and not run.validations:
        part = run.facts.get("examples", {}).get("validation", 0)
        absent.append(
            "Nothing was validated yet."
            if part
            else "There is no validation part, so no curve of it."
        )
    return Section(
        name="curves", title="How it learned", charts=tuple(curves(run)), absent=tuple(absent)
    )


def _predictions(run: Reading) -> Section:
    record, task = run.scored, run.facts.get("task", "")
    if record is None:
        why = "There is no evaluation to look into."
        return Section(name="predictions", title="What it says", absent=(why,))
    matrix, behind = confusion(run, record.part), run.behind(record.part)
    absent: list[str] = []
    pictures: list[Picture] = []
    tables: tuple[Table, ...] = ()
    words = ""
    if task in DIFFERENT:
        absent.append(f"{DIFFERENT[task]}, so there is no confusion matrix.")
    elif behind is None:
        absent.append("The run recorded no single predictions: it was made before they were kept.")
    else:
        pictures = mistakes(run, behind, record.part)
        words = "Said with the most confidence and wrong, the worst first."
        if matrix is None:
            table = frequent_mistakes(run, record.part)
            tables = () if table is None else (table,)
            more = "; a table below names the most frequent mistakes" if tables else ""
            absent.append(f"There are too many classes for a confusion matrix{more}.")
        if not pictures:
            words = f"No example of the {record.part} part was taken for another class."
    return Section(
        name="predictions",
        title="What it says",
        charts=_present(matrix, classes(run, record)),
        absent=tuple(absent),
        pictures=tuple(pictures),
        pictures_words=words,
        tables=tables,
    )


def _inside(run: Reading) -> Section:
    shares = branches(run)
    absent = list(_if_no_steps(run))
    if shares is None and run.steps:
        absent.append(
            "Nothing is known of branches: the network has no blocks of Skipwise (Residual puts one"
            " around any module), there was no evaluation yet, or the run is an old one."
        )
    return Section(
        name="inside",
        title="Inside the network",
        charts=_present(gradients(run), shares),
        absent=tuple(absent),
    )


def _diagnosed(run: Reading, place: Path) -> Iterator[Section]:
    """Give what a diagnosis found, if there was one, and the way to its page from a folder."""
    found = run.diagnosis
    if found is None:
        return
    again = run.command("diagnose", run.folder, alone=True)
    page = run.folder / DIAGNOSIS_PAGE
    known = bool(found)
    bad = [v for v in found.get("verdicts", ()) if v.get("level") in ("FAIL", "WARN")]
    yield Section(
        name="diagnosis",
        title="Diagnosis",
        words=(found["headline"],) if known else (),
        seen=tuple(f"{v['level']} {v.get('rule')}: {v.get('says')}" for v in bad),
        absent=() if known else (f"{DIAGNOSIS} cannot be read; {again} writes it anew.",),
        partial="diagnosed.html",
        content=quote(os.path.relpath(page, place)) if known and page.exists() else "",
    )


def _watched(run: Reading) -> Iterator[Section]:
    """Give what the monitors saw, if the run had any."""
    table = costs(run)
    if table is not None:
        said = verdicts(run)
        yield Section(
            name="watched",
            title="What was watched",
            charts=(*over_depth(run), *over_steps(run)),
            tables=(table,) if said is None else (said, table),
        )


def _figures(run: Reading) -> Iterator[tuple[str, str, str]]:
    """Give (what, value, more) of the numbers that stand at the top."""
    metric = run.metric
    for record in (run.test, run.best):
        if record is not None:
            bounds = interval(run, record)
            more = (
                ""
                if bounds is None
                else f"{value_of(metric, bounds[0])} … {value_of(metric, bounds[1])}"
            )
            yield (
                f"{record.part} {PLAIN_NAMES[metric]}",
                value_of(metric, record.metrics[metric]),
                more or counted(record.examples, "example"),
            )
    if run.steps:
        planned = "" if run.planned in (None, run.taken) else f" of {run.planned:,}"
        yield "steps", f"{run.taken:,}{planned}", f"{run.steps[-1].epoch:.1f} epochs"
        seconds = sum(step.seconds for step in run.steps)
        yield "time in steps", duration(seconds), f"{duration(seconds / len(run.steps))} each"
        yield "examples a second", number(float(f"{throughput(run.steps):.3g}")), "in steps"
    if "parameters" in run.facts:
        yield "parameters", f"{run.facts['parameters']:,}", run.facts["network"]


def _environment(run: Reading) -> Table:
    hidden = {"classes", "examples", "metric", "higher", "step", "seconds"}
    rows = [[name, str(value)] for name, value in run.facts.items() if name not in hidden]
    sizes = run.facts.get("examples", {})
    if sizes:
        parts = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
        rows.append(["examples", parts])
    if run.facts.get("classes"):
        rows.append(["classes", ", ".join(run.facts["classes"])])
    rows += [[f"note at step {note.step:,}", note.text] for note in run.notes]
    sessions = [line for line in run.log.splitlines() if " session from step " in line]
    rows += [["session", line] for line in sessions]
    versions = [line for line in run.log.splitlines() if line.startswith("skipwise ")]
    rows += [["versions", line] for line in versions[-1:]]
    return Table(caption="What the run is", columns=["what", "value"], rows=rows)


def _command(run: Reading) -> str:
    if run.is_made_in_python:
        return f"skipwise.train(DATA, …)  # the data were made in Python; see {run.folder}"
    return run.command("train", run.folder / EXPERIMENT)


def _not_repeated(run: Reading) -> Iterator[str]:
    """Say what keeps the command from giving the same run again."""
    changes = [
        f"from step {int(step):,} by “{command}”"
        for step, command in RESUMED.findall(run.log)
        if int(step) > 0 and any(map(CHANGE.match, command.split()))
    ]
    if changes:
        yield (
            f"The run was changed on its way, {', then '.join(changes)}. The command trains by"
            f" {EXPERIMENT} as it is now, from the first step, which gives another run."
        )
    seconds = run.experiment.get("seconds")
    if isinstance(seconds, int | float):
        yield (
            f"Its length was fitted to a budget of {duration(seconds)}: as many steps as the clock"
            " allowed. Where or when the machine is faster or slower, others fit."
        )
