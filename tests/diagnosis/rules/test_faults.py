"""Where a rule accuses, every reader is told what mends it."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from skipwise.diagnosis import Level, Reader, Verdict, rules
from skipwise.diagnosis.judging import ROOTS
from tests.diagnosis.rules import test_finite, test_ignored
from tests.diagnosis.rules.made import PLAIN, SKIPS, geometric, signal_of
from tests.diagnosis.rules.training import (
    test_batch_size,
    test_batch_statistics,
    test_dead_units,
    test_overfitting,
    test_stability,
)
from tests.diagnosis.rules.training.made import moved, rehearsed

TYPED = ("--", "strategy.", "network.", "find-rate", "skipwise train", ".ckpt", "plain20")
RISING = test_overfitting.RISING


def faults() -> Sequence[Verdict]:
    """Give a verdict for each way in which a rule accuses or warns."""
    bad: Sequence[dict[str, Any]] = (
        {"weights": (0, 1)},
        {"inputs": 1.0},
        {"loss": math.inf},
        {"gradient": (0, 1)},
    )
    depths = [(r, f) for r in (1e3, 1e-6) for f in (PLAIN, SKIPS)]
    sharp = test_stability.spectrum(2.0)
    lost = (moved(1e-9), moved(1e-9, dtype="bfloat16"), moved(1e-2, gradient=0.0, dtype="float16"))
    return (
        *(rules.finite(finiteness=test_finite.made(**each)) for each in bad),
        rules.finite(finiteness=test_finite.made(nan=(0, 1), loss=math.nan)),
        rules.finite(loss=math.nan),
        rules.finite(refused=9),
        *(rules.depth(signal=signal_of(geometric(r, 20), figures=f)) for r, f in depths),
        *(rules.lost_updates(rehearsal=rehearsed(each)) for each in lost),
        *(rules.rate(rehearsal=rehearsed(moved(ratio))) for ratio in (1e-6, 1.0)),
        rules.stability(spectrum=sharp, rehearsal=rehearsed(**test_stability.RISING)),
        rules.stability(rehearsal=rehearsed(**test_stability.RISING)),
        rules.dead_units(units=test_dead_units.counted(0.0, 0.9)),
        test_ignored.judged(),
        rules.overfitting(gap=test_overfitting.gap(0.1, 1.0), history=RISING),
        rules.overfitting(gap=test_overfitting.gap(0.1, 2.3, accuracy=0.1)),
        *(
            rules.batch_statistics(
                normalisation=test_batch_statistics.found(gap=9.0, shift=9.0, settled=settled)
            )
            for settled in (0.1, 1.0)
        ),
    )


def test_every_rule_that_can_accuse_is_among_them():
    accused = {verdict.rule for verdict in faults() if verdict.level is Level.FAIL}
    assert accused == {"V0", "V1", "V2", "V4", "V5", "V6", "V10", "V11"}
    assert accused.issuperset(ROOTS)


@pytest.mark.parametrize("reader", Reader)
def test_every_fault_has_a_cure_that_its_reader_can_use(reader: Reader):
    small = rules.batch_size(noise=test_batch_size.noise(1000.0, size=16))
    for verdict in (*faults(), small):
        cure = verdict.told(reader).cure
        assert cure, verdict
        typed = [word for word in TYPED if word in cure]
        assert not typed or reader is not Reader.MODULE, cure
        assert not (set(typed) & {"network.", "plain20"}) or reader is Reader.RUN, cure
