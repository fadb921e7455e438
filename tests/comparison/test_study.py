"""Records of studies: there and back, and what they refuse."""

import json
import math

import pytest

from skipwise.comparison import (
    Ablation,
    Arm,
    ArmRun,
    StudyRecord,
    Trial,
    study_from_text,
    study_to_text,
)
from tests.comparison.planted import design, whole


def test_a_study_is_read_back_as_it_was_written():
    record = whole()
    text = study_to_text(record)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    again = study_from_text(text)
    assert again.design == record.design
    assert study_to_text(again) == text
    failed = next(run for run in again.runs if run.diverged)
    assert math.isnan(failed.score)
    assert failed.steps_to_target == math.inf


def test_an_ablation_is_read_back():
    plan = design(["a", "b"], ablation=Ablation(full="resnet20/a", without={"x": "resnet20/b"}))
    assert study_from_text(study_to_text(StudyRecord(design=plan))).design == plan


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"design": {}, "runs": []}'])
def test_what_is_no_study_is_refused(text: str):
    with pytest.raises(ValueError, match=r"no record of a study|Expecting value"):
        study_from_text(text)


def test_a_design_refuses_what_cannot_be_meant():
    for words, more in {
        "a study needs seeds, each once": {"seeds": (1, 1)},
        "`level` must lie between": {"level": 1.0},
        "`margin` must be positive": {"margin": 0.0},
        "pairs of two different arms": {"family": (("resnet20/a", "resnet20/a"),)},
        "each pair once": {"family": (("resnet20/a", "resnet20/b"), ("resnet20/b", "resnet20/a"))},
        "the study has no arm 'c'": {"family": (("c", "resnet20/a"),)},
        "the study has no arm 'd'": {"ablation": Ablation(full="d")},
    }.items():
        with pytest.raises(ValueError, match=words):
            design(["a", "b"], **more)
    with pytest.raises(ValueError, match="arms with names of their own"):
        design(["a", "a"])


def test_a_record_refuses_runs_that_are_not_planned_or_there_twice():
    run = ArmRun(arm="resnet20/a", seed=0, score=0.5)
    with pytest.raises(ValueError, match="there twice"):
        StudyRecord(design=design(["a"]), runs=(run, run))
    with pytest.raises(ValueError, match=r"plans no run of 'resnet20/a' with seed 99"):
        StudyRecord(design=design(["a"]), runs=(ArmRun(arm="resnet20/a", seed=99, score=0.5),))
    with pytest.raises(ValueError, match="no arm of the study"):
        StudyRecord(design=design(["a"]), trials=(Trial(arm="b", settings={}, score=0.1),))


def test_the_method_of_an_arm_tells_its_settings():
    arm = Arm(name="x", network="resnet20", strategy="sgd", settings={"rate": "0.1"})
    assert arm.method == "sgd (rate 0.1)"
