"""Examples to train on and to examine with: classes around centres, and a parabola's data.

They are drawn, so that the selftest needs no file, and the answers are known: two classes differ in
their centres alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from skipwise.randomness import generator
from skipwise.selftest.case import Pair

FEATURES, CLASSES = 32, 8
BATCH, BATCHES = 128, 8  # 1024 examples: a certificate of dead units asks for a thousand


def classes(
    seed: int,
    *,
    examples: int = BATCH * BATCHES,
    features: int = FEATURES,
    apart: float = 2.0,
    part: str = "training",
) -> tuple[Tensor, Tensor]:
    """Draw examples ``x = (a·c_k + z)/√(1 + a²/n)`` of class k, whose second moment is 1.

    Args:
        seed: The centres c_k follow from it, and with the part all else.
        examples: How many; as many of every class as can be.
        features: n, numbers in an example.
        apart: a, the length of a centre; two of them are about √2·a noises apart.
        part: Another part has other examples of the same classes.

    Returns:
        Inputs of shape ``(examples, features)`` and targets.
    """
    centres = torch.randn(CLASSES, features, generator=generator(seed, "selftest", "centres"))
    centres = centres / centres.norm(dim=1, keepdim=True)
    targets = torch.arange(examples) % CLASSES
    noise = torch.randn(examples, features, generator=generator(seed, "selftest", part))
    inputs = apart * centres[targets] + noise
    return inputs / (1 + apart**2 / features) ** 0.5, targets


def in_batches(inputs: Tensor, targets: Tensor, size: int = BATCH) -> list[Pair]:
    """Cut examples into batches; each class comes as often in all of them."""
    return list(zip(inputs.split(size), targets.split(size), strict=True))


def batches(seed: int, *, apart: float = 2.0, part: str = "training") -> list[Pair]:
    """Draw the batches that most specimens are trained on and examined with."""
    return in_batches(*classes(seed, apart=apart, part=part))


def pictures(seed: int, *, part: str = "training", side: int = 8) -> list[Pair]:
    """Draw batches of one-channel pictures, each a vector of the classes laid out in a square."""
    inputs, targets = classes(seed, features=side * side, apart=4.0, part=part)
    return in_batches(inputs.unflatten(1, (1, side, side)), targets)


def shuffled(seed: int, targets: Tensor) -> Tensor:
    """Give the same targets to other examples, each label to as many of every class.

    So nothing is left to learn but the list, exactly: a plain shuffle of a small set would leave
    some classes with one label more often than with another.

    Args:
        seed: The order within each class follows from it.
        targets: A multiple of ``CLASSES²`` of them, as many of every class.
    """
    found, draw = torch.empty_like(targets), generator(seed, "selftest", "shuffled")
    for label in range(CLASSES):
        (places,) = torch.nonzero(targets == label, as_tuple=True)
        order = torch.randperm(len(places), generator=draw)
        found[places[order]] = torch.arange(len(places)) % CLASSES
    return found


def moved(pairs: Sequence[Pair], dtype: torch.dtype) -> list[Pair]:
    """Give the inputs in another precision."""
    return [(inputs.to(dtype), targets) for inputs, targets in pairs]
