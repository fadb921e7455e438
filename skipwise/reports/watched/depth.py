"""Charts over the depth: what the monitor of gradients saw at every block, at some of its steps."""

from dataclasses import dataclass

from skipwise.records import MeasureRecord
from skipwise.reports.chart import (
    DASHES,
    SERIES,
    SYMBOLS,
    Chart,
    Table,
    axis_of,
    evenly,
    figure,
    if_left_out,
    line,
)
from skipwise.reports.inside import BLOCKS, short
from skipwise.reports.reading import Reading
from skipwise.reports.words import number

SHOWN = 4  # curves in a chart, from the first measurement to the last


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one chart shows.

    Args:
        record: The name of its records.
        name: Its place in the page.
        title: Over the chart.
        words: What there is to see.
        axis: The title of its axis.
    """

    record: str
    name: str
    title: str
    words: str
    axis: str


COLUMNS = (
    Column(
        record="watch gradients: gradient norm",
        name="watch-gradient",
        title="Gradient through the depth",
        words="Norm of the loss's gradient where each block begins, and where the last one ends.",
        axis="norm of the gradient",
    ),
    Column(
        record="watch gradients: second moment",
        name="watch-signal",
        title="Signal through the depth",
        words="Mean square of what enters each block, over examples, channels and positions.",
        axis="second moment",
    ),
    Column(
        record="watch gradients: branch share",
        name="watch-branch",
        title="Gradient through the branches",
        words=(
            "How much of the gradient at a block's input came back through its branch; the skip"
            " brought the rest. At 0 the branch is passed by, at 1 there is no skip."
        ),
        axis="share of the branch",
    ),
)


def over_depth(run: Reading) -> list[Chart]:
    """Give a chart for each column that was measured."""
    found = [(column, run.measures(column.record)) for column in COLUMNS]
    return [_chart(column, evenly(measures, SHOWN)) for column, measures in found if measures]


def _chart(column: Column, measures: list[MeasureRecord]) -> Chart:
    whole = list(measures[-1].values)
    shown = evenly([*enumerate(whole, 1)], BLOCKS)
    depth, names = [n for n, _ in shown], [name for _, name in shown]
    series = [[m.values.get(name, float("nan")) for name in names] for m in measures]
    traces = [
        line(
            f"step {measure.step:,}",
            depth,
            values,
            SERIES[number_],
            dots=True,
            line={"dash": DASHES[number_]},
            marker={"symbol": SYMBOLS[number_]},
        )
        for number_, (measure, values) in enumerate(zip(measures, series, strict=True))
    ]
    rows = [
        [short(name), *(number(values[n]) for values in series)] for n, name in enumerate(names)
    ]
    return Chart(
        name=column.name,
        title=column.title,
        words=column.words + if_left_out(len(whole), len(shown), "places"),
        figure=figure(
            traces,
            "block, counted from the input",
            column.axis,
            yaxis=axis_of(*series),
            xaxis={"dtick": max(len(whole) // 12, 1)},
        ),
        table=Table(
            caption=f"{column.title}, at some of the steps at which it was measured.",
            columns=["block", *(f"step {m.step:,}" for m in measures)],
            rows=rows,
        ),
        height=300,
    )
