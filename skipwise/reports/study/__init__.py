"""A whole study as one page: what it found, how sure that is, and every run one click away.

Takes the record of a study, gives study.html.
"""

from skipwise.reports.study.page import study_report

__all__ = ["study_report"]
