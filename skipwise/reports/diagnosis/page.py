"""The page of a diagnosis, put together."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from skipwise.files import DIAGNOSIS_PAGE, write_atomic
from skipwise.reports.chart import Table
from skipwise.reports.diagnosis.measured import measured_of
from skipwise.reports.diagnosis.numbers import number_of
from skipwise.reports.diagnosis.verdicts import cards_of, summary_of
from skipwise.reports.page import Page, Section, rendered
from skipwise.reports.words import duration

TIMES = "seconds by measurement"


def write_diagnosis(plain: Mapping[str, Any], path: str | Path) -> Path:
    """Write the page of a diagnosis; what was there is replaced at once or not at all.

    Args:
        plain: :meth:`skipwise.diagnosis.Diagnosis.as_plain`, or ``diagnosis.json`` read back.
        path: The file, or the folder in which it is to be called ``diagnosis.html``.

    Returns:
        The file.

    Raises:
        OSError: If it cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        path /= DIAGNOSIS_PAGE
    write_atomic(path, rendered(diagnosis_page(plain)).encode())
    return path


def diagnosis_page(plain: Mapping[str, Any]) -> Page:
    """Give what the template writes."""
    facts = plain["facts"]
    return Page(
        kicker="Skipwise diagnosis",
        title=_title(facts),
        headline=plain["headline"],
        summary="In short",
        verdict=summary_of(plain),
        figures=list(_figures(plain)),
        sections=list(_sections(plain)),
        command=_command(facts),
    )


def _title(facts: Mapping[str, Any]) -> str:
    model = str(facts.get("model") or "A network")
    return f"{model}, {Path(facts['run']).name}" if facts.get("run") else model


def _figures(plain: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Give (what, value, more) of the numbers that stand at the top."""
    levels = [verdict["level"] for verdict in plain["verdicts"]]
    warned = levels.count("WARN")
    yield "faults", str(levels.count("FAIL")), f"and {warned} to look at"
    facts = plain["facts"]
    if facts.get("parameters") is not None:
        yield "parameters", number_of(facts["parameters"]).text, str(facts.get("model", ""))
    if facts.get("blocks"):
        yield "blocks", str(len(facts["blocks"])), f"{facts['blocks'][0]} and on"
    if facts.get("seconds") is not None:
        yield "time", duration(facts["seconds"]), f"{len(plain['measurements'])} measurements"


def _sections(plain: Mapping[str, Any]) -> Iterator[Section]:
    yield Section(
        name="verdicts",
        title="Verdicts",
        absent=() if plain["verdicts"] else ("No rule was asked.",),
        partial="verdicts.html",
        content=cards_of(plain["verdicts"]),
    )
    yield Section(
        name="measured",
        title="Theory over measurement",
        absent=() if plain["measurements"] else ("Nothing was measured.",),
        partial="measured.html",
        content=measured_of(plain["measurements"]),
    )
    if plain["failed"]:
        table = Table(
            caption="What has no number here, and why",
            columns=["measurement", "why"],
            rows=[[name, why] for name, why in plain["failed"].items()],
        )
        yield Section(name="missing", title="What could not be measured", tables=(table,))
    yield Section(name="made", title="How it was made", tables=tuple(_facts(plain["facts"])))


def _facts(facts: Mapping[str, Any]) -> Iterator[Table]:
    rows = [[name, text] for name, text in _flattened(facts) if not name.startswith(TIMES)]
    yield Table(caption="What was examined", columns=["what", "value"], rows=rows)
    times = facts.get(TIMES) or {}
    if times:
        yield Table(
            caption="Time of each measurement",
            columns=["measurement", "time"],
            rows=[
                [name, "?" if seconds is None else duration(seconds)]
                for name, seconds in times.items()
            ],
        )


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flattened(inner, f"{path}, {name}" if path else str(name))
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number_of(value).text
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return str(value)


def _command(facts: Mapping[str, Any]) -> str:
    """Give the command that was used, or the one that does the same."""
    if facts.get("command"):
        return str(facts["command"])
    deep = bool(facts.get("deep"))
    if facts.get("run"):
        return f"skipwise diagnose {shlex.quote(facts['run'])}{' --deep' if deep else ''}"
    return f"skipwise.diagnose(model, batches{', deep=True' if deep else ''})"
