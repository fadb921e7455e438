"""Data of the user's own: anything with ``len(data)`` and ``data[i] → (input, target)``; arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skipwise.data.assembly import Shares, are_classes, from_arrays, hold_out, numbered
from skipwise.data.dataset import CLASSES, NUMBERS, Data, Dataset, MapStyle, as_column, digest_of
from skipwise.data.given import are_pairs, as_numpy, by_part, named_arrays
from skipwise.data.preprocess import Preprocessing
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
            or an object. Where there are parts already, a mapping of ``train``, ``validation`` and
            ``test``. A pair ``(x, y)`` of arrays, tensors or lists, such pairs by part, or a
            mapping of arrays that are called as in a file, are normalised and augmented like
            :class:`Arrays`.
        shares: What is held out where parts are missing.
        classes: Names; numbered if empty.
    """

    dataset: Any
    shares: Shares = field(default_factory=Shares)
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the function, or of the object's class."""
        if isinstance(self.dataset, Call):
            return self.dataset.name
        if named_arrays(self.dataset) is not None:
            return "arrays"
        parts = by_part(self.dataset)
        return "arrays" if are_pairs(parts) else type(next(iter(parts.values()))).__name__

    @property
    def is_nameless(self) -> bool:
        """Whether it was made in Python, so that no file can say how to make it again."""
        return not isinstance(self.dataset, Call)

    def load(self, known: tuple[str, ...] = (), *, to_train: bool = True) -> Dataset:
        """Make the data set, read every target once, hold out what is missing.

        Args:
            known: The names of the classes, of which the data may lack some.
            to_train: Whether it must have a training part. Else its last part stands for it too.

        Raises:
            TypeError: If it is what a data set is made of, or made from one.
            ValueError: If it does not give pairs, or its targets cannot be trained on.
        """
        if self.dataset is None:
            raise ValueError(
                "these data were made in Python, and no file says how to make them again; hand them"
                " over there, as data= of skipwise.resume, evaluate, diagnose or transfer, or begin"
                " anew with skipwise.train(data)"
            )
        dataset = self.dataset() if isinstance(self.dataset, Call) else self.dataset
        if (named := named_arrays(dataset)) is not None:
            return self._of_arrays(named, known)
        parts = by_part(dataset)
        if "train" not in parts and to_train:
            raise ValueError(
                "a mapping of data sets has train, and perhaps validation and test, got"
                f" {', '.join(parts)}"
            )
        last = "train" if "train" in parts else list(parts)[-1]
        if are_pairs(parts):
            pairs = [(part, *pair) for part, pair in parts.items()]
            arrays = {f"x_{part}": inputs for part, inputs, _ in pairs}
            arrays |= {f"y_{part}": targets for part, _, targets in pairs}
            found = self._of_arrays(arrays, known, learned=last)
        else:
            called = {p: f"the {p} part" if len(parts) > 1 else self.name for p in parts}
            looks = {part: _look(some, called[part]) for part, some in parts.items()}
            sets, looked = (
                {"train" if part == last else part: one for part, one in some.items()}
                for some in (parts, looks)
            )
            found = self._assembled(sets, looked, known)
        return found if last == "train" else replace(found, **{last: found.train})

    def _of_arrays(
        self, found: dict[str, Any], known: tuple[str, ...], learned: str = "train"
    ) -> Dataset:
        arrays = {name: as_numpy(array, name) for name, array in found.items()}
        arrays |= {"classes": np.array(self.classes)} if self.classes else {}
        return from_arrays(
            arrays,
            name=self.name,
            where=self.name,
            shares=self.shares,
            known=known,
            learned=learned,
        )

    def _assembled(
        self,
        parts: dict[str, Any],
        looks: dict[str, tuple[Tensor, Tensor]],
        known: tuple[str, ...],
    ) -> Dataset:
        """Make a data set of its parts, each with its targets and first input.

        Raises:
            ValueError: If the parts differ in shape, or cannot be trained on.
        """
        targets, firsts = ({p: look[n] for p, look in looks.items()} for n in (0, 1))
        if len({(t.dtype, *t.shape[1:]) for t in targets.values()}) > 1:
            raise ValueError(f"{self.name}: targets of its parts differ in type or shape")
        if len({tuple(first.shape) for first in firsts.values()}) > 1:
            raise ValueError(f"{self.name}: inputs of its parts differ in shape")
        classes = self._classes(torch.cat(list(targets.values())), known)
        task = CLASSES if classes else NUMBERS
        rows, notes = hold_out(targets, self.shares, task, classes)
        own = {p: MapStyle(some, torch.arange(len(targets[p]))) for p, some in parts.items()}
        own |= {p: MapStyle(parts["train"], some) for p, some in rows.items()}
        learned, first = targets["train"][rows["train"]], firsts["train"]
        return Dataset(
            name=self.name,
            task=task,
            train=own["train"],
            validation=own.get("validation"),
            test=own.get("test"),
            classes=classes,
            ends=Ends(
                inputs=tuple(first.shape),
                outputs=(len(classes),) if classes else tuple(learned.shape[1:]),
            ),
            preprocessing=_nothing(first),
            notes=notes,
            digest=digest_of(*(array for part in sorted(looks) for array in looks[part])),
            counts=tuple(torch.bincount(learned, minlength=len(classes)).tolist())
            if classes
            else (),
        )

    def _classes(self, targets: Tensor, known: tuple[str, ...]) -> tuple[str, ...]:
        """Name the classes of all parts; none if numbers are regressed.

        Raises:
            ValueError: If they are not numbered from 0, or there is one alone.
        """
        if not are_classes(targets):
            return ()
        given = self.classes or (known if known == tuple(map(str, range(len(known)))) else ())
        classes = given or numbered(targets, self.name)
        low, high = int(targets.min()), int(targets.max())
        if low == 1 and not given:
            raise ValueError(f"{self.name}: labels begin at 1, classes at 0; subtract 1")
        if low < 0 or high >= len(classes):
            raise ValueError(
                f"{self.name}: labels must lie in 0 … {len(classes) - 1}, got {low} … {high}"
            )
        if len(classes) < 2:
            raise ValueError(f"{self.name} has one class only; there is nothing to tell apart")
        return classes


