"""A whole study as one page: what it found, how sure that is, and every run one click away.

Takes the record of a study, gives study.html.
Imports comparison and files; no torch.
"""

from skipwise.reports.study.page import STUDY, study_report

__all__ = ["STUDY", "study_report"]
