"""The cards of the verdicts, the worst first, and what they come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skipwise.reports.diagnosis.numbers import Number, numbers_of
from skipwise.reports.words import counted

SIGNS = {"FAIL": "✕", "WARN": "!", "INFO": "i", "UNKNOWN": "?", "PASS": "✓"}  # the worst first
MEANINGS = {
    "FAIL": "a fault, with all the evidence that the rule asks for",
    "WARN": "outside what is expected",
    "INFO": "worth knowing, and no fault",
    "UNKNOWN": "not measured, or the numbers do not decide",
    "PASS": "measured, and as it should be",
}
FEW = 4  # places named before the others are folded away


@dataclass(frozen=True, kw_only=True)
class Card:
    """A verdict as the page shows it; ``words`` are its named texts, as far as it has them."""

    rule: str
    name: str
    level: str
    sign: str
    says: str
    numbers: Sequence[tuple[str, Number]]
    words: Sequence[tuple[str, str]]
    where: Sequence[str]
    elsewhere: Sequence[str]
    cure: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Cards:
    """Those that a reader must see, and those that passed."""

    open: Sequence[Card]
    passed: Sequence[Card]
    meanings: Mapping[str, str]


def cards_of(verdicts: Sequence[Mapping[str, Any]]) -> Cards:
    """Order verdicts by their level, the worst first; within a level they keep their order."""
    worst_first = list(SIGNS)
    cards = [_card(v) for v in sorted(verdicts, key=lambda v: worst_first.index(v["level"]))]
    there = {card.level for card in cards}
    return Cards(
        open=[card for card in cards if card.level != "PASS"],
        passed=[card for card in cards if card.level == "PASS"],
        meanings={level: words for level, words in MEANINGS.items() if level in there},
    )


def summary_of(plain: Mapping[str, Any]) -> list[str]:
    """Say how many rules came to what, what to do first, and what is not known."""
    verdicts = plain["verdicts"]
    counts = {level: sum(v["level"] == level for v in verdicts) for level in SIGNS}
    said = ", ".join(f"{count} {level}" for level, count in counts.items() if count)
    sentences = [f"{counted(len(verdicts), 'rule')}: {said}." if said else "No rule was asked."]
    cards = cards_of(verdicts).open
    sentences += [f"{c.level} {c.rule}: {c.says}" for c in cards if c.level in ("FAIL", "WARN")]
    cured = next((c for c in cards if c.level in ("FAIL", "WARN") and c.cure), None)
    if cured is not None:
        sentences.append(f"What to try first, for {cured.rule}: {cured.cure}.".replace("..", "."))
    if plain["failed"]:
        sentences.append(f"{counted(len(plain['failed']), 'measurement')} could not be made.")
    return sentences


def _card(verdict: Mapping[str, Any]) -> Card:
    words = ("reference", "band", "confidence")
    where = verdict["where"]
    return Card(
        rule=verdict["rule"],
        name=verdict["name"],
        level=verdict["level"],
        sign=SIGNS[verdict["level"]],
        says=verdict["says"],
        numbers=numbers_of(verdict["numbers"]),
        words=[(word, verdict[word]) for word in words if verdict[word]],
        where=where[:FEW],
        elsewhere=where[FEW:],
        cure=verdict["cure"],
        source=verdict["source"],
    )
