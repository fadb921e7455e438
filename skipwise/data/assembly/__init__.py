"""From parts of tensors, or arrays under their usual names, to a checked data set."""

from skipwise.data.assembly.arrays import INPUTS, NAMES, from_arrays, read_as_inputs
from skipwise.data.assembly.assemble import assemble, in_short, numbered
from skipwise.data.assembly.split import Shares, are_classes, held_out, hold_out

__all__ = [
    "INPUTS",
    "NAMES",
    "Shares",
    "are_classes",
    "assemble",
    "from_arrays",
    "held_out",
    "hold_out",
    "in_short",
    "numbered",
    "read_as_inputs",
]
