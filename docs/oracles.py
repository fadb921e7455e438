"""Write docs/oracles.md: what is measured along the depth, beside the answer that is known.

``python -m docs.oracles`` writes it; a test asserts that every row is within its tolerance.
"""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from docs.known import jacobians, networks, random_networks, theory
from docs.known.oracle import Oracle, table

FILE = Path(__file__).with_suffix(".md")
INTRODUCTION = """# What is measured along the depth, against known answers

Written by `python -m docs.oracles`; do not edit it by hand. The tolerance is absolute: half of the
last digit of the known value, rounding, or five standard errors over networks drawn anew, which the
column samples counts (1: nothing is drawn), and what is of the order of 1/width or 1/depth where
the answer is that of infinite networks.
"""
EXACT = (*theory.PARTS, *networks.PARTS)
DRAWN = (*random_networks.PARTS, *jacobians.PARTS)


def rows() -> Iterable[Oracle]:
    """Measure all of it."""
    return chain.from_iterable(part() for part in (*EXACT, *DRAWN))


if __name__ == "__main__":
    FILE.write_text(table(INTRODUCTION, rows()))
