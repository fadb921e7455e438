"""What a rule says: how bad it is, its numbers, what is normal, and what would cure it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, final

from skipwise.analysis import short
from skipwise.diagnosis.cure import Cure, Reader
from skipwise.records import finite


class Level(StrEnum):
    """How a verdict ends, the worst first.

    FAIL accuses, and only with all the evidence that the rule asks for; WARN is outside what is
    expected; INFO is worth knowing and no fault, such as a silence by design; UNKNOWN was not
    measured, or the numbers do not decide; PASS was measured and is as it should be.
    """

    FAIL = "FAIL"
    WARN = "WARN"
    INFO = "INFO"
    UNKNOWN = "UNKNOWN"
    PASS = "PASS"


@final
@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One rule's answer.

    Args:
        rule: ``V0`` to ``V13``.
        name: What the rule looks for, in a few words: ``gradient explodes or vanishes with depth``.
        level: How it ends.
        says: One sentence for a reader who knows no formula, with the number that decided it.
        numbers: What was measured, by name.
        reference: What the numbers are held against, in words or as a formula with its value.
        band: What would have passed, in words: ``1e-3 to 70``.
        where: Names of the layers or blocks that it is about, the worst first.
        cure: What mends it; empty where nothing is wrong. Where there is a remedy, its words for a
            run, until a reader was told.
        source: Where rule and thresholds come from.
        confidence: How sure it is, and what would make it surer; in words.
        remedy: The cure in the words of every reader; None where it is the same to all.
    """

    rule: str
    name: str
    level: Level
    says: str
    source: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    reference: str = ""
    band: str = ""
    where: tuple[str, ...] = ()
    cure: str = ""
    confidence: str = ""
    remedy: Cure | None = None

    def __post_init__(self):
        if self.remedy is not None:
            object.__setattr__(self, "cure", self.remedy.run)

    def told(self, reader: Reader) -> "Verdict":
        """Give it with the cure in the words of one reader."""
        if self.remedy is None:
            return self
        return replace(self, cure=self.remedy.to(reader), remedy=None)

    def __str__(self) -> str:
        """Write it as a few lines for a terminal."""
        numbers = ", ".join(f"{name} {short(value)}" for name, value in self.numbers.items())
        lines = [f"{self.level:7} {self.rule:3} {self.name}: {self.says}"]
        named = (
            ("numbers", numbers),
            ("reference", self.reference),
            ("band", self.band),
            ("where", _first(self.where)),
            ("cure", self.cure),
            ("confidence", self.confidence),
        )
        return "\n".join([*lines, *(f"            {name}: {text}" for name, text in named if text)])

    def as_plain(self) -> dict[str, Any]:
        """Give what JSON can write; numbers that are not finite become None."""
        plain = asdict(self)
        del plain["remedy"]
        return finite(plain)


def _first(names: tuple[str, ...], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
