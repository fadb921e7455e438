"""Which way is better, by how much, and whether the answer can be trusted.

Takes the records of a study, gives a comparison with intervals and verdicts.
"""

from skipwise.comparison.comparison import Comparison, compare
from skipwise.comparison.family import extension, holm, least_seeds, warning
from skipwise.comparison.pairs import Pair
from skipwise.comparison.scores import ArmSummary
from skipwise.comparison.signs import (
    hodges_lehmann,
    sign_flip_interval,
    sign_flip_p,
    smallest_difference,
)
from skipwise.comparison.study import (
    Ablation,
    Arm,
    ArmRun,
    Design,
    Point,
    StudyRecord,
    Trial,
    study_from_text,
    study_to_text,
)
from skipwise.comparison.tables import (
    arms_as_csv,
    as_csv,
    as_html,
    as_json,
    as_latex,
    as_markdown,
    as_text,
    means_sheet,
    runs_as_csv,
    sheets,
)
from skipwise.comparison.words import conclusion, headline

__all__ = [
    "Ablation",
    "Arm",
    "ArmRun",
    "ArmSummary",
    "Comparison",
    "Design",
    "Pair",
    "Point",
    "StudyRecord",
    "Trial",
    "arms_as_csv",
    "as_csv",
    "as_html",
    "as_json",
    "as_latex",
    "as_markdown",
    "as_text",
    "compare",
    "conclusion",
    "extension",
    "headline",
    "hodges_lehmann",
    "holm",
    "least_seeds",
    "means_sheet",
    "runs_as_csv",
    "sheets",
    "sign_flip_interval",
    "sign_flip_p",
    "smallest_difference",
    "study_from_text",
    "study_to_text",
    "warning",
]
