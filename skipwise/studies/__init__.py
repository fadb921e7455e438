"""Studies: arms × seeds, declared, run anywhere, resumed, compared.

Takes a Study, gives its comparison and a folder in which every run can be looked at.
"""

from skipwise.studies.arms import Arm, arms_of, family_of
from skipwise.studies.compare import begun_from, carry_on, compare, study_of
from skipwise.studies.conduct import Conducted
from skipwise.studies.plan import Plan, planned, study_folder
from skipwise.studies.study import Study, read_study

__all__ = [
    "Arm",
    "Conducted",
    "Plan",
    "Study",
    "arms_of",
    "begun_from",
    "carry_on",
    "compare",
    "family_of",
    "planned",
    "read_study",
    "study_folder",
    "study_of",
]
