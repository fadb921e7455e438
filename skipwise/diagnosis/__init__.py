"""What measurements mean: verdicts on a model and its training, each with its numbers and a cure.

Takes measurements of ``analysis``, gives verdicts; a rule is a pure function of numbers.
"""

from skipwise.diagnosis.cure import Cure, Reader
from skipwise.diagnosis.diagnosis import Diagnosis
from skipwise.diagnosis.examine import examine
from skipwise.diagnosis.generalisation import generalisation
from skipwise.diagnosis.history import Evaluated, History, history_of
from skipwise.diagnosis.rehearsal import Moved, Rehearsal, rehearse
from skipwise.diagnosis.subject import blocks_have_norms
from skipwise.diagnosis.verdict import Level, Verdict

__all__ = [
    "Cure",
    "Diagnosis",
    "Evaluated",
    "History",
    "Level",
    "Moved",
    "Reader",
    "Rehearsal",
    "Verdict",
    "blocks_have_norms",
    "examine",
    "generalisation",
    "history_of",
    "rehearse",
]
