"""Models whose answers are known, and a loss that reads nothing but the output."""

import torch
from torch import Tensor, nn

from skipwise.connections import Additive, ConnectionDescription
from skipwise.networks import Residual


class Scaled(nn.Module):
    """``F(x) = a·x``."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class TwoLayers(nn.Module):
    """``F(x) = W₂·ReLU(W₁·x)``, the ReLU in place."""

    def __init__(self, width: int):
        super().__init__()
        self.one = nn.Linear(width, width, bias=False)
        self.activation = nn.ReLU(inplace=True)
        self.two = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.one.weight, std=(2 / width) ** 0.5)
        nn.init.normal_(self.two.weight, std=(1 / width) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.activation(self.one(x)))


class Stack(nn.Module):
    """Blocks one after the other, the last output being the output."""

    def __init__(self, *blocks: nn.Module):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def scaled_stack(factor: float, blocks: int) -> nn.Module:
    return Stack(*(Residual(Scaled(factor)) for _ in range(blocks))).double()


def residual_stack(
    width: int, blocks: int, connection: ConnectionDescription | None = None, seed: int = 0
) -> nn.Module:
    torch.manual_seed(seed)
    branches = (TwoLayers(width) for _ in range(blocks))
    return Stack(*(Residual(branch, connection or Additive()) for branch in branches))


def along(output: Tensor, direction: Tensor) -> Tensor:
    """The loss whose gradient by the output is the direction."""
    return (output * direction).sum()
