"""Loss, accuracy and rate over the steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skipwise.records import StepRecord
from skipwise.reports.chart import HELD, TRAIN, Chart, Table, axis_of, evenly, figure, line
from skipwise.reports.reading import Reading
from skipwise.reports.words import PLAIN_NAMES, number, percent, value_of

POINTS = 250  # of a curve; more cannot be told apart
STEP = "step"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A quantity of the steps, as means over stretches of equal length."""

    steps: Sequence[int]
    values: Sequence[float]


def thinned(steps: Sequence[StepRecord], name: str, points: int = POINTS) -> Curve:
    """Give the means of a field over at most so many stretches; each stands at its last step.

    What was not measured, is not finite, or is of a skipped step, does not count.
    """
    width = max(math.ceil(len(steps) / points), 1)
    at, values = [], []
    for start in range(0, len(steps), width):
        stretch = steps[start : start + width]
        taken = [step for step in stretch if not step.skipped]
        seen = np.array([vars(step)[name] for step in taken], dtype=float)
        seen = seen[np.isfinite(seen)]
        if len(seen):
            at.append(stretch[-1].step)
            values.append(float(seen.mean()))
    return Curve(steps=at, values=values)


def curves(run: Reading) -> list[Chart]:
    """Give the charts of loss, of the metric that decides, and of the rate."""
    if not run.steps:
        return []
    found = [_loss(run), _metric(run), _rate(run)]
    return [chart for chart in found if chart is not None]


def _loss(run: Reading) -> Chart:
    train, held = thinned(run.steps, "loss"), run.validations
    values = [e.metrics["loss"] for e in held]
    traces = [line("training", train.steps, train.values, TRAIN)]
    if held:
        at = [e.step for e in held]
        traces.append(_held(at, values))
    width = math.ceil(len(run.steps) / POINTS)
    words = (
        "Training loss is that of the batches before each update"
        + (f", the mean of {width} steps each" if width > 1 else "")
        + ", with all that makes training harder: augmentation, smoothed labels, weights."
    )
    if not held:
        words += " There is no validation part."
    return Chart(
        name="loss",
        title="Loss",
        words=words,
        figure=figure(traces, STEP, "loss", yaxis=axis_of(train.values, values)),
        table=_by_evaluation(run),
    )


def _held(steps: list[int], values: list[float]) -> dict[str, Any]:
    dashed, square = {"dash": "dash"}, {"symbol": "square"}
    return line("validation", steps, values, HELD, dots=True, line=dashed, marker=square)


def _by_evaluation(run: Reading) -> Table:
    """Give what the curves say, in at most some 40 rows: at evaluations, or evenly spread."""
    marks = [e.step for e in run.validations] or [s.step for s in run.steps]
    held = {e.step: e.metrics for e in run.validations}
    metric = run.metric
    shown = [metric] if metric != "loss" else [n for n in ("rmse", "r2") if _has(run, n)]
    rows, before = [], 0
    for mark in evenly(marks, 40):
        stretch = [s for s in run.steps if before < s.step <= mark]
        last, metrics = stretch[-1] if stretch else None, held.get(mark, {})
        rows.append([
            f"{mark:,}",
            "" if last is None else f"{last.epoch:.2f}",
            _mean(stretch, "loss", number),
            number(metrics["loss"]) if metrics else "",
            _mean(stretch, "accuracy", percent),
            *(value_of(name, metrics[name]) if metrics else "" for name in shown),
            "" if last is None else number(last.rate),
        ])
        before = mark
    columns = ["step", "epoch", "training loss", "validation loss", "training accuracy"]
    named = [f"validation {PLAIN_NAMES[name]}" for name in shown]
    caption = "Training values are means over the steps since the row before."
    return Table(caption=caption, columns=[*columns, *named, "rate"], rows=rows)


def _has(run: Reading, name: str) -> bool:
    return all(name in e.metrics for e in run.validations)


def _mean(steps: Sequence[StepRecord], name: str, written) -> str:
    taken = (s for s in steps if not s.skipped)
    values = [vars(s)[name] for s in taken if math.isfinite(vars(s)[name])]
    return written(sum(values) / len(values)) if values else ""


def _metric(run: Reading) -> Chart | None:
    name = run.metric if run.metric != "loss" else "r2"
    if not run.validations or not _has(run, name):
        return None
    at = [e.step for e in run.validations]
    values = [e.metrics[name] for e in run.validations]
    traces = [_held(at, values)]
    train = thinned(run.steps, "accuracy", points=100)
    words = f"Validation, {run.validations[0].examples:,} examples."
    if name == "accuracy" and train.values:
        traces.insert(0, line("training", train.steps, train.values, TRAIN))
        words += (
            " Training counts the batches as they were trained on, augmented, before each update."
        )
    elif name == "accuracy":
        words += (
            " Training accuracy was not recorded: examples were mixed, or the run is an old one."
        )
    best = run.best
    if best is not None and name == run.metric:
        words += (
            f" The weights of step {best.step:,} were kept: {value_of(name, best.metrics[name])}."
        )
    axis = {"tickformat": ".0%"} if name == "accuracy" else {}
    return Chart(
        name="metric",
        title=PLAIN_NAMES[name].capitalize() if name == "accuracy" else PLAIN_NAMES[name],
        words=words,
        figure=figure(traces, STEP, PLAIN_NAMES[name], yaxis=axis),
        table=_by_evaluation(run),
    )


def _rate(run: Reading) -> Chart:
    rate = thinned(run.steps, "rate")
    peak = max(run.steps, key=lambda s: s.rate)
    return Chart(
        name="rate",
        title="Learning rate",
        words=(
            f"At its highest {number(peak.rate)}, at step {peak.step:,};"
            f" {number(run.steps[-1].rate)} at the end."
        ),
        figure=figure([line("rate", rate.steps, rate.values, TRAIN)], STEP, "learning rate"),
        table=_by_evaluation(run),
        height=240,
    )
