"""The picture of a rate that was found: a page of two charts, and a small one for a notebook."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

from skipwise.files import write_atomic
from skipwise.reports.chart import DASHES, SERIES, SYMBOLS, Chart, Table, axis_of, figure, line
from skipwise.reports.page import Page, Section, rendered
from skipwise.reports.words import number
from skipwise.tuning.range_test import Sweep
from skipwise.tuning.trials import Trial

WIDTH, HEIGHT = 320, 96
ROWS = 25  # of the table of a range test
Marks = tuple[float, float, float]  # lower end, rate, upper end


def write_page(
    path: Path,
    title: str,
    words: Sequence[str],
    sweeps: Sequence[Sweep],
    trials: Sequence[Trial],
    marks: Marks,
    scored_by: str,
) -> Path:
    """Write both charts as one HTML file that needs nothing else.

    Args:
        path: The file.
        title: Of what the rate is.
        words: What was found, one sentence each.
        sweeps: The range tests.
        trials: The short runs.
        marks: The rate between the ends of its interval.
        scored_by: What the short runs were chosen by.

    Returns:
        The file.
    """
    charts = _of_sweeps(sweeps, marks), _of_trials(trials, marks, scored_by)
    page = Page(
        title=title,
        headline=words[0],
        verdict=list(words[1:]),
        figures=[],
        sections=[Section(name="rates", title="What was tried", charts=charts)],
    )
    write_atomic(path, rendered(page).encode())
    return path


def _of_sweeps(sweeps: Sequence[Sweep], marks: Marks) -> Chart:
    traces, rows = [], []
    for n, sweep in enumerate(sweeps):
        shape = {"dash": DASHES[n % len(DASHES)]}
        rates, losses = sweep.rates[: len(sweep.curve)], sweep.curve
        traces.append(
            line(f"seed {sweep.seed}", rates, losses, SERIES[n % len(SERIES)], line=shape)
        )
        every = max(math.ceil(len(losses) / ROWS), 1)
        pairs = list(zip(rates, losses, strict=True))[::every]
        rows += [[f"{rate:.2e}", str(sweep.seed), number(loss)] for rate, loss in pairs]
    return Chart(
        name="sweeps",
        title="Range tests",
        words=(
            "The rate rises from step to step; the loss is averaged over neighbouring steps. The"
            " band holds the rates that are as good as the one that is marked."
        ),
        figure=_marked(traces, "loss", marks),
        table=Table(caption="Averaged loss by rate", columns=["rate", "seed", "loss"], rows=rows),
    )


def _of_trials(trials: Sequence[Trial], marks: Marks, scored_by: str) -> Chart:
    traces, rows = [], []
    rates, seeds = sorted({t.rate for t in trials}), sorted({t.seed for t in trials})
    for n, seed in enumerate(seeds):
        own = sorted((t for t in trials if t.seed == seed), key=lambda trial: trial.rate)
        scores = [trial.score for trial in own]
        traces.append(
            line(
                f"seed {seed}",
                rates,
                scores,
                SERIES[n % len(SERIES)],
                dots=True,
                line={"dash": DASHES[n % len(DASHES)]},
                marker={"symbol": SYMBOLS[n % len(SYMBOLS)]},
            )
        )
    for rate in rates:
        scores = [trial.score for trial in trials if trial.rate == rate]
        rows.append([f"{rate:g}", *map(_score, scores), _score(fmean(scores))])
    return Chart(
        name="trials",
        title="Short runs",
        words=f"The {scored_by} of {len(trials[0].losses)} updates under the strategy's schedule.",
        figure=_marked(traces, scored_by, marks),
        table=Table(
            caption=f"{scored_by.capitalize()} by rate",
            columns=["rate", *(f"seed {seed}" for seed in seeds), "mean"],
            rows=rows,
        ),
    )


def _score(score: float) -> str:
    return number(score) if math.isfinite(score) else "diverged"


def _marked(traces: Sequence[dict[str, Any]], name: str, marks: Marks) -> dict[str, Any]:
    low, rate, high = marks
    whole = {"yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    band = {"type": "rect", "x0": low, "x1": high, "fillcolor": "var(--heat-1)", "opacity": 0.35}
    at = {"type": "line", "x0": rate, "x1": rate, "line": {"color": "var(--text)", "dash": "dot"}}
    shapes = [{**band, "line": {"width": 0}, **whole}, {**at, **whole}]
    values = [v for trace in traces for v in trace["y"] if v is not None]
    across = {"type": "log", "exponentformat": "power", "dtick": 1}
    return figure(traces, "learning rate", name, xaxis=across, yaxis=axis_of(values), shapes=shapes)


def drawn(title: str, words: Sequence[str], sweeps: Sequence[Sweep], marks: Marks) -> str:
    """Give a piece of HTML that stands in a notebook, light or dark: words and the range tests."""
    curves = [
        [(math.log(rate), loss) for rate, loss in zip(s.rates, s.curve, strict=False)]
        for s in sweeps
    ]
    points = [point for curve in curves for point in curve]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    # A loss that explodes would press all else flat, so that the first losses are the scale.
    top = 1.2 * max(curve[0][1] for curve in curves)
    low, rate, high = (
        WIDTH * min(max((math.log(mark) - left) / (right - left), 0.0), 1.0) for mark in marks
    )
    band = (
        f'<rect x="{low:.1f}" y="0" width="{high - low:.1f}" height="{HEIGHT}" fill="#0b5cad"'
        f' fill-opacity=".15"/><path d="M{rate:.1f} 0V{HEIGHT}" stroke="#c2560b"'
        ' stroke-dasharray="3 3"/>'
    )
    lines = "".join(
        '<polyline fill="none" stroke="currentColor" stroke-width="1.5" points="'
        + " ".join(
            f"{WIDTH * (x - left) / (right - left):.1f},{HEIGHT * (1 - min(y / top, 1.0)):.1f}"
            for x, y in curve
        )
        + '"/>'
        for curve in curves
    )
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in words)
    return (
        f"<div><p><strong>{escape(title)}</strong></p>"
        f'<svg width="{WIDTH}" height="{HEIGHT + 4}" viewBox="0 -2 {WIDTH} {HEIGHT + 4}" role="img"'
        f' aria-label="loss over the learning rate; the rate is marked">{band}{lines}</svg>'
        f"<p><small>loss over the rate, {math.exp(left):.1g} to {math.exp(right):.2g}; the band"
        f" holds the rates that are as good as {marks[1]:g}</small></p><ul>{said}</ul></div>"
    )
