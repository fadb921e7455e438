"""Runs side by side: their scores, how sure a difference is, their curves, what was set apart."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from skipwise.files import REPORT
from skipwise.reports.chart import (
    DASHES,
    SERIES,
    SYMBOLS,
    Chart,
    Link,
    Table,
    axis_of,
    figure,
    line,
)
from skipwise.reports.curves import thinned
from skipwise.reports.reading import Reading
from skipwise.reports.statistics import of_difference
from skipwise.reports.verdict import headline, interval
from skipwise.reports.words import PLAIN_NAMES, SHARES, counted, duration, number, percent, value_of

COMPARISON = "comparison.html"
MISSING = "–"
APART = (
    "They learned different tasks, whose losses and scores are different quantities, so they share"
    " no chart; each run's own report has its curves."
)
JUDGED = (
    "They were judged by different metrics, so they share no chart of those; each run's own report"
    " has its own."
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a page says of several runs; ``absent`` says what is not drawn, and why."""

    title: str
    headline: str
    verdict: list[str]
    results: Table
    charts: list[Chart]
    absent: tuple[str, ...]
    settings: Table


def compare_to(runs: Sequence[Reading], place: Path = Path()) -> Comparison:
    """Put runs side by side; they keep their order.

    Args:
        runs: What is compared.
        place: The folder of the page, from which it leads to their reports.
    """
    names = _names(runs)
    alike = _are_alike(runs)
    # Each task has a loss of its own; what the task of an old run was nobody wrote down.
    one_task = alike or len({run.facts.get("task", id(run)) for run in runs}) == 1
    kinds = ("loss", "training") if one_task else ()
    kinds = ("metric", *kinds) if alike else kinds
    charts = [_curve(runs, names, kind) for kind in kinds]
    return Comparison(
        title=f"{counted(len(runs), 'run')} side by side",
        headline=", ".join(names),
        verdict=[*_verdict(runs, names)],
        results=_results(runs, names, place),
        charts=[chart for chart in charts if chart is not None],
        absent=() if alike else (JUDGED if one_task else APART,),
        settings=_settings(runs, names),
    )


def _are_alike(runs: Sequence[Reading]) -> bool:
    """Whether one scale suits the scores; tasks may share the name of a metric and no more."""
    tasks = {run.facts["task"] for run in runs if "task" in run.facts}
    return len({run.metric for run in runs}) == 1 and len(tasks) < 2


def _names(runs: Sequence[Reading]) -> list[str]:
    """Name runs by their folders, with the way to them where that alone is not enough."""
    names = [run.folder.resolve().name for run in runs]
    full = [str(run.folder) for run in runs]
    return names if len(set(names)) == len(names) else full


def _verdict(runs: Sequence[Reading], names: Sequence[str]) -> Iterator[str]:
    going = [name for name, run in zip(names, runs, strict=True) if run.state != "finished"]
    if going:
        yield f"Not at their end: {', '.join(going)}."
    digests = {run.facts.get("digest") for run in runs}
    if len(digests) > 1 or None in digests:
        yield (
            "They were not surely trained on the same data, so their scores are not compared."
            if None in digests
            else "They were trained on different data, so their scores are not compared."
        )
        return
    metrics = {run.metric for run in runs}
    scored = [(run.scored, name) for run, name in zip(runs, names, strict=True)]
    found = [(record, name) for record, name in scored if record is not None]
    parts = {record.part for record, _ in found}
    if len(metrics) > 1 or len(parts) > 1 or len(found) < len(runs):
        yield "They were not all scored on the same part by the same metric."
        return
    metric, sign = runs[0].metric, 1 if runs[0].higher else -1
    ranked = sorted(found, key=lambda pair: -sign * pair[0].metrics[metric])
    best, first = ranked[0]
    value = best.metrics[metric]
    yield f"Best {PLAIN_NAMES[metric]} on the {best.part} part: {first}, {value_of(metric, value)}."
    for record, name in ranked[1:]:
        other = record.metrics[metric]
        if metric != "accuracy":
            gap = abs(value - other)
            apart = f"{100 * gap:.1f} points" if metric in SHARES else number(gap)
            yield f"{name}: {value_of(metric, other)}, a difference of {apart}."
            continue
        half = of_difference(value, best.examples, other, record.examples)
        apart = value - other
        yield (
            f"{name} is {100 * apart:.1f} points below, ±{100 * half:.1f} by the number of"
            f" examples: {'more' if apart > half else 'no more'} than chance in the choice of"
            " examples explains."
        )
    yield (
        "Each is one run with one seed. How much another seed changes is not in these intervals;"
        " to compare methods, train each with several seeds."
    )


