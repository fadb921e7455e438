"""Run: all that cannot be recomputed, and the functions that recompute the rest."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.data import Batch, Batches
from skipwise.strategies import Chain, Learning, Strategy, roles
from skipwise.training.average import Average, with_own_statistics
from skipwise.training.device import Leash
from skipwise.training.processes import ALONE, World
from skipwise.training.sharded import cut_optimiser, cut_weights, own_share, whole

if TYPE_CHECKING:
    from skipwise.training.policies.guard import Guarding

Loss = Callable[[Tensor, Batch], tuple[Tensor, float | Tensor]]


class Diverged(ValueError):
    """The loss is not finite, or a guard gave up.

    Args:
        step: The first step at which it was not, counted from 1.
        loss: What it was.
        returns: How often a guard had returned to an earlier state; None without one.
        reason: What is wrong, in words, if it is not the loss.
    """

    def __init__(self, step: int, loss: float, *, returns: int | None = None, reason: str = ""):
        after = f" after {returns} returns to an earlier state" if returns else ""
        guard = ", or strategy.guard=Guard" if returns is None else ""
        super().__init__(
            f"{reason or f'the loss is {loss}'} at step {step}{after}: training diverged;"
            f" lower strategy.peak_lr, or set strategy.clip_norm{guard}"
        )
        self.step, self.loss = step, loss


def statistics_of(model: nn.Module) -> dict[str, Tensor]:
    """Give the running statistics of norms, by their names."""
    named = {n: b for n, b in model.named_buffers() if ".running_" in f".{n}"}
    return {n: buffer for n, buffer in named.items() if buffer.is_floating_point()}


class Skipped(Exception):
    """A step that the guard refuses: it leaves the optimiser before anything was changed.

    Args:
        reason: In words.
        loss: Of the batch, shape ``()``.
    """

    def __init__(self, reason: str, loss: Tensor):
        super().__init__(reason)
        self.reason, self.loss = reason, loss


@dataclass(kw_only=True)
class Run:
    """A training run in progress.

    State is what ``state`` gives: parameters and buffers, the optimiser's state, that of gradient
    transforms and guard, the step, and how many steps there are to be. Batches, rates and random
    numbers are functions of ``seed`` and ``step``.

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
        average: The copy that is evaluated, if the strategy averages, or its rule has other
            weights than those it trains, or leaves statistics that are not of these.
        compiled: The model as it computes in training, if it was compiled.
        frozen: Parts that stay in evaluation mode, so that their statistics do not move.
        notes: What a reader should know of how the model began, one sentence each.
        freezable: What ``strategy.freezing`` stops, one after the other.
        guard: Refuses steps that would do harm, if the strategy has one.
        rate_scale: Factor on the rate, which a guard lowers.
        chain: The gradient's transforms with their states.
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
    freezable: tuple[nn.Module, ...] = ()
    guard: "Guarding | None" = None
    rate_scale: float = 1.0
    chain: Chain = field(init=False)

    def __post_init__(self):
        self.chain = Chain(self.strategy.transforms)
        self._trainable = {p for p in self.model.parameters() if p.requires_grad}
        self._stopped = 0
        self._leash = Leash(self.batches.device)

    @property
    def rate(self) -> float:
        """Learning rate of the next update."""
        return self.strategy.rate(self.step, self.steps) * self.rate_scale

    @cached_property
    def learning(self) -> tuple[Learning, ...]:
        """All parameters, with what gradient transforms ask of them."""
        return learning_of(self.model)

    @property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """What computes the outputs in training."""
        if self.spread is not None:
            return self.spread
        return self.model if self.compiled is None else self.compiled

    def begin_training(self) -> None:
        """Put the model into training mode, all but the frozen parts."""
        self.model.train()
        for part in (*self.frozen, *self._stop(self.step)):
            part.eval()

    def _stop(self, step: int) -> tuple[nn.Module, ...]:
        """Stop the parts whose time has come at an update, and give all that have stopped."""
        if self.strategy.freezing is None:
            return ()
        parts = self.freezable
        stopped = self.strategy.freezing.stopped(step, self.steps, len(parts))
        if stopped != self._stopped:
            for number, part in enumerate(parts):
                for parameter in self._trainable.intersection(part.parameters()):
                    parameter.requires_grad_(number >= stopped)  # again, if the run grew longer
            self._stopped = stopped
        return parts[:stopped]

    @property
    def still(self) -> list[str]:
        """Names of the modules that the last update left as they were: frozen, or stopped."""
        # As of that update: the run may have another length since.
        parts = (*self.frozen, *self.freezable[: self._stopped])
        return [name for name, m in self.model.named_modules() if any(m is p for p in parts)]

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold; all processes call it together.

        Shares are gathered into whole tensors in the first process, and are None in the others.
        """
        own = self.training_state()
        return own if self.guard is None else {**own, "guard": self.guard.state()}

    def training_state(self) -> dict[str, Any]:
        """Give the state without what a guard remembers."""
        own: dict[str, Any] = {"step": self.step, "steps": self.steps}
        own |= {"rate_scale": self.rate_scale, "chain": self.chain.state()}
        if self.average is not None:
            own["average"] = self.average.model.state_dict()
            own["latest"], own["taken"] = self.average.latest, self.average.taken
        own |= {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}
        return whole(own, kept=self.world.is_first) if self.is_sharded else own

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state.

        Raises:
            ValueError: If it belongs to another network or strategy.
        """
        try:
            self.load_weights(state["model"])
            state_of_rule = self.strategy.optimiser.kept_in_groups
            options = [_options(group, state_of_rule) for group in self.optimiser.param_groups]
            kept = state["optimiser"]
            self.optimiser.load_state_dict(
                cut_optimiser(kept, self.optimiser) if self.is_sharded else kept
            )
            for group, own in zip(self.optimiser.param_groups, options, strict=True):
                group.update(own)  # they belong to the strategy, which may have been changed
            if not self.is_sharded:
                _lay_out(self.optimiser)
            if self.average is not None:
                self.average.model.load_state_dict(state.get("average", state["model"]))
                self.average.latest = state.get("latest", [])
                self.average.taken = state.get("taken", 0)
        except (RuntimeError, ValueError) as error:
            first = str(error).splitlines()[-1].strip()
            raise ValueError(
                f"the checkpoint belongs to another network or strategy: {first}"
            ) from None
        self.step, self.steps = state["step"], state["steps"]
        self._stop(max(self.step - 1, 0))
        self.rate_scale = state.get("rate_scale", 1.0)
        if "chain" in state:
            self.chain.restore(state["chain"])
        if self.guard is not None and "guard" in state:
            self.guard.restore(state["guard"])

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Put whole parameters and buffers into the model."""
        own = cut_weights(tensors, self.model) if self.is_sharded else tensors
        self.model.load_state_dict(own)

    def chosen_weights(self) -> dict[str, Tensor]:
        """Give what :attr:`chosen` holds, gathered as in :meth:`state`."""
        tensors = self.chosen.state_dict()
        return whole(tensors, kept=self.world.is_first) if self.is_sharded else tensors

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
        """Whether every parameter and running statistic is, and no state of its rule is NaN.

        A rule that takes the sign of its momentum leaves a weight finite whose momentum is NaN, but
        never moves it again. All processes call it together and get the same.
        """
        weights = (*self.model.parameters(), *statistics_of(self.model).values())
        own = (own_share(p) if self.is_sharded else p for p in weights)
        broken = not all(torch.isfinite(p).all() for p in own)
        values = (v for state in self.optimiser.state.values() for v in state.values())
        kept = (own_share(v) for v in values if isinstance(v, Tensor) and v.is_floating_point())
        broken = broken or any(torch.isnan(v).any() for v in kept)
        return self.world.largest(broken) == (0,)

    def diverged(self, loss: float, reason: str = "") -> Diverged:
        """Give the error of a run that cannot go on; see :class:`Diverged`."""
        returns = None if self.guard is None else self.guard.returns
        return Diverged(self.step, loss, returns=returns, reason=reason)

    def advance(self, *, skipped: bool = False) -> None:
        """Count a step, and take its weights into the average unless it was skipped."""
        self.step += 1
        self._leash.pull()
        if skipped:
            return
        self.chain.keep()
        if self.average is not None and self.strategy.averaging is not None:
            rule = self.strategy.averaging
            share = rule.share(self.step, self.steps)
            plain = rule.is_one_of_many(self.step, self.steps)
            self.average.update(self.model, share, plain=plain, remembered=rule.remembered)

    @property
    def chosen(self) -> nn.Module:
        """The model that evaluations are about: the average as of then, if there is one."""
        return self.model if self.average is None else self.average.model

    def evaluated(self) -> nn.Module:
        """Give that model, with BatchNorm statistics of its own if it is not the one in training.

        What is still is evaluated as it is, since the others learn beside it so. Of several
        processes all get the same: rank 0's statistics.
        """
        if self.average is not None:
            still = self.still
            if self.strategy.averaging is None:
                resting = {p for n in still for p in self.model.get_submodule(n).parameters()}
                others = self.strategy.optimiser.evaluated(self.optimiser)
                self.average.take(self.model, {p: w for p, w in others.items() if p not in resting})
            with_own_statistics(
                self.average.model,
                self.batches,
                autocast=self.autocast,
                parts=self.parts,
                frozen=still,
                world=self.world,
            )
        self.world.share_buffers(self.chosen)
        return self.chosen


def learning_of(model: nn.Module) -> tuple[Learning, ...]:
    """Give all parameters of a network, with what gradient transforms ask of them."""
    parts, named = roles(model), dict(model.named_parameters())
    heads = {name.rpartition(".")[0] for name, role in parts.items() if role == "head"}
    return tuple(
        Learning(
            name=name,
            parameter=parameter,
            role=parts[name],
            of_head=name.rpartition(".")[0] in heads,
        )
        for name, parameter in named.items()
    )


def _lay_out(optimiser: Optimizer) -> None:
    """Give what a rule keeps of a parameter the parameter's strides, which fused rules count on.

    A save of several processes that shared the parameters out holds it contiguous. torch loads
    NAdam's product of momenta to a GPU, where each step would wait for it, and the count of steps
    where the saved rule had it: a fused rule needs it there, another one waits for it there.
    """
    fused = {p for group in optimiser.param_groups if group.get("fused") for p in group["params"]}
    for parameter, kept in optimiser.state.items():
        for name, value in kept.items():
            if not isinstance(value, Tensor):
                continue
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                kept[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            elif name == "step":
                kept[name] = value.to(parameter.device) if parameter in fused else value.cpu()
            elif name == "mu_product":
                kept[name] = value.cpu()


def _options(group: dict[str, Any], state_of_rule: Collection[str]) -> dict[str, Any]:
    others = ("params", *state_of_rule)
    return {name: value for name, value in group.items() if name not in others}
