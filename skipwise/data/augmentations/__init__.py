"""Augmentations of batches of pictures: functions of the pictures and one draw per example.

Takes raw pictures and a Draw, gives changed ones; a Mixing changes the targets too.
"""

from skipwise.data.augmentations.augmentation import Augmentation, Draw, Mixing
from skipwise.data.augmentations.crop import PadCrop, RandomResizedCrop
from skipwise.data.augmentations.erase import Cutout, RandomErasing
from skipwise.data.augmentations.flip import AlternatingFlip, Flip, QuarterTurn
from skipwise.data.augmentations.mix import CutMix, Mixup
from skipwise.data.augmentations.policy import RandAugment, TrivialAugment
from skipwise.data.augmentations.resize import ProgressiveResize
from skipwise.data.augmentations.words import find_augmentation, known_augmentations

__all__ = [
    "AlternatingFlip",
    "Augmentation",
    "CutMix",
    "Cutout",
    "Draw",
    "Flip",
    "Mixing",
    "Mixup",
    "PadCrop",
    "ProgressiveResize",
    "QuarterTurn",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "TrivialAugment",
    "find_augmentation",
    "known_augmentations",
]
