"""A diagnosis as one page: what is wrong, what would mend it, and theory over every measurement.

Takes the plain form of a Diagnosis, gives diagnosis.html. Imports files; no torch.
"""

from skipwise.reports.diagnosis.page import DIAGNOSIS, write_diagnosis

__all__ = ["DIAGNOSIS", "write_diagnosis"]
