"""What is said of several verdicts together, and no more than they say."""

import pytest

from skipwise.diagnosis import Diagnosis, Level, Verdict
from skipwise.diagnosis.judging import led_back


def said(rule: str, level: Level = Level.PASS, cure: str = "") -> Verdict:
    return Verdict(rule=rule, name=f"name of {rule}", level=level, says="so", source="", cure=cure)


def verdicts(**levels: Level) -> tuple[Verdict, ...]:
    rules = [f"V{number}" for number in range(14)]
    return tuple(said(rule, levels.get(rule, Level.PASS), "a cure") for rule in rules)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({}, "Healthy: every rule of health was measured and passed."),
        ({"V8": Level.INFO}, "Healthy: every rule of health was measured and passed."),
        ({"V2": Level.INFO}, "No fault found; read what V2 says."),
        ({"V4": Level.UNKNOWN}, "No fault found; not known: V4."),
        ({"V4": Level.UNKNOWN, "V7": Level.WARN}, "No fault, but look at: name of V7 (V7)."),
        ({"V1": Level.FAIL, "V7": Level.WARN}, "Fault found: name of V1 (V1)."),
    ],
)
def test_the_headline_says_no_more_than_was_measured(levels: dict[str, Level], words: str):
    found = Diagnosis(verdicts=verdicts(**levels))
    assert found.headline() == words
    assert found.healthy == words.startswith("Healthy")


def test_what_may_follow_from_a_fault_is_led_back_to_it():
    levels = {"V1": Level.WARN, "V4": Level.FAIL, "V5": Level.FAIL, "V12": Level.INFO}
    cures = {v.rule: v.cure for v in led_back(verdicts(**levels))}
    led = "mend V4 first: it may be the cause of this"
    assert cures["V4"] == cures["V10"] == "a cure"
    assert cures["V1"] == cures["V5"] == cures["V12"] == led
    beside = {v.rule: v.cure for v in led_back(verdicts(**{**levels, "V1": Level.FAIL}))}
    assert beside["V1"] == "a cure"  # a network that explodes by itself, whatever the rate
    untouched = verdicts(V1=Level.FAIL, V9=Level.WARN)
    assert led_back(untouched) == untouched


def test_a_terminal_shows_the_first_names_and_counts_the_rest():
    verdict = Verdict(
        rule="V5", name="dead", level=Level.FAIL, says="so", source="", where=tuple("abcde")
    )
    assert "where: a, b, c and 2 more" in str(verdict)
    assert list(verdict.as_plain()["where"]) == list("abcde")
