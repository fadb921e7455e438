"""The page of a study, put together."""

from collections.abc import Iterator
from pathlib import Path

from skipwise.comparison.comparison import Comparison, compare
from skipwise.comparison.study import StudyRecord
from skipwise.comparison.tables import as_csv, as_json, as_latex, as_markdown, sheets, tuning_sheet
from skipwise.comparison.words import conclusion, counted, headline
from skipwise.files import STUDY_PAGE, write_atomic
from skipwise.reports.chart import Chart
from skipwise.reports.page import Page, Section, rendered
from skipwise.reports.study.curves import bands
from skipwise.reports.study.look import as_table
from skipwise.reports.study.pairs import forest, pair_tables
from skipwise.reports.study.ranking import rankings
from skipwise.reports.study.runs import counts, gradient_flow, run_table, settings
from skipwise.reports.study.target import arrivals, profile_charts, time_tables
from skipwise.reports.study.tuning import parts_chart, tuning_charts


def study_report(record: StudyRecord, folder: str | Path) -> Path:
    """Write the page of a study into its folder; what was there is replaced at once or not at all.

    The study may still be going: what is missing is said.

    Args:
        record: The study.
        folder: Its folder; the paths of runs in the record are seen from here.

    Returns:
        The file, ``study.html``.

    Raises:
        OSError: If the page cannot be written.
    """
    path = Path(folder) / STUDY_PAGE
    write_atomic(path, rendered(study_page(record, path.parent)).encode())
    return path


def study_page(record: StudyRecord, folder: Path) -> Page:
    """Give what the template writes."""
    found = compare(record)
    return Page(
        title=f"{counted(len(record.design.arms), 'arm')} on {record.design.data}",
        headline=headline(found),
        verdict=conclusion(found),
        figures=list(_figures(record, found)),
        sections=list(_sections(record, found, folder)),
        command=record.design.facts.get("command", ""),
    )


def _figures(record: StudyRecord, found: Comparison) -> Iterator[tuple[str, str, str]]:
    design = record.design
    planned, done = len(design.arms) * len(design.seeds), len(record.runs)
    failed = sum(run.failed for run in record.runs)
    yield (
        "runs",
        f"{done:,}" if done == planned else f"{done:,} of {planned:,}",
        f"{counted(len(design.arms), 'arm')}, {counted(len(design.seeds), 'seed')}",
    )
    yield "diverged", f"{failed:,}", "counted as worst" if failed else "no run"
    decided = sum(pair.verdict in ("better", "worse", "equivalent") for pair in found.pairs)
    yield "verdicts", f"{decided}", f"of {counted(len(design.family), 'declared comparison')}"


def _sections(record: StudyRecord, found: Comparison, folder: Path) -> Iterator[Section]:
    yield _section("ranking", "Ranking", rankings(record, found), "No run is there yet.")
    family = forest(found)
    yield Section(
        name="pairs",
        title="Comparisons",
        charts=() if family is None else (family,),
        absent=() if found.pairs else ("No comparison was declared, so none has a verdict.",),
        tables=pair_tables(found),
    )
    yield _section("curves", "Curves", bands(record, found), "No run has a curve.")
    yield _target(record, found)
    yield _tuning(found)
    parts = parts_chart(found)
    if parts is not None:
        yield Section(name="worth", title="Parts", charts=(parts,))
    yield _section(
        "inside",
        "Gradients",
        gradient_flow(record, found),
        "No run measured its gradients by layer.",
    )
    yield Section(
        name="settings", title="Settings", tables=(*settings(record.design), counts(found))
    )
    yield Section(name="runs", title="Runs", tables=(run_table(record, folder),))
    yield Section(name="papers", title="For papers and programs", texts=_texts(found))


def _section(name: str, title: str, charts: list[Chart], otherwise: str) -> Section:
    absent = () if charts else (otherwise,)
    return Section(name=name, title=title, charts=tuple(charts), absent=absent)


def _tuning(found: Comparison) -> Section:
    charts, absent = tuning_charts(found), "No arm was tuned."
    if found.tuned:
        absent = "Scores at different parts of the length cannot be compared, so there is no curve."
    return Section(
        name="tuning",
        title="Tuning",
        charts=tuple(charts),
        absent=() if charts else (absent,),
        tables=(as_table(tuning_sheet(found)),) if found.tuned else (),
    )


def _target(record: StudyRecord, found: Comparison) -> Section:
    charts = [*arrivals(record, found), *profile_charts(found)]
    absent: tuple[str, ...] = ()
    if record.design.target is None:
        absent = ("No target was set, so no time was counted to it.",)
    elif not charts:
        absent = ("No run has reached the target.",)
    return Section(
        name="target",
        title="Time to the target",
        charts=tuple(charts),
        absent=absent,
        tables=time_tables(found),
    )


def _texts(found: Comparison) -> tuple[tuple[str, str], ...]:
    tables = sheets(found)
    return (
        ("Tables in Markdown", "\n".join(as_markdown(sheet) for sheet in tables)),
        ("Tables in LaTeX", "\n".join(as_latex(sheet) for sheet in tables)),
        ("Comparisons as CSV", as_csv(found)),
        ("Everything as JSON", as_json(found)),
    )
