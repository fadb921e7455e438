"""Data: step → batch.

Takes a description and (seed, step), gives batches; the test part takes part in no choice.
Imports randomness, shapes and description.
"""

from skipwise.data.assemble import Shares, assemble
from skipwise.data.augment import Augmentation, Flip, PadCrop
from skipwise.data.batch import Batch
from skipwise.data.batches import Batches, in_order
from skipwise.data.dataset import CLASSES, NUMBERS, Data, Dataset, Examples, InMemory, MapStyle
from skipwise.data.find import NAMED, digits, fashion_mnist, find_data
from skipwise.data.order import batch_index
from skipwise.data.pictures import SUFFIXES, UnreadablePicture, read_picture
from skipwise.data.preprocess import Preprocessing, fit_preprocessing, imagenet_preprocessing
from skipwise.data.sources import Arrays, Digits, FashionMNIST, Folder, Own, read_inputs
from skipwise.data.split import held_out

__all__ = [
    "CLASSES",
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
    "InMemory",
    "MapStyle",
    "Own",
    "PadCrop",
    "Preprocessing",
    "Shares",
    "UnreadablePicture",
    "assemble",
    "batch_index",
    "digits",
    "fashion_mnist",
    "find_data",
    "fit_preprocessing",
    "held_out",
    "imagenet_preprocessing",
    "in_order",
    "read_inputs",
    "read_picture",
]
