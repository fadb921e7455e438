"""A number with its answer, and how a table of them is written."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from skipwise.analysis.spectra import Estimate, mean_of

HEAD = """
| what | measured | expected | tolerance | samples | within |
|---|---:|---:|---:|---:|---|
"""


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """One number with its answer."""

    name: str
    measured: float
    expected: float
    tolerance: float
    samples: int = 1

    @property
    def within(self) -> bool:
        """Whether the measurement agrees with the answer."""
        return abs(self.measured - self.expected) <= self.tolerance

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self._written(self.measured)} | {self._written(self.expected)}"
            f" | {self.tolerance:.1g} | {self.samples} | {'yes' if self.within else '**no**'} |"
        )

    def _written(self, value: float) -> str:
        """Write a number two digits finer than the tolerance, with 3 to 10 digits."""
        size = abs(value) / self.tolerance if self.tolerance else math.inf
        digits = 10 if math.isinf(size) else math.floor(math.log10(max(size, 1))) + 3
        return f"{value:.{min(digits, 10)}g}"


def known(name: str, measured: float, digits: str) -> Oracle:
    """Give a row whose answer is known to the digits that are written: to half of the last one."""
    exponent = Decimal(digits).as_tuple().exponent
    assert isinstance(exponent, int)
    return Oracle(
        name=name, measured=measured, expected=float(digits), tolerance=0.5 * 10.0**exponent
    )


def exact(name: str, measured: float, expected: float, rounding: float = 1e-10) -> Oracle:
    """Give a row that holds up to rounding, relative to an answer above 1."""
    return Oracle(
        name=name, measured=measured, expected=expected, tolerance=rounding * max(abs(expected), 1)
    )


def estimated(name: str, found: Estimate, expected: float, slack: float = 0.0) -> Oracle:
    """Give a row that holds up to five standard errors, and a bias of O(1/width)."""
    return Oracle(
        name=name,
        measured=found.value,
        expected=expected,
        tolerance=5 * found.error + slack,
        samples=found.samples,
    )


def averaged(name: str, values: Sequence[float], expected: float, slack: float = 0.0) -> Oracle:
    """Give a row whose answer is a mean over networks drawn anew."""
    return estimated(name, mean_of(values), expected, slack)


def table(introduction: str, rows: Iterable[Oracle]) -> str:
    """Write a whole file."""
    return introduction + HEAD + "\n".join(map(str, rows)) + "\n"
