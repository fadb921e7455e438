"""The charts of a lesson: theory over measurement along the depth, and training under it."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from skipwise.reports.chart import (
    DASHES,
    SERIES,
    SYMBOLS,
    Chart,
    Table,
    axis_of,
    figure,
    line,
    plain,
)
from skipwise.reports.lesson.record import DepthLesson, Profile, Training, mean_loss
from skipwise.reports.lesson.story import loss_of, short
from skipwise.reports.words import percent

POINTS = 60  # of a training curve
ROWS = 12  # of a table
LEAST = 1e-13  # of the axis that all designs share
FAR = "layers before the end"


def at_a_glance(lesson: DepthLesson) -> list[Chart]:
    """Give the two figures of the lesson: gradient by depth, and loss by depth."""
    return [_ratios(lesson), _losses(lesson)]


def gradient_chart(lesson: DepthLesson, design: str) -> Chart | None:
    """Give the gradient norm along the depth of one design, every depth over its theory."""
    profiles = lesson.profiles_of(design)
    if not profiles:
        return None
    traces = [trace for p in profiles for trace in _along(p, lesson.depths.index(p.depth))]
    seen = [v for p in profiles for seed in p.gradients for v in seed if v > 0]
    return Chart(
        name=f"gradient-{design.replace('_', '-')}",
        title=f"Gradient norm: {lesson.names[design]}",
        words=_words_of(profiles),
        figure=figure(
            traces,
            FAR,
            "‖g‖ / ‖g‖ at the end",
            xaxis={"autorange": "reversed"},
            yaxis=_decades(seen),
        ),
        table=_along_table(profiles),
    )


def training_chart(lesson: DepthLesson, design: str) -> Chart | None:
    """Give the training loss of one design by step, one line a depth."""
    depths = lesson.trained_depths(design)
    if not depths:
        return None
    traces, rows = [], []
    for depth in depths:
        trainings = lesson.trained(design, depth)
        whole = [t for t in trainings if not t.diverged]
        errors = [t.error for t in whole]
        rows.append([
            str(depth),
            loss_of(trainings),
            percent(statistics.fmean(errors)) if errors else "–",
            str(len(trainings)),
            str(len(trainings) - len(whole)),
        ])
        if whole:
            traces += _curve(whole, depth, lesson.depths.index(depth))
    diverged = sum(t.diverged for t in lesson.trainings if t.design == design)
    more = f" {diverged} of these trainings diverged and have no line." if diverged else ""
    return Chart(
        name=f"training-{design.replace('_', '-')}",
        title=f"Training loss: {lesson.names[design]}",
        words=f"Mean of the seeds, smoothed; the band is from the least to the greatest.{more}",
        figure=figure(traces, "step", "training loss", yaxis=_loss_axis(lesson)),
        table=Table(
            caption="At the end of training",
            columns=["layers", "loss", "error on training examples", "trained", "diverged"],
            rows=rows,
        ),
    )


def summary_table(lesson: DepthLesson) -> Table:
    """Give every design's gradient ratio and loss at every depth."""
    rows = []
    for key, name in lesson.names.items():
        cells = []
        for depth in lesson.depths:
            found, trained = lesson.profile(key, depth), lesson.trained(key, depth)
            cells.append("–" if found is None else short(found.ratio))
            cells.append(loss_of(trained) if trained else "–")
        rows.append([name, *cells])
    heads = [f"{depth}: {what}" for depth in lesson.depths for what in ("gradient", "loss")]
    return Table(
        caption="By layers: gradient at the first block over that at the end, and training loss",
        columns=["design", *heads],
        rows=rows,
    )


def _ratios(lesson: DepthLesson) -> Chart:
    traces, seen = [], []
    for n, (key, name) in enumerate(lesson.names.items()):
        profiles = lesson.profiles_of(key)
        ratios = [p.ratio for p in profiles]
        seen += ratios
        traces.append(_by_depth(name, [p.depth for p in profiles], ratios, n))
    return Chart(
        name="ratio-by-depth",
        title="What of the gradient reaches the first block",
        words=(
            "The gradient's norm at the first block over that at the end, before training, median"
            " of the starts. At 1 nothing is lost or added on the way back."
            + (f" Below {short(LEAST)} see the table." if min(seen) < LEAST else "")
        ),
        figure=figure(
            traces,
            "layers",
            "‖g‖ at the first block / at the end",
            xaxis=_log2(lesson),
            yaxis=_clipped(seen),
        ),
        table=_ratio_table(lesson),
        height=420,
    )


