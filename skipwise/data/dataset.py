"""The contract: a data set is three parts of examples, and what a network must know of them.

The test part takes part in no choice; the validation part makes them. A split is a function of the
data's own ``split_seed`` and of nothing that a run changes.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from skipwise.data.augmentations import Augmentation, Mixing
from skipwise.data.placing import moved
from skipwise.data.preprocess import Preprocessing
from skipwise.randomness import seeded
from skipwise.shapes import Ends, Index

CACHE = Path("~/.cache/skipwise")  # where torchvision keeps what a user asks for by name
PIECE = 256  # examples that are copied to a device at once
CLASSES, LABELS, NUMBERS = "classification", "multi-label", "regression"


class Examples(ABC):
    """One part of a data set; ``workers`` processes decode it as it is used, if there are any."""

    workers = 0

    @abstractmethod
    def __len__(self) -> int:
        """Count the examples."""

    @abstractmethod
    def gather(self, index: Index) -> tuple[Tensor, Tensor]:
        """Give raw inputs and targets of some examples, stacked."""

    def called(self, index: Index) -> list[str]:
        """Name some examples: by their files, where there are any, else by their numbers."""
        return [str(row) for row in index.tolist()]

    def stream(self, batches: Iterable[Index]) -> Iterator[tuple[Tensor, Tensor]]:
        """Gather one batch after another, each at the moment it is asked for."""
        for index in batches:
            yield self.gather(index)


class Stored(Examples):
    """Examples whose targets are known before an input is read, so that they can be split.

    Args:
        shape: Of one input, ``(width, *space)``.
        targets: Class indices ``(examples,)``, labels ``(examples, classes)`` of 0 and 1, or
            numbers.
    """

    def __init__(self, shape: tuple[int, ...], targets: Tensor):
        self.shape, self.targets = shape, targets

    def __len__(self) -> int:
        return len(self.targets)

    @abstractmethod
    def subset(self, rows: Index) -> "Stored":
        """Give some of the examples, in this order."""

    @abstractmethod
    def sample(self, seed: int) -> tuple[Tensor, Index | None]:
        """Give the inputs that mean and standard deviation are taken from.

        Returns:
            Inputs, and which of them count; all if None.
        """

    @abstractmethod
    def identity(self) -> tuple[Tensor | np.ndarray, ...]:
        """Give what the digest is taken over."""


@final
class InMemory(Stored):
    """Examples held as two tensors.

    Args:
        inputs: Shape ``(examples, width, *space)``; uint8 for pictures.
        targets: As in the contract.
        rows: Which inputs belong to the targets, in their order; all of them if None.
        names: Of the inputs; numbered if empty.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        rows: Index | None = None,
        names: tuple[str, ...] = (),
    ):
        super().__init__(tuple(inputs.shape[1:]), targets)
        self._inputs, self._rows, self._names = inputs, rows, names

    def gather(self, index: Index) -> tuple[Tensor, Tensor]:
        """Index both tensors."""
        rows = index if self._rows is None else self._rows[index]
        inputs, targets = self._inputs, self.targets
        return inputs[moved(rows, inputs.device)], targets[moved(index, targets.device)]

    def called(self, index: Index) -> list[str]:
        """Name some examples, those without files by their numbers among all inputs."""
        rows = (index if self._rows is None else self._rows[index]).tolist()
        return [self._names[row] if self._names else str(row) for row in rows]

    @property
    def device(self) -> torch.device:
        """Where the inputs lie."""
        return self._inputs.device

    @property
    def size(self) -> int:
        """Bytes of the inputs."""
        return len(self) * self._inputs[0].numel() * self._inputs.element_size()

    def on(self, device: torch.device) -> "InMemory":
        """Copy inputs and targets to a device, without their names, and a part piece by piece."""
        if self._rows is None:
            return InMemory(self._inputs.to(device), self.targets.to(device))
        inputs = self._inputs.new_empty((len(self), *self.shape), device=device)
        for there, rows in zip(inputs.split(PIECE), self._rows.split(PIECE), strict=True):
            there.copy_(self._inputs[rows])
        return InMemory(inputs, self.targets.to(device))

    def subset(self, rows: Index) -> "InMemory":
        """Give some of the examples, without copying their inputs."""
        whole = rows if self._rows is None else self._rows[rows]
        return InMemory(self._inputs, self.targets[rows], whole, self._names)

    def sample(self, seed: int) -> tuple[Tensor, Index | None]:
        """Give all inputs, none of them copied."""
        return self._inputs, self._rows

    def identity(self) -> tuple[Tensor | np.ndarray, ...]:
        """Give all inputs and targets."""
        return self._own(), self.targets

    def _own(self) -> Tensor:
        return self._inputs if self._rows is None else self._inputs[self._rows]


