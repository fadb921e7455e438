"""Write docs/oracles_curvature.md: measurements whose answer is known, beside that answer.

``python -m docs.oracles_curvature`` writes it; a test asserts that all rows are within tolerance.
"""

from pathlib import Path

from docs.known import curvature, state
from docs.known.oracle import Oracle, table

FILE = Path(__file__).with_suffix(".md")
INTRODUCTION = """# Curvature, landscape and state against known answers

Written by `python -m docs.oracles_curvature`; do not edit it by hand. The tolerance is absolute:
half of the last digit of the known value, rounding, or five standard errors where something is
drawn. Samples are steps, batches or random vectors; 1 where nothing is drawn.
"""


def rows() -> list[Oracle]:
    """Measure all of it."""
    return [row for part in (*curvature.PARTS, *state.PARTS) for row in part()]


if __name__ == "__main__":
    FILE.write_text(table(INTRODUCTION, rows()))
