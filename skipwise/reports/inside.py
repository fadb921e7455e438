"""Inside the network: gradients by layer, branches by depth; and where the time went."""

import math
import re
from collections.abc import Mapping
from statistics import fmean, median
from typing import Any

import numpy as np

from skipwise.records import MeasureRecord
from skipwise.reports.chart import (
    HEAT,
    HELD,
    THIRD,
    TRAIN,
    Chart,
    Table,
    axis_of,
    evenly,
    figure,
    if_left_out,
    line,
    plain,
)
from skipwise.reports.curves import thinned
from skipwise.reports.reading import Reading
from skipwise.reports.words import duration, number, percent

SPLIT = {
    "data": "data_seconds",
    "forward, backward": "gradient_seconds",
    "optimiser": "optimiser_seconds",
}
REST, EVALUATION, SAVING = "rest of the steps", "evaluation", "saving"
OTHER = "rest of the run"
WATCHING, MONITOR = "watching", re.compile(r"watch (\w+)")
CELLS = 30_000  # of the heat map
LAYERS, BLOCKS = 1_250, 600  # that charts and tables show; ResNet-1202 is shown whole
COLOURS = {EVALUATION: HELD, SAVING: THIRD, WATCHING: THIRD}


def short(layer: str) -> str:
    """Name a layer briefly; blocks are counted from 1.

    >>> short("trunk.blocks.0.branch.conv1"), short("stem.conv")
    ('block 1 conv1', 'stem.conv')
    """
    found = re.fullmatch(r"trunk\.blocks\.(\d+)(?:\.(?:branch|connection)\.)?(.*)", layer)
    return layer if found is None else f"block {int(found[1]) + 1} {found[2]}".strip()


def gradients(run: Reading) -> Chart | None:
    """Give the gradient's norm by layer as a heat map; of an old run, of all layers as a line."""
    measures = run.measures("gradient norm")
    if not measures:
        return _gradient(run) if run.steps else None
    whole = list(measures[-1].values)
    names = evenly(whole, LAYERS)
    norms = np.array([[m.values.get(name, np.nan) for m in measures] for name in names])
    rows = []
    for name, row in zip(names, norms, strict=True):
        middle, largest = _of_finite(row)
        rows.append([short(name), *map(number, (float(row[0]), middle, float(row[-1]), largest))])
    layout = {"yaxis": {"autorange": "reversed", "automargin": True, "type": "category"}}
    return Chart(
        name="gradients",
        title="Gradient by layer",
        words=_spread(names, norms) + if_left_out(len(whole), len(names), "layers"),
        figure=figure([_heat(names, [m.step for m in measures], norms)], "step", "", **layout),
        table=Table(
            caption=(
                "Norm of the gradient after clipping, of each layer's weight; median and largest of"
                " the finite ones."
            ),
            columns=["layer", "first", "median", "last", "largest"],
            rows=rows,
        ),
        is_summary=True,
        height=min(max(150 + 16 * len(names), 280), 760),
    )


