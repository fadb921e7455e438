"""A diagnosis as one page: what is wrong, what would mend it, and theory over every measurement.

Takes the plain form of a Diagnosis, gives diagnosis.html.
"""

from skipwise.reports.diagnosis.page import write_diagnosis

__all__ = ["write_diagnosis"]
