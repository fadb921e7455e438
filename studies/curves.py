"""A chart of smoothed curves as one SVG, readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 340, 56, 44, 34, 110
COLOURS = ("#d1495b", "#8c2f39", "#5aa9e6", "#1d6fb8")


def smoothed(values: Sequence[float], memory: float = 0.95) -> list[float]:
    """Give the exponential mean, corrected for its start."""
    found, mean, weight = [], 0.0, 0.0
    for value in values:
        mean, weight = memory * mean + (1 - memory) * value, memory * weight + (1 - memory)
        found.append(mean / weight)
    return found


def write_chart(
    path: Path, curves: Mapping[str, Sequence[float]], *, title: str, across: str
) -> None:
    """Draw curves over the step, each named at its end.

    Args:
        path: The file.
        curves: Values at steps 1, 2, … by name.
        title: What is drawn, above the chart.
        across: Name of the horizontal axis.
    """
    lines = {name: smoothed(values) for name, values in curves.items()}
    steps = max(len(v) for v in lines.values())
    top = max(v for values in lines.values() for v in values)
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(step: int, value: float) -> tuple[float, float]:
        return LEFT + inner_width * step / steps, TOP + inner_height * (1 - value / top)

    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{title}</text>']
    for tick in range(5):
        y = place(0, top * tick / 4)[1]
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{LEFT + inner_width}" stroke="#888" stroke-opacity=".25"/>'
        )
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * tick / 4:.1f}</text>'
        )
        x = place(steps * tick // 4, 0)[0]
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 24}" text-anchor="middle">{steps * tick // 4}</text>'
        )
    middle = LEFT + inner_width // 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{across}</text>')
    for values, colour in zip(lines.values(), COLOURS, strict=False):
        at = (place(n, v) for n, v in enumerate(values, start=1) if n % 3 == 1)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
    floor = float(HEIGHT)
    for values, name, colour in sorted(zip(lines.values(), lines, COLOURS, strict=False), key=_end):
        floor = min(place(0, values[-1])[1], floor - 14)  # names stand in the order of the ends
        where = f'x="{LEFT + inner_width + 8}" y="{floor + 4:.1f}"'
        parts.append(f'<text {where} fill="{colour}">{name} {values[-1]:.2f}</text>')
    style = "<style>text{font:12px sans-serif}text:not([fill]){fill:#777}</style>"
    body = "\n".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{title}</title>{style}\n{body}\n</svg>\n"
    )


def _end(curve: tuple[Sequence[float], str, str]) -> float:
    return curve[0][-1]
