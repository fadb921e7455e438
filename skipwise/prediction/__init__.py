"""Using what was trained: load weights with their card, predict files or arrays.

Takes a run or a file of weights, and data; gives predictions, and data brought to the network.
"""

from skipwise.prediction.bringing import brought_to, check_fits, fit_to, loaded_for
from skipwise.prediction.predictor import Prediction, Predictor, load
from skipwise.prediction.rows import numbers_in_rows, write_rows

__all__ = [
    "Prediction",
    "Predictor",
    "brought_to",
    "check_fits",
    "fit_to",
    "load",
    "loaded_for",
    "numbers_in_rows",
    "write_rows",
]
