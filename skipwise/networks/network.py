"""A network is stem → trunk → head; its description builds it for the ends that the data need."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, final

from torch import nn
from torch.nn.modules.dropout import _DropoutNd as DROPOUT

from skipwise.connections import StochasticDepthConnection
from skipwise.description import Call
from skipwise.networks.trunk import Trunk
from skipwise.shapes import Ends, Outputs, Stream


class NetworkDescription(ABC):
    """The frozen choice of a network; ``name`` is what tables and folders call it."""

    name: str

    @abstractmethod
    def build(self, ends: Ends) -> nn.Module:
        """Make the network.

        Raises:
            ValueError: If the network cannot read such inputs or give such outputs.
        """

    def notes(self, ends: Ends) -> tuple[str, ...]:
        """Say what was chosen for these ends, one sentence each."""
        return ()


@final
class Network(nn.Module):
    """Stem → trunk → head.

    Args:
        stem: From the input to the stream.
        trunk: The residual blocks.
        head: From the stream to the output.
    """

    def __init__(self, stem: nn.Module, trunk: Trunk, head: nn.Module):
        super().__init__()
        self.stem = stem
        self.trunk = trunk
        self.head = head

    def forward(self, x: Stream) -> Outputs:
        """Compute the output."""
        return self.head(self.trunk(self.stem(x)))


def offered(ends: Ends) -> dict[str, Any]:
    """Give what a user's own function may take as parameters."""
    return {
        "inputs": ends.inputs,
        "outputs": ends.outputs,
        "channels": ends.inputs[0],
        "classes": ends.outputs[0],
    }


def build_network(description: NetworkDescription | Call, ends: Ends) -> nn.Module:
    """Build ours, or call a user's own function for it.

    The function may name any of ``inputs`` and ``outputs`` (shapes of one example), ``channels``
    (the first of the input's axes) and ``classes`` (the number of outputs); it returns a module or
    a description.

    Raises:
        ValueError: If the function cannot be called, or returns neither.
    """
    if isinstance(description, NetworkDescription):
        return description.build(ends)
    made = description(**offered(ends))
    if isinstance(made, NetworkDescription):
        return made.build(ends)
    if not isinstance(made, nn.Module):
        raise ValueError(
            f"{description.target} must return a torch.nn.Module, it returned {type(made).__name__}"
        )
    _draw_apart(made)
    return made


def drawn_in_training(model: nn.Module, *, without: Collection[nn.Module] = ()) -> tuple[str, ...]:
    """Name what makes a network another function at each step of its training.

    Args:
        model: Any module.
        without: Parts that stay in evaluation mode.
    """
    still = {module for part in without for module in part.modules()}
    modules = [module for module in model.modules() if module not in still]
    dropped = any(isinstance(m, DROPOUT) and m.p > 0 for m in modules)
    thinned = any(isinstance(m, StochasticDepthConnection) and m.survival < 1 for m in modules)
    return (*(["dropout"] if dropped else []), *(["stochastic depth"] if thinned else []))


def _draw_apart(network: nn.Module) -> None:
    """Let the blocks of a user's own network, which know no place, be dropped one by one."""
    dropped = (m for m in network.modules() if isinstance(m, StochasticDepthConnection))
    for lane, connection in enumerate(dropped):
        connection.lane = lane
