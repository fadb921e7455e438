"""What theory expects along rows of blocks.

Takes blocks read off a pass and stages of them, gives curves with their bands.
"""

from skipwise.analysis.depth.theory.designs import distances
from skipwise.analysis.depth.theory.expectations import along, expectations
from skipwise.analysis.depth.theory.operations import Passed, channel_axis, passed, strangers
from skipwise.analysis.depth.theory.reading import step_of, steps_of
from skipwise.analysis.depth.theory.residual import beginnings
from skipwise.analysis.depth.theory.stage import Layer, Moments, Stage, Step

__all__ = [
    "Layer",
    "Moments",
    "Passed",
    "Stage",
    "Step",
    "along",
    "beginnings",
    "channel_axis",
    "distances",
    "expectations",
    "passed",
    "step_of",
    "steps_of",
    "strangers",
]
