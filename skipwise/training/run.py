"""Run: all that cannot be recomputed, and the functions that recompute the rest."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.data import Batch, Batches
from skipwise.strategies import Strategy
from skipwise.training.average import Average, with_own_statistics
from skipwise.training.processes import ALONE, World
from skipwise.training.sharded import cut_optimiser, cut_weights, own_share, whole

Loss = Callable[[Tensor, Batch], tuple[Tensor, float | Tensor]]


class Diverged(ValueError):
    """The loss is not finite.

    Args:
        step: The first step at which it was not, counted from 1.
        loss: What it was.
    """

    def __init__(self, step: int, loss: float):
        super().__init__(
            f"the loss is {loss} at step {step}: training diverged;"
            " lower strategy.peak_lr, or set strategy.clip_norm"
        )
        self.step, self.loss = step, loss


@dataclass(kw_only=True)
class Run:
    """A training run in progress.

    State is what ``state`` gives: parameters and buffers, the optimiser's state, the step, and how
    many steps there are to be. Batches, rates and random numbers are functions of ``seed`` and
    ``step``.

    Args:
        model: Any module.
        optimiser: Over its parameters.
        batches: ``batches[t]`` is the batch of step t.
        loss: (output, batch) → (sum, count).
        strategy: Rate by step, and clipping.
        steps: Length of the run.
        seed: Of the run.
        parts: How many parts a batch is cut into, whose gradients add up.
        step: How many updates were taken.
        world: The processes that share the run.
        spread: The model as they compute with it, if there are several.
        is_sharded: Whether each of them keeps only a share of the parameters.
        autocast: The type that convolutions and products are computed in, or None for the
            parameters' own.
        average: The averaged weights, if the strategy averages.
        compiled: The model as it computes in training, if it was compiled.
        frozen: Parts that stay in evaluation mode, so that their statistics do not move.
        notes: What a reader should know of how the model began, one sentence each.
    """

    model: nn.Module
    optimiser: Optimizer
    batches: Batches
    loss: Loss
    strategy: Strategy
    steps: int
    seed: int
    parts: int = 1
    step: int = 0
    world: World = ALONE
    spread: nn.Module | None = None
    is_sharded: bool = False
    autocast: torch.dtype | None = None
    average: Average | None = None
    compiled: Callable[[Tensor], Tensor] | None = None
    frozen: tuple[nn.Module, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """What computes the outputs in training."""
        if self.spread is not None:
            return self.spread
        return self.model if self.compiled is None else self.compiled

    def begin_training(self) -> None:
        """Put the model into training mode, all but the frozen parts."""
        self.model.train()
        for part in self.frozen:
            part.eval()

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold, in whole tensors; all processes call it together."""
        own: dict[str, Any] = {"step": self.step, "steps": self.steps}
        if self.average is not None:
            own["average"] = self.average.model.state_dict()
        own |= {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}
        return whole(own) if self.is_sharded else own

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state.

        Raises:
            ValueError: If it belongs to another network or strategy.
        """
        try:
            self.load_weights(state["model"])
            options = [_options(group) for group in self.optimiser.param_groups]
            kept = state["optimiser"]
            self.optimiser.load_state_dict(
                cut_optimiser(kept, self.optimiser) if self.is_sharded else kept
            )
            for group, own in zip(self.optimiser.param_groups, options, strict=True):
                group.update(own)  # they belong to the strategy, which may have been changed
            if self.average is not None:
                self.average.model.load_state_dict(state.get("average", state["model"]))
        except (RuntimeError, ValueError) as error:
            first = str(error).splitlines()[-1].strip()
            raise ValueError(
                f"the checkpoint belongs to another network or strategy: {first}"
            ) from None
        self.step, self.steps = state["step"], state["steps"]

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Put whole parameters and buffers into the model."""
        own = cut_weights(tensors, self.model) if self.is_sharded else tensors
        self.model.load_state_dict(own)

    def chosen_weights(self) -> dict[str, Tensor]:
        """Give what :attr:`chosen` holds, in whole tensors; all processes call it together."""
        tensors = self.chosen.state_dict()
        return whole(tensors) if self.is_sharded else tensors

    @contextmanager
    def with_weights(self, tensors: Mapping[str, Tensor]) -> Iterator[nn.Module]:
        """Lend the model other weights for a while."""
        kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.load_weights(tensors)
        try:
            yield self.model
        finally:
            self.model.load_state_dict(kept)

    def is_finite(self) -> bool:
        """Whether every parameter is; all processes call it together and get the same."""
        own = (own_share(p) if self.is_sharded else p for p in self.model.parameters())
        broken = not all(torch.isfinite(p).all() for p in own)
        return self.world.largest(broken) == (0,)

    def advance(self) -> None:
        """Count an update that was taken, and take its weights into the average."""
        self.step += 1
        if self.average is not None and self.strategy.averaging is not None:
            share = self.strategy.averaging.share(self.step, self.steps)
            self.average.update(self.model, share)

    @property
    def chosen(self) -> nn.Module:
        """The model that evaluations are about: the average, if there is one."""
        return self.model if self.average is None else self.average.model

    def evaluated(self) -> nn.Module:
        """Give that model, with BatchNorm statistics of its own if it is an average.

        Of several processes all get the same: rank 0's statistics.
        """
        if self.average is not None:
            frozen = [n for n, m in self.model.named_modules() if any(m is f for f in self.frozen)]
            with_own_statistics(
                self.average.model,
                self.batches,
                autocast=self.autocast,
                frozen=frozen,
                world=self.world,
            )
        self.world.share_buffers(self.chosen)
        return self.chosen


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}
