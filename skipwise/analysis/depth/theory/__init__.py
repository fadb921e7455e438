"""What theory expects along a row of blocks.

Takes a stage, its blocks as theory sees them, gives curves with their bands. Imports mean-field
theory and the graph of a pass.
"""

from skipwise.analysis.depth.theory.expectations import distances, expectations
from skipwise.analysis.depth.theory.operations import Passed, channel_axis, passed, strangers
from skipwise.analysis.depth.theory.stage import Layer, Stage, Step

__all__ = [
    "Layer",
    "Passed",
    "Stage",
    "Step",
    "channel_axis",
    "distances",
    "expectations",
    "passed",
    "strangers",
]
