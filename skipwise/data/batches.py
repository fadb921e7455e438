"""Batches[t]: gather, augment, normalise, move; a pure function of the seed and the step."""

from collections.abc import Generator, Iterator
from itertools import count

import torch
from torch import Tensor

from skipwise.data.augment import Augmentation
from skipwise.data.batch import Batch
from skipwise.data.dataset import Examples
from skipwise.data.order import batch_index
from skipwise.data.preprocess import Preprocessing
from skipwise.randomness import example_keys


class Batches:
    """The training batches of one run.

    Args:
        examples: The training part.
        preprocessing: What the network needs.
        size: Examples a batch.
        seed: The run's seed.
        augmentation: Applied in this order.
        device: Where the batches go.
    """

    def __init__(
        self,
        examples: Examples,
        preprocessing: Preprocessing,
        *,
        size: int,
        seed: int,
        augmentation: tuple[Augmentation, ...] = (),
        device: torch.device,
    ):
        self.examples = examples
        self.preprocessing = preprocessing
        self.size, self.seed = min(size, len(examples)), seed
        self.augmentation = augmentation
        self.device = device
        self._ahead: Iterator[tuple[Tensor, Tensor]] = iter(())
        self._next = -1

    def __getitem__(self, step: int) -> Batch:
        index = batch_index(self.seed, step, self.size, len(self.examples))
        keys = example_keys(self.seed, step, torch.arange(len(index)))
        inputs, targets = self._gathered(step)
        for augmentation in self.augmentation:
            inputs = augmentation.apply(inputs, keys)
        return _ready(inputs, targets, index, keys, self.preprocessing).to(self.device)

    def close(self) -> None:
        """End the processes that decode ahead, if there are any."""
        self._next = -1
        if isinstance(self._ahead, Generator):
            self._ahead.close()

    def _gathered(self, step: int) -> tuple[Tensor, Tensor]:
        if step != self._next:
            self.close()
            size, examples = self.size, len(self.examples)
            self._ahead = self.examples.stream(
                batch_index(self.seed, later, size, examples) for later in count(step)
            )
        self._next = -1  # what fails is begun anew
        found = next(self._ahead)
        self._next = step + 1
        return found


def in_order(
    examples: Examples, preprocessing: Preprocessing, *, size: int, device: torch.device
) -> Iterator[Batch]:
    """Yield all examples once, as they lie, for an evaluation."""
    indices = torch.arange(len(examples)).split(size)
    for index, (inputs, targets) in zip(indices, examples.stream(indices), strict=True):
        yield _ready(inputs, targets, index, None, preprocessing).to(device)


def _ready(inputs, targets, index, keys, preprocessing: Preprocessing) -> Batch:
    if targets.is_floating_point() or preprocessing.target_scale != 1.0:
        targets = targets.float() / preprocessing.target_scale
    return Batch(inputs=preprocessing(inputs), targets=targets, index=index, keys=keys)
