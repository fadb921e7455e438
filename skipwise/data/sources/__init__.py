"""Where data come from, one source a file.

Takes a description, gives a Dataset.
"""

from skipwise.data.sources.arrays import Arrays, read_inputs
from skipwise.data.sources.cifar import CIFAR
from skipwise.data.sources.digits import Digits
from skipwise.data.sources.fashion_mnist import FashionMNIST
from skipwise.data.sources.folder import Folder, picture_files
from skipwise.data.sources.own import Own, without_objects
from skipwise.data.sources.parquet import Parquet, holds_tables
from skipwise.data.sources.table import Table

__all__ = [
    "CIFAR",
    "Arrays",
    "Digits",
    "FashionMNIST",
    "Folder",
    "Own",
    "Parquet",
    "Table",
    "holds_tables",
    "picture_files",
    "read_inputs",
    "without_objects",
]
