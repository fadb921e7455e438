"""The counts are those of what was said: a rule that misses or accuses fails the selftest."""

import dataclasses
import json
from collections.abc import Callable

import pytest

from skipwise.diagnosis import Diagnosis, Level, Verdict
from skipwise.selftest import (
    CASES,
    DESIGNS,
    Case,
    SelftestRecord,
    Specimen,
    choose,
    run_selftest,
    trials,
)
from skipwise.selftest.runner import tried

RULES = tuple(f"V{number}" for number in range(14))


def saying(level: Level, rule: str = "V1") -> Diagnosis:
    verdict = Verdict(rule=rule, name="a rule", level=level, says="so it is", source="none")
    return Diagnosis(verdicts=(verdict,))


def case(build: Callable[..., Specimen] | None = None, *, least: Level = Level.FAIL) -> Case:
    return dataclasses.replace(
        CASES[1], rule="V1", least=least, **({} if build is None else {"build": build})
    )


def examination(of_faulty: Level, of_twin: Level) -> Callable[[Specimen], Diagnosis]:
    """Give an examination that looks at nothing: it says one thing first, then the other."""
    said = iter((of_faulty, of_twin))
    return lambda specimen: saying(next(said))


@pytest.mark.parametrize(
    ("level", "least", "found"),
    [
        (Level.FAIL, Level.FAIL, True),
        (Level.WARN, Level.FAIL, False),
        (Level.WARN, Level.WARN, True),
        (Level.FAIL, Level.WARN, True),
        (Level.INFO, Level.WARN, False),
        (Level.UNKNOWN, Level.WARN, False),
        (Level.PASS, Level.WARN, False),
    ],
)
def test_a_fault_is_found_from_its_level_on(level: Level, least: Level, found: bool):
    trial = tried(case(least=least), 0, examination(level, Level.PASS))
    assert trial.found is found
    assert trial.passed is found


@pytest.mark.parametrize(
    ("level", "accused", "warned", "measured"),
    [
        (Level.FAIL, True, False, True),
        (Level.WARN, False, True, True),
        (Level.INFO, False, False, True),
        (Level.PASS, False, False, True),
        (Level.UNKNOWN, False, False, False),
    ],
)
def test_a_twin_is_accused_by_a_fail_alone(
    level: Level, accused: bool, warned: bool, measured: bool
):
    trial = tried(case(), 0, examination(Level.FAIL, level))
    assert (bool(trial.accused), bool(trial.warned)) == (accused, warned)
    assert bool(trial.measured) is measured
    assert trial.passed is (measured and not accused)
    told = "not judged: V1 is UNKNOWN" in SelftestRecord(trials=(trial,)).line()
    assert told is not measured


def test_another_rule_may_accuse_the_twin():
    answers = iter((saying(Level.FAIL), saying(Level.FAIL, "V7")))
    trial = tried(case(), 0, lambda _: next(answers))
    assert trial.accused == {"V7": "so it is"}


def test_another_rule_does_not_find_the_fault():
    trial = tried(case(), 0, lambda _: saying(Level.FAIL, "V7"))
    assert trial.found is False
    assert "no verdict V1" in trial.says


def test_an_examination_that_stops_is_no_success():
    def stops(specimen: Specimen) -> Diagnosis:
        raise RuntimeError("it does not\nwork")

    fault = run_selftest(cases=["explode"], examination=stops)
    assert fault.trials[0].broken == "RuntimeError: it does not work"
    assert not fault.passed
    assert fault.counts().endswith("examinations stopped by an error 1")
    assert not run_selftest(cases=["rezero"], examination=stops).passed


def test_counts_add_up_over_cases_and_seeds():
    def suspicious(specimen: Specimen) -> Diagnosis:
        assert specimen.history is not None
        return saying(Level.WARN if specimen.history.steps else Level.FAIL)

    record = run_selftest(seeds=2, cases=["explode", "ignored", "rezero"], examination=suspicious)
    assert record.counts() == ("faults found 2 of 4, twins accused 4 of 6, twins warned 2 of 6")
    assert record.of("ignored").counts() == (
        "faults found 0 of 2, twins accused 0 of 2, twins warned 2 of 2"
    )
    assert not record.passed
    assert "found 2 of 2" in record.of("explode").line()
    assert "seed 1, accused by V1: so it is" in record.of("explode").line()
    assert json.loads(json.dumps(record.as_plain()))["faults"] == {"found": 2, "planted": 4}


def test_nothing_tried_is_nothing_proven():
    assert not SelftestRecord(trials=()).passed


def test_seconds_end_the_seeds_and_never_leave_out_a_case():
    names = ["explode", "vanish"]
    found = trials(seeds=3, cases=names, seconds=0.0, examination=lambda _: saying(Level.FAIL))
    assert [(trial.case, trial.seed) for trial in found] == [("explode", 0), ("vanish", 0)]


def test_every_rule_has_a_planted_fault_but_the_one_that_never_complains():
    assert {case.rule for case in CASES} == set(RULES) - {"V12"}
    names = [case.name for case in (*CASES, *DESIGNS)]
    assert len(set(names)) == len(names)


def test_an_unknown_case_is_told_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'explode'"):
        choose(["exploding"])
    with pytest.raises(ValueError, match="a seed at least"):
        run_selftest(seeds=0)
