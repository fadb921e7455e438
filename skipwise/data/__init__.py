"""Data: step → batch.

Takes a description and (seed, step), gives batches; the test part takes part in no choice.
Imports randomness, shapes and description.
"""

from skipwise.data.assemble import Shares, assemble
from skipwise.data.augment import Augmentation, Flip, PadCrop
from skipwise.data.batch import Batch
from skipwise.data.batches import Batches, in_order
from skipwise.data.dataset import (
    CLASSES,
    LABELS,
    NUMBERS,
    Data,
    Dataset,
    Examples,
    InMemory,
    MapStyle,
    Stored,
)
from skipwise.data.find import NAMED, digits, fashion_mnist, find_data
from skipwise.data.order import batch_index
from skipwise.data.pictures import SUFFIXES, Gallery, UnreadablePicture, read_picture
from skipwise.data.preprocess import Preprocessing, fit_preprocessing
from skipwise.data.sources import Arrays, Digits, FashionMNIST, Folder, Own, Parquet, read_inputs
from skipwise.data.split import held_out

__all__ = [
    "CLASSES",
    "LABELS",
    "NAMED",
    "NUMBERS",
    "SUFFIXES",
    "Arrays",
    "Augmentation",
    "Batch",
    "Batches",
    "Data",
    "Dataset",
    "Digits",
    "Examples",
    "FashionMNIST",
    "Flip",
    "Folder",
    "Gallery",
    "InMemory",
    "MapStyle",
    "Own",
    "PadCrop",
    "Parquet",
    "Preprocessing",
    "Shares",
    "Stored",
    "UnreadablePicture",
    "assemble",
    "batch_index",
    "digits",
    "fashion_mnist",
    "find_data",
    "fit_preprocessing",
    "held_out",
    "in_order",
    "read_inputs",
    "read_picture",
]
