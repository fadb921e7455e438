"""What a measurement gives: plain numbers, the theory that belongs to them, and what it asks.

A :class:`Measurement` has one row for each block (or depth, or point of a density), one column for
each quantity, figures of the whole, and the theories that speak of a column: a curve with its band,
and the condition under which it holds. It prints as a table, draws itself in a notebook, and needs
no torch. What could not be known is NaN.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

from skipwise.analysis.drawing import Line, draw
from skipwise.records import finite


@final
@dataclass(frozen=True, kw_only=True)
class Theory:
    """A curve that theory expects of one column.

    Args:
        name: Of what it is the theory, for example ``residual, unscaled``.
        column: The column of the measurement that it speaks of.
        formula: In the notation of the source.
        condition: When it holds, in words.
        holds: Whether the condition is met, None where that is not known.
        values: One expected value for each row; NaN where it says nothing.
        low: Lower edge of the finite-width band, one for each row, or empty.
        high: Its upper edge.
        source: Where the formula stands.
    """

    name: str
    column: str
    formula: str
    condition: str
    values: tuple[float, ...]
    source: str
    holds: bool | None = None
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@final
@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Plain numbers, their theories, and how they print.

    Args:
        name: What was measured.
        formula: What the columns are, in symbols.
        source: Where the formula stands.
        of: What a row is: ``block``, ``depth`` …
        rows: Names of the rows.
        columns: One tuple of numbers for each quantity, as long as ``rows``.
        figures: Numbers of the whole.
        theories: What theory says of a column.
        notes: What a reader must know, one sentence each.
        shown: The column that is drawn; the first by default.
        logarithmic: Whether it is drawn on a logarithmic scale.
        positions: Where the rows stand on the drawing's axis; 0, 1, … by default.
    """

    name: str
    formula: str
    source: str
    rows: tuple[str, ...]
    columns: Mapping[str, tuple[float, ...]]
    of: str = "block"
    figures: Mapping[str, float] = field(default_factory=dict)
    theories: tuple[Theory, ...] = ()
    notes: tuple[str, ...] = ()
    shown: str = ""
    logarithmic: bool = False
    positions: tuple[float, ...] = ()

    def __post_init__(self):
        for name, column in self.columns.items():
            assert len(column) == len(self.rows), name
        for theory in self.theories:
            assert theory.column in self.columns, theory.column

    def __getitem__(self, name: str) -> tuple[float, ...]:
        """Give a column by its name.

        Raises:
            KeyError: If there is none of that name.
        """
        if name not in self.columns:
            raise KeyError(f"{self.name} has no column {name!r}; it has {', '.join(self.columns)}")
        return self.columns[name]

    def __str__(self) -> str:
        """Write it as a table, with figures and notes under it."""
        heads = (self.of, *self.columns, *(f"theory: {t.name}" for t in self.theories))
        numbers = (*self.columns.values(), *(theory.values for theory in self.theories))
        cells = [[row, *map(short, values)] for row, *values in self._lines(numbers)]
        widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
        lines = [self.name, _aligned(heads, widths)]
        lines += [_aligned(line, widths) for line in cells]
        lines += [f"{name}: {short(value)}" for name, value in self.figures.items()]
        lines += [f"theory, {t.name}: {t.formula}; {_standing(t)}" for t in self.theories]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        """Draw it for a notebook: the shown column over its theories, and the table under it."""
        return draw(
            title=self.name,
            text=str(self),
            lines=self._drawn(),
            positions=self.positions or tuple(map(float, range(len(self.rows)))),
            axis=self.of,
            logarithmic=self.logarithmic,
        )

    def as_plain(self) -> dict[str, Any]:
        """Give what JSON can write; numbers that are not finite become None."""
        return finite(asdict(self))

    def _lines(self, numbers: tuple[tuple[float, ...], ...]) -> list[tuple[Any, ...]]:
        return list(zip(self.rows, *numbers, strict=True))

    def _drawn(self) -> list[Line]:
        shown = self.shown or next(iter(self.columns))
        lines = [Line(name=shown, values=self[shown])]
        lines += [
            Line(name=t.name, values=t.values, low=t.low, high=t.high, theory=True)
            for t in self.theories
            if t.column == shown
        ]
        return lines


def short(value: float) -> str:
    """Write a number with four digits; what is not known is a question mark.

    >>> short(1.0), short(0.000123456), short(float("nan"))
    ('1', '0.0001235', '?')
    """
    return "?" if math.isnan(value) else f"{value:.4g}"


def _aligned(cells: Any, widths: list[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)])


def _standing(theory: Theory) -> str:
    words = {True: "holds here", False: "does not hold here", None: "unknown whether it holds here"}
    return f"{words[theory.holds]}: {theory.condition}"
