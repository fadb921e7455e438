"""Weights: network ⇄ files, ours and other libraries'.

Takes a network, gives a file with its card, or tensors under the names of torchvision or timm.
Imports networks, shapes, description and files.
"""

from skipwise.weights.file import BEST, Card, card_of, load_weights, read_tensors, save_weights
from skipwise.weights.names import from_theirs, names_of_timm_v2, names_of_torchvision, to_theirs

__all__ = [
    "BEST",
    "Card",
    "card_of",
    "from_theirs",
    "load_weights",
    "names_of_timm_v2",
    "names_of_torchvision",
    "read_tensors",
    "save_weights",
    "to_theirs",
]