def _results(runs: Sequence[Reading], names: Sequence[str], place: Path) -> Table:
    alike = _are_alike(runs)
    columns = [
        "run", "what", *([] if alike else ["metric"]), "test", "95 %", "best validation", "steps",
        "epochs", "time in steps", "parameters", "seed", "state",
    ]  # fmt: skip
    rows = []
    for run, name in zip(runs, names, strict=True):
        metric, test, best = run.metric, run.test, run.best
        bounds = None if test is None else interval(run, test)
        seconds = sum(step.seconds for step in run.steps)
        ends = [] if bounds is None else [value_of(metric, bound) for bound in bounds]
        rows.append([
            _linked(run, name, place),
            run.title,
            *([] if alike else [PLAIN_NAMES[metric]]),
            MISSING if test is None else value_of(metric, test.metrics[metric]),
            " … ".join(ends) or MISSING,
            MISSING if best is None else value_of(metric, best.metrics[metric]),
            f"{run.taken:,}",
            f"{run.steps[-1].epoch:.1f}" if run.steps else MISSING,
            duration(seconds),
            f"{run.facts['parameters']:,}" if "parameters" in run.facts else MISSING,
            str(run.facts.get("seed", MISSING)),
            "finished" if run.state == "finished" else headline(run),
        ])
    scores = PLAIN_NAMES[runs[0].metric] if alike else "those of the metric that each row names"
    return Table(caption=f"Scores are {scores}.", columns=columns, rows=rows)


def _linked(run: Reading, name: str, place: Path) -> str | Link:
    """Let a run's name lead to its report, if it has one."""
    page = run.folder / REPORT
    return Link(words=name, address=quote(os.path.relpath(page, place))) if page.exists() else name


def _series(run: Reading, kind: str) -> tuple[list[float], list[float]]:
    """Give (epochs, values) of a run's curve."""
    epoch = {step.step: step.epoch for step in run.steps}
    if kind == "training":
        curve = thinned(run.steps, "loss", points=120)
        return [epoch[step] for step in curve.steps], list(curve.values)
    name = "loss" if kind == "loss" else run.metric
    seen = [e for e in run.validations if e.step in epoch]
    return [epoch[e.step] for e in seen], [e.metrics[name] for e in seen]


def _curve(runs: Sequence[Reading], names: Sequence[str], kind: str) -> Chart | None:
    metric = runs[0].metric
    if kind == "metric" and metric == "loss":
        return None
    series = [_series(run, kind) for run in runs]
    if not any(values for _, values in series):
        return None
    title = {
        "metric": f"Validation {PLAIN_NAMES[metric]}",
        "loss": "Validation loss",
        "training": "Training loss",
    }[kind]
    traces = [
        line(
            name, *points, SERIES[n % len(SERIES)], dots=kind != "training",
            line={"dash": DASHES[(n + n // len(SERIES)) % len(DASHES)]},
            marker={"symbol": SYMBOLS[n % len(SYMBOLS)]},
        )
        for n, (name, points) in enumerate(zip(names, series, strict=True))
    ]  # fmt: skip
    shares = kind == "metric" and metric in SHARES
    axis = {"tickformat": ".0%"} if shares else axis_of(*(values for _, values in series))
    write = percent if shares else number
    rows = [
        [name, *(write(value) for value in (values[0], max(values), min(values), values[-1]))]
        for name, (_, values) in zip(names, series, strict=True)
        if values
    ]
    return Chart(
        name=kind,
        title=title,
        words="Means over stretches of each run." if kind == "training" else "At each evaluation.",
        figure=figure(traces, "epoch", title.lower(), yaxis=axis),
        table=Table(
            caption=title, columns=["run", "first", "highest", "lowest", "last"], rows=rows
        ),
        is_summary=True,
    )


def _settings(runs: Sequence[Reading], names: Sequence[str]) -> Table:
    flat = [dict(_flattened(run.experiment)) for run in runs]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    differ = [key for key in keys if len({one.get(key, MISSING) for one in flat}) > 1]
    rows = [[key, *(one.get(key, MISSING) for one in flat)] for key in differ]
    caption = "Fields of experiment.yaml." if rows else "All fields of experiment.yaml are equal."
    return Table(caption=caption, columns=["field", *names], rows=rows)


def _flattened(plain: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(plain, Mapping) and plain:
        for name, value in plain.items():
            yield from _flattened(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, str(plain)
