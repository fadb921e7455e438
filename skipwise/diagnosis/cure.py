"""What mends a fault, in the words of whoever reads it.

A run of Skipwise is mended by settings and commands, a module that is trained elsewhere by lines of
PyTorch; so a cure is said once for each, where it is thought of, and the diagnosis picks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import final


class Reader(StrEnum):
    """Who reads a cure, by what was examined.

    RUN has a run of Skipwise, or a network that it describes: all settings and commands apply. OWN
    has a network of their own that Skipwise trains: those of the training apply. MODULE has a
    module that is trained elsewhere: PyTorch applies, and what of Skipwise goes into any module.
    """

    RUN = "run"
    OWN = "own"
    MODULE = "module"


@final
@dataclass(frozen=True, kw_only=True)
class Cure:
    """One cure in the words of every reader; empty to whom it does not apply."""

    run: str
    own: str
    module: str

    def to(self, reader: Reader) -> str:
        """Give the words for one reader."""
        return {Reader.RUN: self.run, Reader.OWN: self.own, Reader.MODULE: self.module}[reader]


def for_all(words: str) -> Cure:
    """Give a cure that is said to all alike."""
    return Cure(run=words, own=words, module=words)


def by_training(run: str, *, module: str) -> Cure:
    """Give a cure by the strategy or another setting of a run, whatever the network.

    Args:
        run: What is set or typed.
        module: The same in PyTorch.
    """
    return Cure(run=run, own=run, module=module)


def by_network(run: str, *, module: str) -> Cure:
    """Give a cure by the description of a network, which one of the reader's own has not.

    Args:
        run: What is set in it.
        module: The same in PyTorch.
    """
    return Cure(run=run, own=module, module=module)


def joined(cures: Iterable[Cure], by: str = "; ") -> Cure:
    """Give several ways to mend a fault, in their order; who has no words for one is not told.

    >>> joined([for_all("wait"), by_training("--set x", module="")]).module
    'wait'
    """
    every = tuple(cures)
    return Cure(**{
        reader.value: by.join(words for cure in every if (words := cure.to(reader)))
        for reader in Reader
    })
