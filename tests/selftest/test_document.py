"""The document: what was missed or accused is said, and every case is listed."""

from pathlib import Path

import docs.selftest
from docs.selftest import document
from skipwise.selftest import CASES, DESIGNS, SelftestRecord, Trial

WRITTEN = Path(docs.selftest.__file__).with_suffix(".md")


def test_the_table_counts_and_says_what_went_wrong():
    missed = Trial(case="dead", seed=4, rule="V5", found=False, level="WARN", says="half asleep")
    accused = Trial(case="late", seed=1, accused={"V1": "too small"}, warned={"V3": "slow"})
    found = Trial(case="dead", seed=1, rule="V5", found=True, warned={"V3": "slow"}, seconds=2.0)
    text = document(SelftestRecord(trials=(missed, found, accused)))
    assert (
        "**Faults found 1 of 2, twins accused 1 of 3, twins warned 1 of 3**, over 2 seeds" in text
    )
    assert "| dead | V5 | 1 / 2 | 0 / 2 | 1 (V3: 1) | 1.0 |" in text
    assert "* `dead`, seed 4: missed, V5 is WARN: half asleep" in text
    assert "* `late`, seed 1: its healthy network is accused by V1: too small" in text


def test_the_written_table_has_every_case():
    lines = WRITTEN.read_text().splitlines()
    for case in (*CASES, *DESIGNS):
        assert sum(line.startswith(f"| {case.name} |") for line in lines) == 1, case.name