def _losses(lesson: DepthLesson) -> Chart:
    traces, seen, rows = [], [], []
    for n, (key, name) in enumerate(lesson.names.items()):
        depths = lesson.trained_depths(key)
        losses = [mean_loss(lesson.trained(key, depth)) for depth in depths]
        seen += losses
        traces.append(_by_depth(name, depths, losses, n))
        known = {depth: loss_of(lesson.trained(key, depth)) for depth in depths}
        rows.append([name, *(known.get(depth, "–") for depth in lesson.depths)])
    return Chart(
        name="loss-by-depth",
        title="What becomes of it: training loss at the end",
        words=(
            f"Mean over the last fifth of {lesson.setting.steps} steps and over the seeds. A line"
            " that rises to the right is training that degrades with depth; one that stops had a"
            " training that diverged."
        ),
        figure=figure(traces, "layers", "training loss", xaxis=_log2(lesson), yaxis=axis_of(seen)),
        table=Table(
            caption="Training loss at the end, by layers",
            columns=["design", *map(str, lesson.depths)],
            rows=rows,
        ),
        height=420,
    )


def _by_depth(name: str, depths: Sequence[int], values: Sequence[float], n: int) -> dict[str, Any]:
    # Plain networks are dashed, those with a skip drawn through.
    return line(
        name,
        depths,
        values,
        SERIES[n % len(SERIES)],
        dots=True,
        line={"dash": "dash" if name.startswith("plain") else "solid"},
        marker={"symbol": SYMBOLS[n % len(SYMBOLS)]},
    )


def _log2(lesson: DepthLesson) -> dict[str, Any]:
    ticks = list(lesson.depths)
    return {"type": "log", "tickvals": ticks, "ticktext": [str(tick) for tick in ticks]}


def _decades(values: Sequence[float]) -> dict[str, Any]:
    """Give a logarithmic axis with some seven labels at powers of ten, or at 1, 2 and 5."""
    seen = [v for v in values if v > 0 and math.isfinite(v)]
    low, high = math.floor(math.log10(min(seen))), math.ceil(math.log10(max(seen)))
    if high - low <= 2:
        low, high = min(low, -1), max(high, 1)
        ticks = [float(f"{d}e{n}") for n in range(low, high + 1) for d in (1, 2, 5)]
        return {"type": "log", "tickvals": ticks, "ticktext": [f"{t:g}" for t in ticks]}
    every = max(math.ceil((high - low) / 7), 1)
    return {"type": "log", "dtick": every, "exponentformat": "power"}


def _clipped(values: Sequence[float]) -> dict[str, Any]:
    """Give the axis that leaves out what is below ``LEAST``; lines go on to it and out."""
    shown = [max(value, LEAST) for value in values]
    low, high = math.log10(min(shown)), math.log10(max(shown))
    return {**_decades(shown), "range": [low - 0.5, high + 0.5]}


def _loss_axis(lesson: DepthLesson) -> dict[str, Any]:
    """Give one axis for all trainings, so that they can be compared: up to twice that of guessing.

    Its lower end is the least mean of a stretch of steps.
    """
    losses = [t.losses for t in lesson.trainings if not t.diverged]
    least = min((statistics.fmean(some[-5:]) for some in losses), default=1.0)
    low, high = math.log10(max(least, 1e-4) / 2), math.log10(2 * math.log(lesson.setting.classes))
    ticks = [float(f"{d}e{n}") for n in range(-4, 2) for d in (1, 3)]
    return {
        "type": "log",
        "range": [low, high],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def _along(profile: Profile, n: int) -> Iterator[dict[str, Any]]:
    """Give band, theory and measurement of one depth."""
    name, colour = f"{profile.depth} layers", SERIES[n % len(SERIES)]
    rows = len(profile.gradients[0])
    places = [2.0 * (rows - 1 - row) for row in range(rows)]
    shared = {"legendgroup": name, "hoverinfo": "skip", "showlegend": False}
    expected = profile.expectation
    if expected is not None and expected.holds:
        yield _band(places, expected.low, expected.high, colour, shared)
        thin = {"width": 1.5, "dash": "dot"}
        yield {**line(f"{name}: theory", places, expected.values, colour, line=thin), **shared}
    columns = list(zip(*profile.gradients, strict=True))
    middle = [statistics.median(column) for column in columns]
    yield {
        **line(name, places, middle, colour),
        "mode": "markers",
        "legendgroup": name,
        "marker": {"color": colour, "size": 5 if rows > 20 else 7, "symbol": SYMBOLS[n % 8]},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": plain([max(c) - m for c, m in zip(columns, middle, strict=True)]),
            "arrayminus": plain([m - min(c) for c, m in zip(columns, middle, strict=True)]),
            "thickness": 1,
            "width": 0,
            "color": colour,
        },
    }


