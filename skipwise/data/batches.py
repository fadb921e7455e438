"""Batches: gather, augment, mix, normalise, move; a pure function of the seed and the step."""

import copy
import math
from collections.abc import Generator, Iterator
from itertools import count

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from skipwise.data.augmentations import Augmentation, Draw, Mixing
from skipwise.data.batch import Batch
from skipwise.data.dataset import Examples, InMemory
from skipwise.data.order import batch_index, share_of
from skipwise.data.placing import CPU, fits, moved
from skipwise.data.preprocess import Preprocessing
from skipwise.randomness import example_keys
from skipwise.shapes import Index


class Batches:
    """The training batches of one run.

    Args:
        examples: The training part.
        preprocessing: What the network needs.
        size: Examples a batch.
        seed: The run's seed.
        augmentation: Applied in this order; what mixes examples comes last.
        classes: Number of classes, which mixed targets need; 0 where targets are numbers.
        device: Where the batches go.
        among: ``(rank, ranks)``: of each batch only this process's share is made.

    Raises:
        ValueError: If an augmentation follows one that mixes examples.
    """

    def __init__(
        self,
        examples: Examples,
        preprocessing: Preprocessing,
        *,
        size: int,
        seed: int,
        augmentation: tuple[Augmentation | Mixing, ...] = (),
        classes: int = 0,
        device: torch.device,
        among: tuple[int, int] = (0, 1),
    ):
        self.examples = _kept(examples, augmentation, device)
        self.preprocessing = preprocessing
        self.size, self.seed = min(size, len(examples)), seed
        self.single = [a for a in augmentation if isinstance(a, Augmentation)]
        self.mixing = [a for a in augmentation if isinstance(a, Mixing)]
        if tuple(self.single + self.mixing) != tuple(augmentation):
            raise ValueError("what mixes examples comes after every other augmentation")
        self.classes, self.device = classes, device
        self.place = CPU if _one_by_one(augmentation) else device  # where batches are changed
        self.own = share_of(self.size, *among)
        # The partner of an example may stand in any share.
        self.made = slice(0, self.size) if self.mixing else self.own
        self._ahead: Iterator[tuple[Tensor, Tensor]] = iter(())
        self._next = -1

    def __getitem__(self, step: int) -> Batch:
        return self.at(step)

    def at(self, step: int, *, progress: float = 1.0, mixed: bool = True) -> Batch:
        """Make the batch of a step, or this process's share of it.

        Args:
            step: Counted from 0.
            progress: Share of the run that is over, which progressive resizing follows.
            mixed: Whether examples are mixed, where the augmentation mixes them.
        """
        index = self._index(step)
        draw = self._draw(step, index, progress)
        inputs, targets = (moved(tensor, self.place) for tensor in self._gathered(step))
        for augmentation in self.single:
            inputs = augmentation.apply(inputs, draw)
        for mixing in self.mixing if mixed else ():
            inputs, targets = mixing.mix(inputs, self._vectors(targets), draw)
        batch = _ready(inputs, targets, index, draw.keys, self.preprocessing)
        if self.made != self.own:
            batch = batch.cut(self.own)
        return batch.to(self.device)

    def _index(self, step: int) -> Index:
        return batch_index(self.seed, step, self.size, len(self.examples))[self.made]

    def _draw(self, step: int, index: Index, progress: float) -> Draw:
        position = torch.arange(self.made.start, self.made.stop)
        return Draw(
            keys=example_keys(self.seed, step, position),
            own=example_keys(self.seed, -1, index),
            passes=(step * self.size + position) // len(self.examples),
            progress=progress,
            device=self.place,
        )

    def _vectors(self, targets: Tensor) -> Tensor:
        if targets.is_floating_point():
            return targets
        return one_hot(targets, self.classes).float() if self.classes else targets.float()

    def apart(self) -> "Batches":
        """Give the same batches by processes of their own, while these go on decoding ahead."""
        other = copy.copy(self)
        other._ahead, other._next = iter(()), -1
        return other

    def close(self) -> None:
        """End the processes that decode ahead, if there are any."""
        self._next = -1
        if isinstance(self._ahead, Generator):
            self._ahead.close()

    def _gathered(self, step: int) -> tuple[Tensor, Tensor]:
        if step != self._next:
            self.close()
            self._ahead = self.examples.stream(self._index(later) for later in count(step))
        self._next = -1  # what fails is begun anew
        found = next(self._ahead)
        self._next = step + 1
        return found


def _kept(
    examples: Examples, augmentation: tuple[Augmentation | Mixing, ...], device: torch.device
) -> Examples:
    """Keep a part on a GPU if it fits there and is changed a batch at a time."""
    if not isinstance(examples, InMemory) or _one_by_one(augmentation):
        return examples
    return examples.on(device) if fits(examples.size, device) else examples


def _one_by_one(augmentation: tuple[Augmentation | Mixing, ...]) -> bool:
    return any(isinstance(a, Augmentation) and a.picture_by_picture for a in augmentation)


def in_order(
    examples: Examples,
    preprocessing: Preprocessing,
    *,
    size: int,
    device: torch.device,
    among: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Yield all examples once, as they lie, for an evaluation.

    Batches are of nearly equal size, so that none of ``(rank, ranks)`` goes without a share of one.
    """
    rank, ranks = among
    batches = torch.arange(len(examples)).tensor_split(math.ceil(len(examples) / size))
    indices = [index[share_of(len(index), rank, ranks)] for index in batches]
    for index, (inputs, targets) in zip(indices, examples.stream(indices), strict=True):
        # Pictures are moved as uint8, a quarter of the floats.
        inputs, targets, index = (moved(t, device) for t in (inputs, targets, index))
        yield _ready(inputs, targets, index, None, preprocessing)


def _ready(inputs, targets, index, keys, preprocessing: Preprocessing) -> Batch:
    if targets.is_floating_point() or preprocessing.target_scale != 1.0:
        targets = preprocessing.scaled(targets)
    return Batch(inputs=preprocessing(inputs), targets=targets, index=index, keys=keys)
