"""What measurements mean: verdicts on a model and its training, each with its numbers and a cure.

Takes measurements of ``analysis``, gives verdicts; a rule is a pure function of numbers. Imports
analysis and records.
"""

from skipwise.diagnosis.diagnosis import Diagnosis
from skipwise.diagnosis.verdict import Level, Verdict

__all__ = ["Diagnosis", "Level", "Verdict"]
