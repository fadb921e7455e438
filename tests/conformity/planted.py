"""Bugs that optimisers and loops have had, each planted where all else is healthy."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import skipwise.training.run
from skipwise.strategies import (
    ADOPT,
    EMA,
    LAMB,
    MARS,
    SGD,
    Adam,
    AdamW,
    AdaptiveClipping,
    Lookahead,
    Muon,
    ScheduleFreeSGD,
    Strategy,
    adam,
    adamw,
    adopt,
    agc_nf,
    lamb,
    lookahead,
    mars,
    momentum,
    muon,
    nesterov,
    parameter_groups,
    schedulefree_sgd,
)
from skipwise.strategies.optimisers import Groups
from skipwise.strategies.optimisers.borrowed.loading import load
from skipwise.strategies.transforms import Applied, Learning, State
from skipwise.training.policies.guard import History


def spared(groups: Groups) -> Groups:
    return [{**group, "weight_decay": 0.0} for group in groups]


@dataclass(frozen=True, kw_only=True)
class DecayIgnored(SGD):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return super().build(spared(groups), rate=rate)


class DecaysOnceAGroup(torch.optim.AdamW):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for _ in self.param_groups[1:]:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
        return super().step(closure)


@dataclass(frozen=True, kw_only=True)
class DecayedTwice(AdamW):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return DecaysOnceAGroup(groups, lr=rate, betas=(self.beta1, self.beta2), eps=self.epsilon)


@dataclass(frozen=True, kw_only=True)
class NormsDecay(Strategy):
    def build(self, module: nn.Module, distances: Mapping[str, int] | None = None) -> Optimizer:
        groups = parameter_groups(module, self.weight_decay)
        for group in groups:
            if group["role"] == "norm":
                group["weight_decay"] = self.weight_decay
        return self.optimiser.build(groups, rate=self.peak_lr)


@dataclass(frozen=True, kw_only=True)
class HiddenDecay(AdamW):
    """torch's default decay of 1e-2 is left where the strategy asks for none."""

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        default = [{k: v for k, v in group.items() if k != "weight_decay" or v} for group in groups]
        return super().build(default, rate=rate)


@dataclass(frozen=True, kw_only=True)
class UnreadMemory(Adam):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return torch.optim.Adam(groups, lr=rate, betas=(self.beta1, 0.999), eps=self.epsilon)


class NaNAfterTheFirst(torch.optim.Adam):
    def step(self, closure: Any = None) -> Any:
        is_first, loss = not self.state, super().step(closure)
        for group in self.param_groups if not is_first else ():
            for parameter in group["params"] if group["betas"][1] != 0.999 else ():
                parameter.data.fill_(math.nan)
        return loss


@dataclass(frozen=True, kw_only=True)
class NaNWithOtherMemory(Adam):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return NaNAfterTheFirst(groups, lr=rate, betas=(self.beta1, self.beta2), eps=self.epsilon)


