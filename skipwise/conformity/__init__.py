"""Conformity: does a strategy compute what it says.

Takes a strategy, gives its certificate: one outcome a check, with numbers and a sentence.
"""

from skipwise.conformity.certificate import MARKS, Certificate, certify, versions
from skipwise.conformity.checks import CHECKS
from skipwise.conformity.formulas import FORMULAS, formula_of
from skipwise.conformity.outcome import LESS, NOT_OURS, UNJUDGED, Check, Outcome

__all__ = [
    "CHECKS",
    "FORMULAS",
    "LESS",
    "MARKS",
    "NOT_OURS",
    "UNJUDGED",
    "Certificate",
    "Check",
    "Outcome",
    "certify",
    "formula_of",
    "versions",
]
