"""A figure of a few curves as SVG, with the numbers as text under it; needs no library.

The measured curve is solid, theory is dashed, and a band is a shaded strip. The text holds all that
the figure shows, so nothing depends on seeing it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN = 520, 240, 44
COLOURS = ("#1f4e9c", "#b3541e", "#4a7c3a", "#7a3b8f", "#8a6d00", "#555555")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve; ``low`` and ``high`` are the edges of its band, or empty."""

    name: str
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    theory: bool = False


def draw(
    *,
    title: str,
    text: str,
    lines: Sequence[Line],
    positions: Sequence[float],
    axis: str,
    logarithmic: bool = False,
) -> str:
    """Give the HTML of the figure and of the text under it.

    Args:
        title: Stands over the figure.
        text: The same in numbers.
        lines: The curves, the measured ones first.
        positions: Where their points stand on the horizontal axis.
        axis: What the horizontal axis is.
        logarithmic: Whether the vertical axis is; points that are not positive are then left out.
    """
    figure = _figure(lines, positions, axis, logarithmic=logarithmic)
    return (
        f"<figure style='margin:0'><figcaption><b>{escape(title)}</b></figcaption>{figure}"
        f"<pre style='font-size:85%'>{escape(text)}</pre></figure>"
    )


def _figure(
    lines: Sequence[Line], positions: Sequence[float], axis: str, *, logarithmic: bool
) -> str:
    def scaled(value: float) -> float:
        if not logarithmic:
            return value
        return math.log10(value) if value > 0 else math.nan

    heights = [scaled(v) for line in lines for v in (*line.values, *line.low, *line.high)]
    heights = [h for h in heights if math.isfinite(h)]
    if not heights:
        return ""
    left, right = min(positions), max(positions)
    low, high = min(heights), max(heights)

    def point(position: float, value: float) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (position - left) / ((right - left) or 1)
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (scaled(value) - low) / ((high - low) or 1)
        return f"{x:.1f},{y:.1f}"

    def path(values: Sequence[float], *, backwards: bool = False) -> list[str]:
        pairs = [(p, v) for p, v in zip(positions, values, strict=True) if math.isfinite(scaled(v))]
        return [point(p, v) for p, v in (reversed(pairs) if backwards else pairs)]

    parts = [_frame(axis, left, right, *(10**h if logarithmic else h for h in (low, high)))]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        if line.low:
            around = " ".join(path(line.low) + path(line.high, backwards=True))
            parts.append(f"<polygon points='{around}' fill='{colour}' fill-opacity='0.12'/>")
        dash = " stroke-dasharray='5 4'" if line.theory else ""
        parts.append(
            f"<polyline points='{' '.join(path(line.values))}' fill='none' stroke='{colour}'"
            f" stroke-width='2'{dash}/>"
        )
        parts.append(_label(number, line, colour))
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' role='img' width='{WIDTH}' height='{HEIGHT}'"
        f" viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' font-size='11'>"
        f"{''.join(parts)}</svg>"
    )


def _frame(axis: str, left: float, right: float, low: float, high: float) -> str:
    bottom, edge = HEIGHT - MARGIN, WIDTH - MARGIN
    return (
        f"<path d='M{MARGIN},{MARGIN} V{bottom} H{edge}' fill='none' stroke='#888'/>"
        f"<text x='{MARGIN - 4}' y='{bottom}' text-anchor='end'>{low:.3g}</text>"
        f"<text x='{MARGIN - 4}' y='{MARGIN + 8}' text-anchor='end'>{high:.3g}</text>"
        f"<text x='{MARGIN}' y='{bottom + 16}'>{left:g}</text>"
        f"<text x='{edge}' y='{bottom + 16}' text-anchor='end'>{right:g}</text>"
        f"<text x='{WIDTH / 2}' y='{bottom + 16}' text-anchor='middle'>{escape(axis)}</text>"
    )


def _label(number: int, line: Line, colour: str) -> str:
    name = f"theory: {line.name}" if line.theory else line.name
    x, y = MARGIN + 160 * (number % 3), 14 + 14 * (number // 3)
    return f"<text x='{x}' y='{y}' fill='{colour}'>{escape(name)}</text>"
