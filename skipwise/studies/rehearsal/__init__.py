"""The rehearsal of an arm, before anything trains: does it fit, into memory too, and what it takes.

Takes an experiment and its data, gives an outcome.
"""

from skipwise.studies.rehearsal.rehearse import rehearse

__all__ = ["rehearse"]
