"""Data: step → batch.

Takes a description and (seed, step), gives batches; the test part takes part in no choice.
Imports randomness, shapes and description.
"""

from skipwise.data.assemble import Shares, assemble, in_short
from skipwise.data.augmentations import (
    AlternatingFlip,
    Augmentation,
    CutMix,
    Cutout,
    Draw,
    Flip,
    Mixing,
    Mixup,
    PadCrop,
    ProgressiveResize,
    QuarterTurn,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
    TrivialAugment,
)
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
from skipwise.data.find import NAMED, cifar10, cifar100, digits, fashion_mnist, find_data
from skipwise.data.order import batch_index
from skipwise.data.pictures import (
    SUFFIXES,
    Gallery,
    UnreadablePicture,
    check_readable,
    read_picture,
)
from skipwise.data.preprocess import Preprocessing, fit_preprocessing, imagenet_preprocessing
from skipwise.data.sources import (
    CIFAR,
    Arrays,
    Digits,
    FashionMNIST,
    Folder,
    Own,
    Parquet,
    Table,
    picture_files,
    read_inputs,
    without_objects,
)
from skipwise.data.split import held_out
from skipwise.data.views import Views, check_pictures, mean_over_views

__all__ = [
    "CIFAR",
    "CLASSES",
    "LABELS",
    "NAMED",
    "NUMBERS",
    "SUFFIXES",
    "AlternatingFlip",
    "Arrays",
    "Augmentation",
    "Batch",
    "Batches",
    "CutMix",
    "Cutout",
    "Data",
    "Dataset",
    "Digits",
    "Draw",
    "Examples",
    "FashionMNIST",
    "Flip",
    "Folder",
    "Gallery",
    "InMemory",
    "MapStyle",
    "Mixing",
    "Mixup",
    "Own",
    "PadCrop",
    "Parquet",
    "Preprocessing",
    "ProgressiveResize",
    "QuarterTurn",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Shares",
    "Stored",
    "Table",
    "TrivialAugment",
    "UnreadablePicture",
    "Views",
    "assemble",
    "batch_index",
    "check_pictures",
    "check_readable",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "find_data",
    "fit_preprocessing",
    "held_out",
    "imagenet_preprocessing",
    "in_order",
    "in_short",
    "mean_over_views",
    "picture_files",
    "read_inputs",
    "read_picture",
    "without_objects",
]
