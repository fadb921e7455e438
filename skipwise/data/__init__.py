"""Data: step → batch.

Takes a description and (seed, step), gives batches; the test part takes part in no choice.
Imports randomness, shapes and description.
"""

from skipwise.data.assemble import Shares, assemble
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
    find_augmentation,
    known_augmentations,
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
from skipwise.data.pictures import SUFFIXES, Gallery, UnreadablePicture, read_picture
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
    pictures_below,
    read_inputs,
    without_objects,
)
from skipwise.data.split import held_out
from skipwise.data.views import Views, check_pictures, find_views, mean_over_views

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
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "find_augmentation",
    "find_data",
    "find_views",
    "fit_preprocessing",
    "held_out",
    "imagenet_preprocessing",
    "in_order",
    "known_augmentations",
    "mean_over_views",
    "picture_files",
    "pictures_below",
    "read_inputs",
    "read_picture",
    "without_objects",
]
