"""The card of a measurement: its drawings, its numbers, and how it is defined."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skipwise.reports.diagnosis.curves import Drawing, Expectation, drawings_of, expectation_of
from skipwise.reports.diagnosis.numbers import Number, number_of, numbers_of

CELLS = 10_000  # numbers in the tables of a page, which keeps it light


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A table of numbers; ``rest`` says what it leaves out."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Number]]]
    rest: str = ""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the page says of a measurement.

    Args:
        name: Its place in the page.
        key: Its short name in the diagnosis.
        title: What was measured.
        drawings: As far as there is something to draw.
        undrawn: What theory says of columns that are not drawn.
        table: All columns, and theory beside them.
        figures: Numbers of the whole.
        notes: What a reader must know.
        formula: What the columns are, in symbols.
        source: Where the formula stands.
    """

    name: str
    key: str
    title: str
    drawings: Sequence[Drawing]
    undrawn: Sequence[Expectation]
    table: Numbers
    figures: Sequence[tuple[str, Number]]
    notes: Sequence[str]
    formula: str
    source: str


def measured_of(measurements: Mapping[str, Mapping[str, Any]]) -> list[Measured]:
    """Give the cards of all measurements, those of which theory speaks first."""
    limit = fair(len(m["rows"]) * len(_heads(m)) for m in measurements.values())
    numbered = list(enumerate(measurements.items()))
    numbered.sort(key=lambda pair: not pair[1][1]["theories"])
    return [_card(key, plain, f"measured-{n}", limit) for n, (key, plain) in numbered]


def fair(sizes: Iterable[int], budget: int = CELLS) -> int:
    """Give the largest limit for each, such that all together stay within a budget.

    >>> fair([10, 20], 100), fair([10, 200, 300], 110)
    (20, 50)
    """
    left, limit = budget, 0
    ordered = sorted(sizes)
    for n, size in enumerate(ordered):
        limit = min(size, left // (len(ordered) - n))
        left -= limit
    return limit


def _card(key: str, plain: Mapping[str, Any], name: str, limit: int) -> Measured:
    drawings = drawings_of(plain, name)
    drawn = {drawing.column for drawing in drawings}
    return Measured(
        name=name,
        key=key,
        title=plain["name"][:1].upper() + plain["name"][1:],
        drawings=drawings,
        undrawn=[
            expectation_of(theory, plain["columns"][theory["column"]])
            for theory in plain["theories"]
            if theory["column"] not in drawn
        ],
        table=_table(plain, limit),
        figures=numbers_of(plain["figures"]),
        notes=plain["notes"],
        formula=plain["formula"],
        source=plain["source"],
    )


def _table(plain: Mapping[str, Any], limit: int) -> Numbers:
    rows, columns = plain["rows"], list(plain["columns"].values())
    for theory in plain["theories"]:
        columns += [theory["values"], *(theory[e] for e in ("low", "high") if theory[e])]
    heads = _heads(plain)
    count = min(len(rows), max(limit // max(len(heads), 1), 1))
    rest = "" if count == len(rows) else f"The first {count:,} of {len(rows):,} rows."
    return Numbers(
        caption=plain["name"],
        columns=[plain["of"], *heads],
        rows=[
            (row, [number_of(column[n]) for column in columns])
            for n, row in enumerate(rows[:count])
        ],
        rest=rest and f"{rest} diagnosis.json holds them all.",
    )


def _heads(plain: Mapping[str, Any]) -> list[str]:
    heads = list(plain["columns"])
    for theory in plain["theories"]:
        heads.append(f"theory of {theory['column']}: {theory['name']}")
        heads += [
            f"its {word} edge" for word, e in (("lower", "low"), ("upper", "high")) if theory[e]
        ]
    return heads
