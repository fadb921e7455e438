"""A verdict speaks where its level changes, and not again."""

from dataclasses import replace

import pytest

from skipwise.diagnosis import Level, Verdict
from skipwise.records import NoteRecord, VerdictRecord, from_line, to_line
from skipwise.watch.monitors.judging import Judge, Recent
from tests.training.test_safety import step


def verdict(level: Level, says: str = "It is so.") -> Verdict:
    return Verdict(rule="V1", name="it vanishes", level=level, says=says, source="", cure="skips")


def spoken(judge: Judge, step: int, level: Level) -> list[str]:
    told = list(judge.told(step, [verdict(level)]))
    return [e.text if isinstance(e, NoteRecord) else e.level for e in told]


def test_a_fault_is_told_once_until_it_changes():
    judge, levels = Judge(), ("PASS", "FAIL", "FAIL", "UNKNOWN", "FAIL", "WARN", "FAIL")
    told = [spoken(judge, step, Level(level)) for step, level in enumerate(levels)]
    fault = "FAIL V1, it vanishes: It is so. Cure: skips"
    over = "WARN V1, no longer it vanishes: It is so."
    assert told == [["PASS"], ["FAIL", fault], [], [], [], ["WARN", over], ["FAIL", fault]]


def test_a_judge_that_goes_on_does_not_repeat_itself():
    first, second = Judge(), Judge()
    spoken(first, 1, Level.FAIL)
    second.restore(first.state())
    assert spoken(second, 2, Level.FAIL) == []


def test_the_journal_gives_a_verdict_back():
    (record, _) = Judge().told(3, [verdict(Level.FAIL)])
    assert isinstance(record, VerdictRecord)
    assert from_line(to_line(record)) == record


def test_the_last_steps_are_the_same_after_a_resume():
    first, second = (Recent(batch_size=8, dtype="float32") for _ in range(2))
    for n in range(1, 131):
        first.add(replace(step(n, 1 / n), rate=0.2 if n < 9 else 0.01, skipped=n == 120))
    second.restore(first.state())
    for recent in (first, second):
        found = recent.history()
        assert found.steps == tuple(range(31, 131))  # a hundred are remembered
        assert found.losses == pytest.approx([1 / n for n in range(31, 131)])
        assert (set(found.rates), found.skipped) == ({0.01}, (120,))
        assert (recent.peak_rate, recent.last_rate) == (0.2, 0.01)
