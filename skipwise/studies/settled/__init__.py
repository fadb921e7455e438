"""What a study settles beside its description: versions, data, the user's own code, the device.

Takes a study with its data, gives plain facts, and refuses to go on where they became others.
"""

from skipwise.studies.settled.surroundings import check_same, surroundings

__all__ = ["check_same", "surroundings"]