class StepsTwice(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        super().step()
        return loss


@dataclass(frozen=True, kw_only=True)
class DoubleStep(SGD):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return StepsTwice(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov)


@dataclass(frozen=True, kw_only=True)
class Coupled(AdamW):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(groups, lr=rate, betas=betas, eps=self.epsilon)


class WithoutCorrection(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if not state:
                    state["m"], state["v"] = torch.zeros_like(p), torch.zeros_like(p)
                g = p.grad + group["weight_decay"] * p
                state["m"].lerp_(g, 1 - beta1)
                state["v"].lerp_(g * g, 1 - beta2)
                p.addcdiv_(state["m"], state["v"].sqrt() + group["eps"], value=-group["lr"])
        return loss


@dataclass(frozen=True, kw_only=True)
class Uncorrected(Adam):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        options = {"betas": (self.beta1, self.beta2), "eps": self.epsilon, "weight_decay": 0.0}
        return WithoutCorrection(groups, {"lr": rate, **options})


class Forgets(torch.optim.SGD):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "state": {}}


@dataclass(frozen=True, kw_only=True)
class StateLost(SGD):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return Forgets(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov)


class KeepsItsRate(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["lr"] = self.defaults["lr"]
        return super().step(closure)


@dataclass(frozen=True, kw_only=True)
class RateOfTheStart(SGD):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return KeepsItsRate(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov)


class Swallows(torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                parameter.grad.nan_to_num_()
        super().step()
        return loss


@dataclass(frozen=True, kw_only=True)
class SwallowedNaN(SGD):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return Swallows(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov)


class MeansOverAll(torch.optim.SGD):
    """Normalises by the gradient of the parameter that was updated before."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure()
        before = 1.0
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                length = float(parameter.grad.norm())
                parameter.grad.div_(math.sqrt(before))
                before = length
        super().step()
        return loss


@dataclass(frozen=True, kw_only=True)
class OrderMatters(SGD):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return MeansOverAll(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov)


class AbsentAsZero(torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
        super().step()
        return loss


@dataclass(frozen=True, kw_only=True)
class DecaysWithoutGradient(SGD):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return AbsentAsZero(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov)


class NormalisesItsBuffer(torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for state in self.state.values():
            state["momentum_buffer"].div_(state["momentum_buffer"].norm())
        return loss


@dataclass(frozen=True, kw_only=True)
class BufferNormalised(SGD):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return NormalisesItsBuffer(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov)


@dataclass(frozen=True, kw_only=True)
class MuonOnTheStem(Muon):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        stem = {"stem": "branch"}
        named = [{**group, "role": stem.get(group["role"], group["role"])} for group in groups]
        return super().build(named, rate=rate)


@dataclass(frozen=True, kw_only=True)
class ClipsAStepAhead(ADOPT):
    """As pytorch-optimizer 4.1 has it by default."""

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        decay = {"weight_decay": 0.0, "weight_decouple": True}
        return load("adopt", groups, lr=rate, **decay, **self.options())


@dataclass(frozen=True, kw_only=True)
class VectorsDecay(MARS):
    """As pytorch-optimizer 4.1 has it by default."""

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return load("mars", groups, lr=rate, lr_1d=rate, weight_decay=0.0, **self.options())


@dataclass(frozen=True, kw_only=True)
class TrustOnNorms(LAMB):
    """As pytorch-optimizer 4.1 has it by default."""

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return super().build([{**group, "role": "branch"} for group in groups], rate=rate)


@dataclass(frozen=True, kw_only=True)
class WrongPoint(ScheduleFreeSGD):
    """Goes from y towards z where x lies on the other side."""

    def evaluated(self, optimiser: Optimizer) -> dict[nn.Parameter, Tensor]:
        share = 1 / self.beta - 1
        state = optimiser.state
        return {y: y.detach().lerp(state[y]["z"], share) for y in super().evaluated(optimiser)}


@dataclass(frozen=True, kw_only=True)
class FastWeights(Lookahead):
    def evaluated(self, optimiser: Optimizer) -> dict[nn.Parameter, Tensor]:
        return {fast: fast for fast in super().evaluated(optimiser)}


@dataclass(frozen=True, kw_only=True)
class ShareInverted(EMA):
    def share(self, step: int, steps: int) -> float:
        return 1 - super().share(step, steps)


@dataclass(frozen=True, kw_only=True)
class ClipsTheHead(AdaptiveClipping):
    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        every = [replace(entry, of_head=False) for entry in learning]
        return super().apply(every, norm, state, step)


def swapped(base: Callable[[], Strategy], kind: type) -> Callable[[], Strategy]:
    """Give a strategy whose rule is one with a bug and the same fields."""
    return lambda: replace(base(), optimiser=kind(**vars(base().optimiser)))


# The bug, the strategy that has it, and the checks that must find it.
PLANTED: dict[str, tuple[Callable[[], Strategy], tuple[str, ...]]] = {
    "decay ignored": (swapped(momentum, DecayIgnored), ("formula", "decay", "alive", "once")),
    "decay once a group": (swapped(adamw, DecayedTwice), ("formula", "decay", "once")),
    "decay on BatchNorm": (
        lambda: NormsDecay(**{**vars(nesterov())}),
        ("formula", "decay", "once"),
    ),
    "decay by default": (
        lambda: replace(adamw(), weight_decay=0.0, optimiser=HiddenDecay()),
        ("formula", "decay", "once"),
    ),
    "hyper-parameter unread": (swapped(adam, UnreadMemory), ("alive",)),
    "NaN with another memory": (swapped(adam, NaNWithOtherMemory), ("formula",)),
    "two updates a step": (swapped(momentum, DoubleStep), ("formula", "once")),
    "NaN swallowed": (swapped(momentum, SwallowedNaN), ("NaN",)),
    "coupled, not decoupled": (swapped(adamw, Coupled), ("formula", "decay", "once")),
    "bias correction missing": (swapped(adam, Uncorrected), ("formula", "once")),
    "momentum normalised in place": (swapped(momentum, BufferNormalised), ("formula", "symmetry")),
    "Muon on the stem": (swapped(muon, MuonOnTheStem), ("formula", "once")),
    "state lost in the checkpoint": (swapped(momentum, StateLost), ("resume",)),
    "rate of the start": (swapped(momentum, RateOfTheStart), ("formula", "rate 0")),
    "order matters": (swapped(momentum, OrderMatters), ("formula", "order", "symmetry")),
    "absent gradient taken for zero": (swapped(momentum, DecaysWithoutGradient), ("absent",)),
    "ADOPT's clip a step ahead": (swapped(adopt, ClipsAStepAhead), ("formula",)),
    "MARS's own decay on vectors": (swapped(mars, VectorsDecay), ("formula", "decay", "once")),
    "LAMB's trust ratio on norms": (swapped(lamb, TrustOnNorms), ("formula", "once")),
    "Schedule-Free's average on the wrong side": (
        swapped(schedulefree_sgd, WrongPoint),
        ("formula",),
    ),
    "Lookahead's fast weights evaluated": (swapped(lookahead, FastWeights), ("formula",)),
    "share of the average inverted": (
        lambda: replace(nesterov(), averaging=ShareInverted(decay=0.9)),
        ("average",),
    ),
    "the head clipped unit by unit": (
        lambda: replace(agc_nf(), gradient=(ClipsTheHead(),)),
        ("gradient",),
    ),
    "statistics of older weights": (lambda: AVERAGED, ("statistics",)),
    "NaN through the clipping": (lambda: replace(momentum(), clip_norm=1.0), ("NaN",)),
}
AVERAGED = replace(nesterov(), averaging=EMA(decay=0.9))


def of_older_weights(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(skipwise.training.run, "with_own_statistics", lambda model, *_, **__: model)


def sees_only_the_loss(patch: pytest.MonkeyPatch) -> None:
    blind = staticmethod(lambda loss, norm: "" if math.isfinite(loss) else "not finite")
    patch.setattr(History, "problem", blind)


# What is broken beside the strategy, for bugs of the loop.
BESIDE: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "statistics of older weights": of_older_weights,
    "NaN through the clipping": sees_only_the_loss,
}


@contextmanager
def planted(bug: str) -> Iterator[Strategy]:
    """Lend the strategy that a bug is in, with what is broken beside it."""
    with pytest.MonkeyPatch.context() as patch:
        if bug in BESIDE:
            BESIDE[bug](patch)
        yield PLANTED[bug][0]()
