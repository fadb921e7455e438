"""The averaged weights of a run, and the BatchNorm statistics that belong to them."""

import copy
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from itertools import count
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as NORMS

from skipwise.data import Batches
from skipwise.randomness import seeded
from skipwise.training.processes import ALONE, World

EXAMPLES = 4096  # from which the statistics are estimated anew


class Average:
    """a ← (1 − s)·a + s·w, parameter by parameter; all else is that of the newest model.

    Args:
        model: The model whose weights are averaged; it is copied.
    """

    def __init__(self, model: nn.Module):
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._latest: list[list[Tensor]] = []
        self.taken = 0  # weights in a plain mean

    @property
    def latest(self) -> list[list[Tensor]]:
        """The weights that are remembered, from the oldest on; none of them is changed later."""
        return list(self._latest)

    @latest.setter
    def latest(self, kept: list[list[Tensor]]) -> None:
        devices = [p.device for p in self.model.parameters()]
        self._latest = [
            [w.to(where) for w, where in zip(weights, devices, strict=True)] for weights in kept
        ]

    @torch.no_grad()
    def update(
        self, newest: nn.Module, share: float, *, plain: bool = False, remembered: int = 0
    ) -> None:
        """Take the newest weights in, with their share of the average.

        Args:
            newest: The model.
            share: Of its weights; 1 forgets all before them, 0 leaves these out.
            plain: Whether the share is that of one among all in the mean, whatever is given.
            remembered: The average is the plain mean of so many latest weights with a share; 0
                remembers none, and follows the recursion.
        """
        if plain:
            self.taken += 1
            share = 1 / self.taken
        elif share == 1:
            self.taken = 0
        if remembered:
            self._remember(newest, share, remembered)
        pairs = [*zip(self.model.parameters(), newest.parameters(), strict=True)]
        for mine, theirs in pairs:
            if not theirs.requires_grad:
                mine.copy_(theirs)
        learning = [pair for pair in pairs if pair[1].requires_grad]
        if learning and not remembered:
            mine, theirs = map(list, zip(*learning, strict=True))
            # A GPU starts one kernel instead of one a parameter.
            torch._foreach_lerp_(mine, theirs, share)  # pyright: ignore[reportPrivateImportUsage]
        for mine, theirs in zip(self.model.buffers(), newest.buffers(), strict=True):
            mine.copy_(theirs)

    def _remember(self, newest: nn.Module, share: float, count: int) -> None:
        if share == 0:
            return
        earlier = [] if share == 1 else self._latest
        self._latest = [*earlier, [p.detach().clone() for p in newest.parameters()]][-count:]
        for mine, *weights in zip(self.model.parameters(), *self._latest, strict=True):
            mine.copy_(torch.stack(weights).mean(0))

    @torch.no_grad()
    def take(self, newest: nn.Module, others: Mapping[nn.Parameter, Tensor]) -> None:
        """Become the newest model, with other weights for some of its parameters.

        Args:
            newest: The model.
            others: Weights by its parameters.
        """
        for mine, theirs in zip(self.model.parameters(), newest.parameters(), strict=True):
            mine.copy_(others.get(cast(nn.Parameter, theirs), theirs))
        for mine, theirs in zip(self.model.buffers(), newest.buffers(), strict=True):
            mine.copy_(theirs)


def with_own_statistics(
    model: nn.Module,
    batches: Batches,
    *,
    autocast: torch.dtype | None,
    parts: int = 1,
    frozen: Collection[str] = (),
    world: World = ALONE,
) -> nn.Module:
    """Estimate a model's BatchNorm statistics from training examples; they are of no older weights.

    Args:
        model: Changed in place, and given back.
        batches: The training batches; as in training, but at full size and unmixed.
        autocast: As in training.
        parts: As in training, where a batch may not fit in one.
        frozen: Names of the modules whose statistics stay.
        world: The processes; the statistics are the mean over those of their shares.

    Source: Izmailov et al. (2018), "Averaging weights leads to wider optima", section 3.2.
    """
    kept = [part for name in frozen for part in model.get_submodule(name).modules()]
    norms = [m for m in model.modules() if isinstance(m, NORMS) and m not in kept]
    norms = [norm for norm in norms if norm.track_running_stats]
    momenta, was_training = [norm.momentum for norm in norms], model.training
    model.train()
    for part in kept:
        part.eval()
    for norm in norms:
        norm.reset_running_stats()
    steps = math.ceil(min(EXAMPLES, len(batches.examples)) / batches.size) if norms else 0
    with (
        ExitStack() as hooks,
        closing(batches.apart()) as own,
        seeded("statistics"),
        torch.no_grad(),
        torch.autocast(batches.device.type, autocast, enabled=autocast is not None),
    ):
        for norm in norms:
            hooks.enter_context(norm.register_forward_pre_hook(_counting()))
        for step in range(steps):
            for part in own.at(step, mixed=False).parts(parts):
                model(part.inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        for statistic in (norm.running_mean, norm.running_var):
            assert statistic is not None
            world.sum(statistic).div_(world.size)
    return model.train(was_training)


def _counting() -> Callable[[nn.Module, Any], None]:
    """Give a norm's mean over all batches its next share; torch would ask the device for it."""
    calls = count(1)

    def share(norm: nn.Module, _: Any) -> None:
        cast(NORMS, norm).momentum = 1.0 / next(calls)

    return share
