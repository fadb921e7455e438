"""Selftest: do the verdicts of this installation find planted faults, and accuse no one else.

Takes seeds, gives a record: of each planted fault whether it was found, of each healthy twin what
was said.
"""

from skipwise.selftest.case import Case, Design, Specimen
from skipwise.selftest.cases import CASES, DESIGNS
from skipwise.selftest.record import SelftestRecord, Trial
from skipwise.selftest.runner import choose, facts, run_selftest, trials

__all__ = [
    "CASES",
    "DESIGNS",
    "Case",
    "Design",
    "SelftestRecord",
    "Specimen",
    "Trial",
    "choose",
    "facts",
    "run_selftest",
    "trials",
]
