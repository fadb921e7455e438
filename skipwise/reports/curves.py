"""Loss, accuracy and rate over the steps."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np

from skipwise.records import StepRecord
from skipwise.reports.chart import HELD, TRAIN, Chart, Table, axis_of, evenly, figure, line
from skipwise.reports.reading import Reading
from skipwise.reports.words import PLAIN_NAMES, SHARES, number, percent, value_of

POINTS = 250  # of a curve; more cannot be told apart
STEP = "step"
MEANS = "Training values are means over the steps since the row before."
# From the steps since the row before, and the metrics of the row's evaluation if there was one.
Cell: TypeAlias = Callable[[Sequence[StepRecord], Mapping[str, float]], str]


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
    columns = {"training loss": _trained("loss", number)}
    if held:
        columns["validation loss"] = _validated("loss")
    else:
        is_there = run.facts.get("examples", {}).get("validation", 0)
        words += " Nothing was validated yet." if is_there else " There is no validation part."
    strategy = run.experiment.get("strategy")
    if isinstance(strategy, Mapping) and strategy.get("loss") == "binary":
        words += (
            " It is the binary cross-entropy, the mean over the classes; evaluations give the"
            " cross-entropy of the softmax."
        )
    return Chart(
        name="loss",
        title="Loss",
        words=words,
        figure=figure(traces, STEP, "loss", yaxis=axis_of(train.values, values)),
        table=_by_evaluation(run, MEANS, columns),
        is_summary=True,
    )


def _held(steps: list[int], values: list[float]) -> dict[str, Any]:
    dashed, square = {"dash": "dash"}, {"symbol": "square"}
    return line("validation", steps, values, HELD, dots=True, line=dashed, marker=square)


def _by_evaluation(run: Reading, caption: str, columns: Mapping[str, Cell]) -> Table:
    """Give columns of their own in at most some 40 rows: at evaluations, or evenly spread."""
    marks = [e.step for e in run.validations] or [s.step for s in run.steps]
    held = {e.step: e.metrics for e in run.validations}
    rows, before = [], 0
    for mark in evenly(marks, 40):
        stretch = [s for s in run.steps if before < s.step <= mark]
        epoch = f"{stretch[-1].epoch:.2f}" if stretch else ""
        cells = (cell(stretch, held.get(mark, {})) for cell in columns.values())
        rows.append([f"{mark:,}", epoch, *cells])
        before = mark
    return Table(caption=caption, columns=["step", "epoch", *columns], rows=rows)


def _trained(name: str, written: Callable[[float], str]) -> Cell:
    """Give a column of the mean over the steps since the row before."""

    def cell(steps: Sequence[StepRecord], _) -> str:
        values = [vars(s)[name] for s in steps if not s.skipped and math.isfinite(vars(s)[name])]
        return written(fmean(values)) if values else ""

    return cell


def _validated(name: str) -> Cell:
    """Give a column of a metric of the validation part."""
    return lambda _, metrics: value_of(name, metrics[name]) if metrics else ""


def _has(run: Reading, name: str) -> bool:
    return all(name in e.metrics for e in run.validations)


def _metric(run: Reading) -> Chart | None:
    others = ("r2", "accuracy", "f1")  # beside the loss, which has a chart of its own
    name = next((n for n in (run.metric, *others) if n != "loss" and _has(run, n)), None)
    train = thinned(run.steps, "accuracy", points=100)
    if not run.validations:
        name = "accuracy" if train.values else None
    if name is None:
        return None
    traces, said = [], []
    if run.validations:
        at = [e.step for e in run.validations]
        traces.append(_held(at, [e.metrics[name] for e in run.validations]))
        said.append(f"Validation, {run.validations[0].examples:,} examples.")
    caption, columns = "Metrics of the validation part.", {}
    if name == "accuracy" and train.values:
        traces.insert(0, line("training", train.steps, train.values, TRAIN))
        caption, columns = MEANS, {"training accuracy": _trained("accuracy", percent)}
        said.append(
            "Training counts the batches as they were trained on, augmented, before each update."
        )
    elif name == "accuracy":
        said.append(
            "Training accuracy was not recorded: examples were mixed, or the run is an old one."
        )
    shown = [n for n in ("rmse", "r2") if _has(run, n)] if name == "r2" else [name]
    if run.validations:
        columns |= {f"validation {PLAIN_NAMES[n]}": _validated(n) for n in shown}
    best = run.best
    if best is not None and name == run.metric:
        said.append(
            f"The weights of step {best.step:,} were kept: {value_of(name, best.metrics[name])}."
        )
    axis = {"tickformat": ".0%"} if name in SHARES else {}
    called = PLAIN_NAMES[name]
    return Chart(
        name="metric",
        title=called[0].upper() + called[1:],
        words=" ".join(said),
        figure=figure(traces, STEP, called, yaxis=axis),
        table=_by_evaluation(run, caption, columns),
        is_summary=True,
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
        table=_by_evaluation(run, "Learning rate.", {"rate": _last_rate}),
        is_summary=True,
        height=240,
    )


def _last_rate(steps: Sequence[StepRecord], _: Mapping[str, float]) -> str:
    return number(steps[-1].rate) if steps else ""
