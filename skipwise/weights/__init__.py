"""Weights: network ⇄ files, ours and other libraries'.

Takes a network, gives a file with its card, or one under the names of torchvision or timm; takes
a file of anybody's, gives the network it is of.
"""

from skipwise.weights.families import Family, infer_network, recognise
from skipwise.weights.file import (
    BEST,
    Card,
    card_of,
    load_weights,
    read_card,
    read_tensors,
    save_weights,
)
from skipwise.weights.names import (
    names_of_cifar,
    names_of_timm_v2,
    names_of_torchvision,
    to_theirs,
)
from skipwise.weights.reading import read_weights
from skipwise.weights.source import Source, adapted, ends_of, fill, load_network, read_source
from skipwise.weights.writing import check_library, only_library, save_as

__all__ = [
    "BEST",
    "Card",
    "Family",
    "Source",
    "adapted",
    "card_of",
    "check_library",
    "ends_of",
    "fill",
    "infer_network",
    "load_network",
    "load_weights",
    "names_of_cifar",
    "names_of_timm_v2",
    "names_of_torchvision",
    "only_library",
    "read_card",
    "read_source",
    "read_tensors",
    "read_weights",
    "recognise",
    "save_as",
    "save_weights",
    "to_theirs",
]
