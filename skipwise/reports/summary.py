"""What a notebook shows of a run: a headline, the verdict, and two small curves; no program."""

from html import escape
from pathlib import Path

from skipwise.files import REPORT
from skipwise.reports.curves import thinned
from skipwise.reports.reading import read_run
from skipwise.reports.verdict import headline, verdict

WIDTH, HEIGHT = 320, 96
STROKES = (("currentColor", ""), ("#c2560b", ' stroke-dasharray="5 3"'))


def summary(folder: Path) -> str:
    """Give a piece of HTML that stands in a notebook, light or dark.

    Raises:
        ValueError: If the folder is no run.
    """
    run = read_run(folder)
    loss = thinned(run.steps, "loss", points=120)
    held = [(e.step, e.metrics["loss"]) for e in run.validations]
    pairs = [list(zip(loss.steps, loss.values, strict=True)), held]
    page = folder / REPORT
    more = f"<p>The whole report: <code>{escape(str(page))}</code></p>" if page.exists() else ""
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in verdict(run))
    return (
        f"<div><p><strong>{escape(run.title)}: {escape(headline(run))}</strong></p>"
        f"{_drawn(pairs)}<ul>{said}</ul>{more}</div>"
    )


def _drawn(curves: list[list[tuple[int, float]]]) -> str:
    """Draw loss over steps: training as a line, validation dashed."""
    points = [point for curve in curves for point in curve]
    if len(points) < 2:
        return ""
    right, top = max(x for x, _ in points), max(y for _, y in points)
    lines = []
    for (colour, dash), curve in zip(STROKES, curves, strict=True):
        at = " ".join(
            f"{WIDTH * x / right:.1f},{HEIGHT * (1 - y / (top or 1.0)):.1f}" for x, y in curve
        )
        lines.append(
            f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
        )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT + 4}" viewBox="0 -2 {WIDTH} {HEIGHT + 4}" role="img"'
        f' aria-label="loss over steps: training as a line, validation dashed">{"".join(lines)}'
        "</svg><p><small>loss over steps, from 0 to"
        f" {top:.3g}: training as a line, validation dashed</small></p>"
    )