def _band(
    places: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    colour: str,
    shared: dict[str, Any],
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain([*places, *places[::-1]]),
        "y": plain([*high, *low[::-1]]),
        "fill": "toself",
        "fillcolor": colour,
        "line": {"width": 0, "color": colour},
        "opacity": 0.14,
        **shared,
    }


def _words_of(profiles: Sequence[Profile]) -> str:
    starts = len(profiles[0].gradients)
    words = (
        f"Points: median of {starts} starts, with bars from the least to the greatest, if"
        " there are several."
    )
    expected = [p.expectation for p in profiles if p.expectation is not None]
    if expected and all(e.holds for e in expected):
        return f"{words} Dotted: theory, in its band. It asks for: {expected[0].condition}."
    return f"{words} No theory is drawn, since its condition does not hold here."


def _along_table(profiles: Sequence[Profile]) -> Table:
    rows = []
    for profile in profiles:
        count = len(profile.gradients[0])
        chosen = sorted({round(n * (count - 1) / (ROWS - 1)) for n in range(ROWS)})
        expected = profile.expectation
        for row in chosen:
            column = [seed[row] for seed in profile.gradients]
            theory = band = "–"
            if expected is not None and expected.holds:
                theory = short(expected.values[row])
                band = f"{short(expected.low[row])} to {short(expected.high[row])}"
            measured = f"{short(min(column))} to {short(max(column))}"
            rows.append([
                f"{profile.depth}: {2 * (count - 1 - row)}",
                short(statistics.median(column)),
                measured,
                theory,
                band,
            ])
    return Table(
        caption="Gradient norm relative to the end",
        columns=["layers: before the end", "median", "all starts", "theory", "its band"],
        rows=rows,
    )


def _ratio_table(lesson: DepthLesson) -> Table:
    rows = []
    for key, name in lesson.names.items():
        cells = []
        for depth in lesson.depths:
            found = lesson.profile(key, depth)
            cells.append("–" if found is None else _with_theory(found))
        rows.append([name, *cells])
    return Table(
        caption="First block over end, and in brackets what theory expects, by layers",
        columns=["design", *map(str, lesson.depths)],
        rows=rows,
    )


def _with_theory(profile: Profile) -> str:
    expected = profile.expectation
    if expected is None or not expected.holds:
        return short(profile.ratio)
    return f"{short(profile.ratio)} ({short(expected.values[0])})"


def _curve(trainings: Sequence[Training], depth: int, n: int) -> Iterator[dict[str, Any]]:
    """Give band and mean of the trainings of one depth, as means over stretches of steps."""
    name, colour = f"{depth} layers", SERIES[n % len(SERIES)]
    steps = len(trainings[0].losses)
    width = max(math.ceil(steps / POINTS), 1)
    starts = range(0, steps, width)
    places = [float(min(start + width, steps)) for start in starts]
    curves = [[statistics.fmean(t.losses[s : s + width]) for s in starts] for t in trainings]
    columns = list(zip(*curves, strict=True))
    shared = {"legendgroup": name, "hoverinfo": "skip", "showlegend": False}
    yield _band(places, [min(c) for c in columns], [max(c) for c in columns], colour, shared)
    means = [statistics.fmean(column) for column in columns]
    look = {"dash": DASHES[n % len(DASHES)]}
    yield {**line(name, places, means, colour, line=look), "legendgroup": name}
