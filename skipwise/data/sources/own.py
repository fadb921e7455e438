"""A user's own data set: anything with ``len(dataset)`` and ``dataset[i] → (input, target)``."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from skipwise.data.assemble import Shares, numbered
from skipwise.data.dataset import CLASSES, NUMBERS, Data, Dataset, MapStyle, as_column, digest_of
from skipwise.data.preprocess import Preprocessing
from skipwise.data.split import are_classes, held_out
from skipwise.description import Call
from skipwise.randomness import seeded
from skipwise.shapes import Ends


@dataclass(frozen=True, kw_only=True)
class Own(Data):
    """A map-style data set of the user's, called by its name so that a run can be resumed.

    ``__getitem__`` gives a pair: the input as the network reads it (numbers; nothing is normalised
    or augmented) and a class index or an array. Random augmentation inside it is repeated exactly
    on resume as long as it draws from torch's, numpy's or Python's global generators.

    Args:
        dataset: The function or class that makes it, ``package.module:thing`` with its arguments,
            or an object.
        shares: What is held out.
        classes: Names; numbered if empty.
    """

    dataset: Any
    shares: Shares = field(default_factory=Shares)
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the function, or of the object's class."""
        return self.dataset.name if isinstance(self.dataset, Call) else type(self.dataset).__name__

    @property
    def is_nameless(self) -> bool:
        """Whether it was made in Python, so that no file can say how to make it again."""
        return not isinstance(self.dataset, Call)

    def load(self) -> Dataset:
        """Make the data set, read every target once, hold out validation and test.

        Raises:
            TypeError: If it is what a data set is made of, or made from one.
            ValueError: If it does not give pairs, or its targets cannot be trained on.
        """
        if self.dataset is None:
            raise ValueError(
                "these data were made in Python, and no command can make them again; hand them over"
                " there: skipwise.resume(run, data=…)"
            )
        dataset = self.dataset() if isinstance(self.dataset, Call) else self.dataset
        _refuse_what_is_near(dataset)
        targets, first = _targets(dataset, self.name)
        is_class = are_classes(targets)
        classes = self.classes or (numbered(targets, self.name) if is_class else ())
        low, high = (int(targets.min()), int(targets.max())) if is_class else (0, -1)
        if low == 1 and not self.classes:
            raise ValueError(f"{self.name}: labels begin at 1, classes at 0; subtract 1")
        if low < 0 or high >= len(classes):
            raise ValueError(
                f"{self.name}: labels must lie in 0 … {len(classes) - 1}, got {low} … {high}"
            )
        if is_class and len(classes) < 2:
            raise ValueError(f"{self.name} has one class only; there is nothing to tell apart")
        seed = self.shares.split_seed
        rest, test = held_out(targets, self.shares.test, seed=seed, purpose="test")
        stay, validation = held_out(
            targets[rest], self.shares.validation, seed=seed, purpose="validation"
        )
        return Dataset(
            name=self.name,
            task=CLASSES if is_class else NUMBERS,
            train=MapStyle(dataset, rest[stay]),
            validation=MapStyle(dataset, rest[validation]) if len(validation) else None,
            test=MapStyle(dataset, test) if len(test) else None,
            classes=classes,
            ends=Ends(
                inputs=tuple(first.shape),
                outputs=(len(classes),) if is_class else tuple(targets.shape[1:]),
            ),
            preprocessing=_nothing(first),
            digest=digest_of(targets, first),
            counts=tuple(torch.bincount(targets[rest[stay]], minlength=len(classes)).tolist())
            if is_class
            else (),
        )


def without_objects(data: Data) -> Data:
    """Give data as a file can hold them: of those that were made in Python only the shares."""
    if isinstance(data, Own) and data.is_nameless:
        return replace(data, dataset=None)
    return data


def _refuse_what_is_near(dataset: Any) -> None:
    """Say how arrays or a loader become a data set.

    Raises:
        TypeError: If it is an array, a pair of arrays, or a loader.
    """
    arrays = Tensor, np.ndarray
    is_pair = isinstance(dataset, tuple | list) and len(dataset) == 2
    if isinstance(dataset, arrays) or (is_pair and all(isinstance(p, arrays) for p in dataset)):
        raise TypeError(
            "arrays alone are no data set; give list(zip(X, Y)), torch.utils.data.TensorDataset of"
            " two tensors, or the path of an .npz with x and y"
        )
    if isinstance(dataset, DataLoader):
        raise TypeError(
            "a DataLoader gives batches, and a data set is needed that gives examples; give"
            " loader.dataset, and batch_size= beside it"
        )


def _targets(dataset: Any, name: str) -> tuple[Tensor, Tensor]:
    try:
        # Seeded, so that the digest of a randomly augmented example is the same each time.
        with seeded("the first look"):
            targets = [torch.as_tensor(dataset[n][1]) for n in range(len(dataset))]
            first = torch.as_tensor(dataset[0][0])
        if first.dim() == 0:
            raise ValueError("an input has no axes; give each input the shape (features,) or more")
        stacked = as_column(torch.stack(targets))
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
        raise ValueError(
            f"{name} must have len() and give (input, target) for every index: {error}"
        ) from None
    if stacked.is_floating_point() and not torch.isfinite(stacked).all():
        raise ValueError(
            f"{name}: target {int((~torch.isfinite(stacked)).nonzero()[0][0])} is not finite"
        )
    return stacked, first


def _nothing(first: Tensor) -> Preprocessing:
    size = tuple(first.shape[1:]) if first.dim() == 3 else ()
    return Preprocessing(
        channels=first.shape[0],
        size=size,
        mean=(0.0,) * first.shape[0],
        std=(1.0,) * first.shape[0],
    )
