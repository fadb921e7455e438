"""Rules of the package ``pytorch-optimizer``: the only file that imports it.

Its classes are asked for by name, with every option that changes an update spelled out, and get
our parameter groups as they are, so that each group keeps its decay, its rate and its role.
"""

import re
from importlib.metadata import version
from typing import Any, final

import torch
from torch.optim import Optimizer

from skipwise.strategies.optimisers.optimiser import Groups
from skipwise.strategies.optimisers.wrapping import Closure, Wrapping, asked

OLDEST = (4, 1)  # before it some rules are not those of their papers


class NotInstalled(ValueError):
    """A package that a rule needs is not there, or too old; the message says how to install it."""


def load(name: str, groups: Groups, **options: Any) -> Optimizer:
    """Make the package's optimiser of that name.

    Raises:
        NotInstalled: If the package is not installed, or too old.
    """
    try:
        from pytorch_optimizer import load_optimizer
    except ImportError:
        raise NotInstalled(
            f"{name} is a rule of pytorch-optimizer, which is not installed; install it:"
            ' .venv/bin/pip install -e ".[optimizers]"'
        ) from None
    found = version("pytorch-optimizer")
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < OLDEST:
        raise NotInstalled(
            f"{name} is a rule of pytorch-optimizer, whose version {found} computes some rules"
            ' wrongly; install a later one: .venv/bin/pip install -e ".[optimizers]"'
        )
    made: Any = load_optimizer(name)
    return made([dict(group) for group in groups], **options)


@final
class Sparing(Wrapping):
    """An optimiser that computes with ``.grad`` in place, and gets copies to do so.

    The loop's promise is that ``.grad`` still holds the gradient that updated the parameters.
    """

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step."""
        loss = asked(closure)
        lent = {p: p.grad for p in self.parameters if p.grad is not None}
        try:
            for parameter, gradient in lent.items():
                parameter.grad = gradient.clone()
            self.base.step()
        finally:
            for parameter, gradient in lent.items():
                parameter.grad = gradient
        return loss
