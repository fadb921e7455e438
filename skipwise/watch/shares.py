"""How much of each block's output its branch contributes.

Every connection is linear in its branch, ``S' = A·S + B·F``; so what is carried is the connection's
output with a branch that gives zeros, and what is written is the rest.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn

from skipwise.networks import Block, Residual, evaluating
from skipwise.randomness import seeded


def branch_shares(model: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Measure ``E(B·F)² / (E(A·S)² + E(B·F)²)`` for each block, in evaluation mode.

    The mean is over examples and all numbers of the state, before the activation that follows the
    sum. Without a skip the share is 1, with a branch of zeros 0. The two parts may be correlated,
    so it is a share of the second moments and not of the output's variance. The model's mode and
    the caller's random numbers stay; no hook is left.

    Args:
        model: Any module; blocks are its parts of type Block or Residual, at any level.
        inputs: What it reads, shape ``(batch, width, *space)``.

    Returns:
        By the name of the block, in the order in which they are computed.
    """
    blocks = {n: m for n, m in model.named_modules() if isinstance(m, Block | Residual)}
    found: dict[str, Tensor] = {}
    with ExitStack() as hooks, seeded("branch shares"), torch.inference_mode():
        hooks.enter_context(evaluating(model))
        for name, block in blocks.items():
            hooks.enter_context(_measured(name, block, found))
        # Past the outermost call, which may be compiled, and then would run no hook of its parts.
        model.forward(inputs)
    values = torch.stack(list(found.values())).tolist() if found else []
    return dict(zip(found, values, strict=True))


@final
class Silent(nn.Module):
    """Zeros of the shape that the branch gave when it was computed last."""

    def __init__(self):
        super().__init__()
        self.like: Tensor | None = None

    def forward(self, _: Tensor) -> Tensor:
        """Give zeros."""
        assert self.like is not None
        return torch.zeros_like(self.like)


@contextmanager
def _measured(name: str, block: Block | Residual, found: dict[str, Tensor]) -> Iterator[None]:
    silent = Silent()

    def after_branch(module: nn.Module, args: Any, output: Tensor) -> None:
        silent.like = output

    def after_connection(module: nn.Module, args: Any, output: Tensor) -> None:
        carried = module.forward(args[0], silent).double()
        written = output.double() - carried
        ours, theirs = written.square().mean(), carried.square().mean()
        found[name] = ours / (ours + theirs).clamp(min=torch.finfo(torch.float64).tiny)

    handles = [
        block.branch.register_forward_hook(after_branch),
        block.connection.register_forward_hook(after_connection),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
