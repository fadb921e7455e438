"""A history is what the journal holds, and a rise is beyond noise."""

import math
import random
from dataclasses import replace

import pytest

from skipwise.diagnosis import Evaluated, History, history_of
from skipwise.diagnosis.history import rises
from skipwise.records import EvaluationRecord, MeasureRecord, NoteRecord, StepRecord


def step(number: int, loss: float, *, skipped: bool = False) -> StepRecord:
    return StepRecord(
        step=number,
        epoch=0.1 * number,
        loss=loss,
        rate=0.01 * number,
        gradient_norm=2.0 * number,
        examples=32,
        seconds=0.1,
        skipped=skipped,
    )


def evaluation(number: int, part: str, **metrics: float) -> EvaluationRecord:
    return EvaluationRecord(step=number, part=part, examples=9, metrics=metrics, seconds=0.1)


def test_a_history_is_what_the_journal_holds():
    events = [
        step(1, 3.0),
        MeasureRecord(step=1, name="gradient norm", values={"stem": 1.0}),
        step(2, math.nan, skipped=True),
        evaluation(2, "validation", loss=1.5, accuracy=0.25),
        NoteRecord(step=2, text="skipped"),
        step(3, 2.0),
        evaluation(3, "validation", loss=1.25),
        evaluation(3, "train", loss=1.0, accuracy=0.5),
        evaluation(3, "test", loss=9.0),
    ]
    found = history_of(iter(events), dtype="bfloat16")
    assert found.steps == (1, 2, 3)
    assert found.losses[::2] == (3.0, 2.0)
    assert math.isnan(found.losses[1])
    assert found.rates == (0.01, 0.02, 0.03)
    assert found.gradient_norms == (2.0, 4.0, 6.0)
    assert found.skipped == (2,)
    assert found.validation[0] == Evaluated(step=2, loss=1.5, accuracy=0.25)
    assert math.isnan(found.validation[1].accuracy)
    assert found.training == (Evaluated(step=3, loss=1.0, accuracy=0.5),)
    assert (found.batch_size, found.dtype, found.peak_rate) == (32, "bfloat16", 0.03)


def test_a_history_may_be_empty_but_not_uneven():
    assert history_of([]) == History(dtype="float32")
    assert math.isnan(History().peak_rate)
    with pytest.raises(ValueError, match="losses must hold one number for each of 2 steps, got 1"):
        History(steps=(1, 2), losses=(1.0,))


def test_growth_is_a_rise_and_a_fall_is_none():
    assert rises([1.1**t for t in range(20)])
    assert rises([1.0, 1.0, 1.0, math.nan, 1.2, 1.2, 1.2, math.inf])
    assert not rises([0.9**t for t in range(20)])
    assert not rises([1.0] * 20)
    assert not rises([1.0] * 3 + [1.125] * 3, share=0.125)  # by the share exactly
    assert rises([1.0] * 3 + [1.126] * 3, share=0.125)
    assert not rises([1.1**t for t in range(5)])  # too few


def test_noise_is_hardly_ever_a_rise():
    draw = random.Random(0)
    alarms = sum(rises([1 + 0.3 * draw.gauss(0, 1) for _ in range(20)]) for _ in range(2000))
    assert alarms < 2000 * 0.01


def test_the_peak_of_the_rate_is_the_planned_one_while_it_warms_up():
    assert History(steps=(1, 2), rates=(0.01, 0.02), planned_rate=0.1).peak_rate == 0.1
    assert History(steps=(1, 2), rates=(0.01, 0.2), planned_rate=0.1).peak_rate == 0.2
    assert History(steps=(1, 2), rates=(0.01, 0.02)).peak_rate == 0.02
    assert math.isnan(History().peak_rate)


def test_of_refused_steps_only_those_count_that_were_not_finite():
    history = History(
        steps=(1, 2, 3, 4, 5),
        losses=(1.0, math.nan, 1.0, 1.0, 1.0),
        gradient_norms=(1.0, 1.0, math.inf, 1e9, 1.0),
        skipped=(2, 3, 4),
    )
    assert history.broken == (2, 3)
    assert history.recovered
    assert history.taken_losses == (1.0, 1.0)
    assert not replace(history, skipped=(2, 3, 4, 5)).recovered
