"""Exports: a trained network as one file that works alone.

Takes a run or its weights, gives ONNX (with a script that needs neither torch nor Skipwise) or a
file for ``torch.export.load``, checked against ``predict`` from picture files; or its tensors under
the names of another library.
"""

from skipwise.exports.checking import Check, check
from skipwise.exports.export import Export, export
from skipwise.exports.folding import Folding, fold
from skipwise.exports.libraries import Weights, export_weights
from skipwise.exports.program import Program
from skipwise.exports.quantising import Loss, quantise
from skipwise.exports.resize import Fit
from skipwise.exports.timing import Speed

__all__ = [
    "Check",
    "Export",
    "Fit",
    "Folding",
    "Loss",
    "Program",
    "Speed",
    "Weights",
    "check",
    "export",
    "export_weights",
    "fold",
    "quantise",
]
