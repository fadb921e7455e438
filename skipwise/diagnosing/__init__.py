"""From what a user names to a diagnosis: a run's folder, a network, a module of one's own.

Takes a run that is finished, running or broken off, or a network with data, gives a Diagnosis with
its page.
"""

from skipwise.diagnosing.diagnose import diagnose
from skipwise.diagnosing.leaving import leave_diagnosis, page_in
from skipwise.diagnosing.networks import patient_of_network
from skipwise.diagnosing.patient import Patient
from skipwise.diagnosing.runs import patient_of_run

__all__ = [
    "Patient",
    "diagnose",
    "leave_diagnosis",
    "page_in",
    "patient_of_network",
    "patient_of_run",
]
