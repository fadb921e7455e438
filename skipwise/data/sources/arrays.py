"""A file of numpy arrays."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from skipwise.data.assembly import INPUTS, Shares, from_arrays, read_as_inputs
from skipwise.data.dataset import Data, Dataset
from skipwise.files import read_arrays


@dataclass(frozen=True, kw_only=True)
class Arrays(Data):
    """A file .npz with ``x`` and ``y``.

    It may have ``x_val``, ``y_val``, ``x_test``, ``y_test`` and ``classes`` too. Pictures are
    ``(examples, height, width)``, or with 1, 3 or 4 channels first or last; vectors are
    ``(examples, features)``. Whole numbers or words in ``y`` are classes, floating point is
    regression.

    Args:
        path: The file.
        shares: What is held out where parts are missing.
        flip: Whether pictures are mirrored in training.
    """

    path: str
    shares: Shares = field(default_factory=Shares)
    flip: bool = True

    @property
    def name(self) -> str:
        """The file's stem."""
        return Path(self.path).stem

    def load(self, known: tuple[str, ...] = ()) -> Dataset:
        """Read the file; nothing in it is unpickled.

        Args:
            known: The names of the classes in the order that is wanted, if the data may lack some.

        Raises:
            ValueError: If it cannot be read, or has no examples that can be trained on.
        """
        arrays = _open(Path(self.path))
        return from_arrays(
            arrays,
            name=self.name,
            where=self.path,
            shares=self.shares,
            known=known,
            flip=self.flip,
        )


def read_inputs(path: Path) -> Tensor:
    """Read the inputs of a file without its targets, for a prediction.

    Raises:
        ValueError: If the file cannot be read or has no inputs.
    """
    arrays = _open(path)
    found = next((arrays[name] for name in INPUTS if name in arrays), None)
    if found is None:
        raise ValueError(f"{path} has {', '.join(sorted(arrays)) or 'no arrays'}; it needs x")
    return read_as_inputs(found)


def _open(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist or is no file")
    try:
        return read_arrays(path)
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read as .npz: {error}; write it with numpy.savez(path, x=…, y=…)"
        ) from None
