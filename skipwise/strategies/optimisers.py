"""The update rules, as descriptions: torch's own implementations with every hyper-parameter named.

``weight_decay`` belongs to the strategy, which decides which parameters decay; whether it is added
to the gradient (SGD, Adam) or taken from the weights directly (AdamW) is the rule's own matter.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.optim import Optimizer

Groups = Sequence[dict[str, Any]]


class Optimiser(ABC):
    """The frozen choice of an update rule.

    ``can_skip`` says whether a step that the closure breaks off leaves parameters and state as they
    were: the rule asks for the gradient before it changes anything, or puts it back.
    """

    can_skip: ClassVar[bool] = True

    @abstractmethod
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch's optimiser over parameter groups."""


@dataclass(frozen=True, kw_only=True)
class SGD(Optimiser):
    """v ← μv + g, w ← w − ηv; Nesterov: w ← w − η(g + μv). The decay λw is part of g.

    Args:
        momentum: μ, in [0, 1).
        nesterov: Look ahead along the velocity; needs momentum.

    Source: Sutskever et al. (2013), eq. 1 to 4, in torch's form (the rate outside the velocity).
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self):
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {self.momentum}")
        if self.nesterov and self.momentum == 0:
            raise ValueError(
                "nesterov has no effect without momentum; set momentum, 0.9 for example"
            )

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.SGD."""
        fused = _can_fuse(groups)
        return torch.optim.SGD(
            groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov, fused=fused
        )


@dataclass(frozen=True, kw_only=True)
class MomentEstimating(Optimiser):
    """What Adam and AdamW have in common.

    Args:
        beta1: Memory of the mean gradient.
        beta2: Memory of the mean square.
        epsilon: ε.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        for name, beta in (("beta1", self.beta1), ("beta2", self.beta2)):
            if not 0 <= beta < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {beta}")
        if self.epsilon <= 0:
            raise ValueError(f"epsilon must be positive, got {self.epsilon}")

    def options(self, groups: Groups) -> dict[str, Any]:
        """Give torch's arguments."""
        betas = (self.beta1, self.beta2)
        return {"betas": betas, "eps": self.epsilon, "fused": _can_fuse(groups)}


@dataclass(frozen=True, kw_only=True)
class Adam(MomentEstimating):
    """w ← w − η m̂/(√v̂ + ε), with the decay λw as part of the gradient.

    Source: Kingma, Ba (2015), algorithm 1.
    """

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.Adam."""
        return torch.optim.Adam(groups, lr=rate, **self.options(groups))


@dataclass(frozen=True, kw_only=True)
class AdamW(MomentEstimating):
    """Adam whose decay is taken from the weights: w ← w − ηλw − η m̂/(√v̂ + ε).

    Source: Loshchilov, Hutter (2019), algorithm 2. Differs: torch multiplies λ by the rate η.
    """

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.AdamW."""
        return torch.optim.AdamW(groups, lr=rate, **self.options(groups))


def _can_fuse(groups: Groups) -> bool:
    """Torch loops over parameters in Python on the CPU unless it is asked for the fused kernel.

    Shares of parameters, which are tensors of another class, have none for every rule.
    """
    parameters = [p for group in groups for p in group["params"]]
    return all(
        type(p) is nn.Parameter and p.is_floating_point() and p.device.type in ("cpu", "cuda")
        for p in parameters
    )