def without_objects(data: Data) -> Data:
    """Give data as a file can hold them: of those that were made in Python only the shares."""
    if isinstance(data, Own) and data.is_nameless:
        return replace(data, dataset=None)
    return data


def _look(dataset: Any, name: str) -> tuple[Tensor, Tensor]:
    # Seeded, so that the digest of a randomly augmented example is the same each time.
    with _must_give_pairs(dataset, name), seeded("the first look"):
        found = [_target(dataset[n]) for n in range(len(dataset))]
        first = torch.as_tensor(dataset[0][0]) if found else None
    if first is None:
        raise ValueError(f"{name} has no example; a part that is empty can be left out")
    if words := [str(target) for target in found if isinstance(target, str | bytes)]:
        raise ValueError(
            f"{name} has words as targets, {words[0]} for example; give the numbers of their"
            " classes, and the words once: skipwise.data.Own(dataset=…, classes=…)"
        )
    with _must_give_pairs(dataset, name):
        if first.dim() == 0:
            raise ValueError("an input has no axes; give each input the shape (features,) or more")
        targets = as_column(torch.stack([torch.as_tensor(target) for target in found]))
    if targets.is_floating_point() and not torch.isfinite(targets).all():
        raise ValueError(
            f"{name}: target {int((~torch.isfinite(targets)).nonzero()[0][0])} is not finite"
        )
    return targets, first


@contextmanager
def _must_give_pairs(dataset: Any, name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
        are_few = isinstance(dataset, tuple | list) and len(dataset) <= 6
        of_arrays = (
            '; arrays are given as a pair, (x, y), or by name, {"x": x, "y": y}; parts, be they'
            ' pairs or data sets, as {"train": …, "test": …}'
        )
        raise ValueError(
            f"{name} must have len() and give (input, target) for every index: {error}"
            f"{of_arrays if are_few else ''}"
        ) from None


def _target(example: Any) -> Tensor:
    target = example[1]
    if len(example) != 2:
        raise ValueError(f"an example has {len(example)} members")
    return target


def _nothing(first: Tensor) -> Preprocessing:
    size = tuple(first.shape[1:]) if first.dim() == 3 else ()
    return Preprocessing(
        channels=first.shape[0],
        size=size,
        mean=(0.0,) * first.shape[0],
        std=(1.0,) * first.shape[0],
    )
