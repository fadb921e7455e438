"""What a run left behind, as one page that needs nothing else.

Takes folders of runs and records of studies, gives report.html, study.html, what a notebook shows.
"""

from skipwise.reports.comparison import COMPARISON, compare_to
from skipwise.reports.page import report
from skipwise.reports.reading import Reading, check_run, read_run
from skipwise.reports.statistics import wilson
from skipwise.reports.study import study_report
from skipwise.reports.summary import summary
from skipwise.reports.words import SHARES, command_line

__all__ = [
    "COMPARISON",
    "SHARES",
    "Reading",
    "check_run",
    "command_line",
    "compare_to",
    "read_run",
    "report",
    "study_report",
    "summary",
    "wilson",
]