@final
class MapStyle(Examples):
    """Examples of a user's own data set, fetched as they are used.

    Args:
        dataset: The user's, with ``len(dataset)`` and ``dataset[i] → (input, target)``.
        rows: Which of its examples belong to this part.
    """

    def __init__(self, dataset: Any, rows: Tensor):
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, index: Index) -> tuple[Tensor, Tensor]:
        """Fetch and stack the examples."""
        pairs = [self.dataset[int(row)] for row in self.rows[index]]
        inputs, targets = default_collate([
            (torch.as_tensor(x), torch.as_tensor(y)) for x, y in pairs
        ])
        return inputs, as_column(targets)

    def called(self, index: Index) -> list[str]:
        """Give the numbers in the user's data set."""
        return [str(row) for row in self.rows[index].tolist()]


def as_column(targets: Tensor) -> Tensor:
    """Give one number per example the shape ``(batch, 1)`` of outputs, and a class none, 64 bits.

    Raises:
        ValueError: If whole numbers stand in rows, of which nobody knows what they are.
    """
    if not targets.is_floating_point():
        if targets.shape[1:].numel() != 1:
            raise ValueError(
                f"whole numbers of shape {tuple(targets.shape[1:])} are neither one class an"
                " example nor numbers to regress; give the class, as y.argmax(1) does of rows with"
                " a single 1, or floating point"
            )
        return targets.long().flatten()
    return targets[:, None] if targets.dim() == 1 else targets


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set that is ready to be trained on.

    Args:
        name: What tables and folders call it.
        task: ``"classification"``, ``"multi-label"`` or ``"regression"``.
        train: What the network learns from.
        validation: What choices are made on, or None.
        test: What the reported score comes from, or None.
        classes: Names of the classes; empty for regression.
        ends: Shapes of an example's input and output.
        preprocessing: From a raw input to what the network reads.
        augmentation: What suits these data in training.
        notes: What a reader should know, one sentence each.
        digest: Hash of all examples.
        counts: Training examples of each class; empty for regression.
    """

    name: str
    task: str
    train: Examples
    validation: Examples | None
    test: Examples | None
    classes: tuple[str, ...]
    ends: Ends
    preprocessing: Preprocessing
    augmentation: tuple[Augmentation | Mixing, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""
    counts: tuple[int, ...] = ()

    @cached_property
    def raw(self) -> str:
        """Name the type of a raw input, ``uint8`` of picture files."""
        with seeded("first look"):  # a data set of the user's own may draw
            first, _ = self.train.gather(torch.tensor([0]))
        return str(first.dtype).removeprefix("torch.")


class Data(ABC):
    """The frozen choice of a data set."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What tables and folders call it."""

    @abstractmethod
    def load(self) -> Dataset:
        """Read the data.

        Raises:
            ValueError: If they cannot be trained on; the message says what is wrong and where.
        """


def digest_of(*arrays: Tensor | np.ndarray) -> str:
    """Hash the contents of arrays, with their shapes and types."""
    total = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array.numpy() if isinstance(array, Tensor) else array)
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(array.view(np.uint8).data if array.ndim else array.tobytes())
    return total.hexdigest()[:16]