def _heat(names: list[str], steps: list[int], norms: np.ndarray) -> dict[str, Any]:
    """Give the heat map of powers of ten, with fewer steps the more layers there are."""
    shown = evenly(range(len(steps)), max(CELLS // len(names), 2))
    with np.errstate(divide="ignore"):
        powers = np.log10(norms[:, shown])
    return {
        "type": "heatmap",
        "x": [steps[n] for n in shown],
        "y": [short(name) for name in names],
        "z": [plain(row) for row in powers.round(3).tolist()],
        "hovertemplate": "%{y}, step %{x}: 10<sup>%{z}</sup><extra></extra>",
        "colorscale": HEAT,
        "colorbar": {"title": {"text": "log₁₀ norm", "side": "right"}, "thickness": 12},
    }


def _spread(names: list[str], norms: np.ndarray) -> str:
    words = (
        "Norm of the gradient of each weight of a convolution or linear map, from the input (top)"
        " to the output, at steps spread over the run."
    )
    medians = {name: _of_finite(row)[0] for name, row in zip(names, norms, strict=True)}
    known = {name: value for name, value in medians.items() if math.isfinite(value)}
    if not known:
        return f"{words} None of them was finite."
    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if known[low] > 0:
        words += (
            f" The median is largest in {short(high)} ({number(known[high])}) and smallest in"
            f" {short(low)} ({number(known[low])}): {number(known[high] / known[low])} times."
        )
    return words


def _of_finite(norms: np.ndarray) -> tuple[float, float]:
    """Give the median and the largest of the finite ones; NaN without any."""
    finite = norms[np.isfinite(norms)]
    return (float(np.median(finite)), float(finite.max())) if len(finite) else (math.nan, math.nan)


def _gradient(run: Reading) -> Chart:
    curve = thinned(run.steps, "gradient_norm")
    return Chart(
        name="gradients",
        title="Gradient",
        words="Norm of the whole gradient before clipping; it was not recorded by layer.",
        figure=figure(
            [line("all layers", curve.steps, curve.values, TRAIN)],
            "step",
            "norm",
            yaxis=axis_of(curve.values),
        ),
        table=Table(
            caption="Means over stretches of the run.",
            columns=["until step", "norm"],
            rows=[
                [f"{s:,}", number(v)]
                for s, v in zip(curve.steps[::10], curve.values[::10], strict=True)
            ],
        ),
        is_summary=True,
    )


def branches(run: Reading) -> Chart | None:
    """Give the share of each block's branch in its output, at the first and last evaluation."""
    measures = run.measures("branch share")
    if not measures:
        return None
    first, last = measures[0], measures[-1]
    values = list(last.values.values())
    shown = evenly([*enumerate(last.values, 1)], BLOCKS)
    depth, names = [n for n, _ in shown], [name for _, name in shown]
    then, now = (
        line(
            f"step {measure.step:,}",
            depth,
            [measure.values.get(name, math.nan) for name in names],
            colour,
            dots=True,
            **style,
        )
        for measure, colour, style in (
            (first, TRAIN, {"line": {"dash": "dot"}}),
            (last, HELD, {"marker": {"symbol": "square"}}),
        )
    )
    return Chart(
        name="branches",
        title="Share of each branch in its block's output",
        words=_of_branches(run, values) + if_left_out(len(values), len(names), "blocks"),
        figure=figure(
            [now] if first.step == last.step else [then, now],
            "block, counted from the input",
            "share of the branch",
            yaxis={"tickformat": ".0%", "rangemode": "tozero"},
            xaxis={"dtick": max(len(values) // 12, 1)},
        ),
        table=_branches(names, first, last),
        height=300,
    )


def _of_branches(run: Reading, values: list[float]) -> str:
    most = values.index(max(values))
    held = run.validations or run.facts.get("examples", {}).get("validation")
    return (
        "Second moment of what the branch writes, as a share of its sum with that of what the skip"
        " carries, before the activation, on at most 32 examples of the"
        f" {'validation' if held else 'training'} part. At 1 the branch is all, as without a skip;"
        " at 0 the block passes its input on."
        f" Largest in block {most + 1} ({percent(values[most])}), on average"
        f" {percent(fmean(values))}."
    )


def _branches(names: list[str], first: MeasureRecord, last: MeasureRecord) -> Table:
    rows = [
        [short(name), *(percent(m.values.get(name, math.nan)) for m in (first, last))]
        for name in names
    ]
    columns = ["block", f"step {first.step:,}", f"step {last.step:,}"]
    return Table(caption="Share of the branch.", columns=columns, rows=rows)


def spent(run: Reading) -> dict[str, float]:
    """Give the seconds of the whole run by what they were spent on.

    Of a run that has ended they add up to what its sessions took; while it goes that is not known.
    """
    sums = {
        name: float(np.nansum([vars(step)[field] for step in run.steps]))
        for name, field in SPLIT.items()
    }
    test = 0.0 if run.test is None else run.test.seconds
    watching = sum(m.values["seconds"] for found in watched(run).values() for m in found)
    known = {
        **sums,
        REST: max(sum(step.seconds for step in run.steps) - sum(sums.values()), 0.0),
        EVALUATION: sum(e.seconds for e in run.validations) + test,
        SAVING: sum(m.values["seconds"] for m in run.measures("saving")),
        **({WATCHING: watching} if watching else {}),
    }
    if run.state == "running" or "seconds" not in run.facts:
        return known
    return {**known, OTHER: max(run.facts["seconds"] - sum(known.values()), 0.0)}


def watched(run: Reading) -> dict[str, list[MeasureRecord]]:
    """Give the measurements of each monitor that was asked for, with what they cost."""
    found: dict[str, list[MeasureRecord]] = {}
    for event in run.events:
        if isinstance(event, MeasureRecord) and (named := MONITOR.fullmatch(event.name)):
            found.setdefault(named[1], []).append(event)
    return found


def times(run: Reading) -> Chart | None:
    """Give the time of the whole run by what it was spent on."""
    if not run.steps:
        return None
    sums = spent(run)
    whole = sum(sums.values()) or 1.0
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": list(sums),
        "x": plain(list(sums.values())),
        "text": [percent(seconds / whole) for seconds in sums.values()],
        "textposition": "auto",
        "insidetextfont": {"color": "var(--card)"},
        "marker": {"color": [COLOURS.get(name, TRAIN) for name in sums]},
        "hovertemplate": "%{y}: %{x:.3g} s (%{text})<extra></extra>",
    }
    return Chart(
        name="times",
        title="Where the time went",
        words=_of_steps(run, sums),
        figure=figure(
            [bars], "seconds in all", "", yaxis={"autorange": "reversed", "automargin": True}
        ),
        table=_times(run, sums, whole),
        height=280,
    )


def _of_steps(run: Reading, sums: Mapping[str, float]) -> str:
    words = f"A step took {duration(median(step.seconds for step in run.steps))} (median)."
    if run.facts.get("device", "cpu") != "cpu":
        words += (
            " On this device its parts are the times of giving commands, and the wait for their"
            " work is in the rest."
        )
    if OTHER in sums:
        words += (
            " The rest of the run is what lies between: beginning, compiling, looking at branches,"
            " writing."
        )
    if not any(sums[name] for name in SPLIT):
        words += " This run did not record how its steps divide."
    return words


def _times(run: Reading, sums: Mapping[str, float], whole: float) -> Table:
    steps = len(run.steps)
    rows = [
        [
            name,
            duration(seconds),
            percent(seconds / whole),
            duration(seconds / steps) if name in (*SPLIT, REST) else "",
        ]
        for name, seconds in sums.items()
    ]
    return Table(
        caption="Time of the whole run.",
        columns=["part", "in all", "share", "a step, on average"],
        rows=rows,
    )
