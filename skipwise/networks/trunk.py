"""The trunk owns the depth: ``for block in blocks: stream = block(stream)``.

A block is one connection, one branch and the activation after the sum, or none. The stream may be
one tensor or the state of a many-stream connection; the connection says how it is made from the
stem's output and how it ends.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import final

from torch import nn

from skipwise.branches import Branch, Zero
from skipwise.connections import ConnectionDescription, Shortcut, Skip
from skipwise.shapes import AnyStream, Place, Stream


@final
class Block(nn.Module):
    """``φ(connection(stream, branch))``.

    Args:
        connection: How the branch joins the stream.
        branch: What is computed off the stream.
        activation: φ, the activation after the sum, or None.
        place: Where the block stands.
    """

    def __init__(
        self, connection: nn.Module, branch: nn.Module, activation: nn.Module | None, place: Place
    ):
        super().__init__()
        self.connection = connection
        self.branch = branch
        self.activation = nn.Identity() if activation is None else activation
        self.place = place

    def forward(self, stream: AnyStream) -> AnyStream:
        """Give the stream after the block."""
        return self.activation(self.connection(stream, self.branch))

    def without_branch(self) -> "Block":
        """Give the lesion: the same connection with the branch that gives zeros."""
        return Block(self.connection, Zero(self.place), self.activation, self.place)


@final
class Trunk(nn.Module):
    """Blocks, one after the other, between the entry and the exit of the connection's state.

    Args:
        blocks: The blocks.
        connection: The description whose ``expand`` and ``collapse`` stand at the ends.
        norm: What follows the last block (the activation of a pre-activation network), or None.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        connection: ConnectionDescription,
        norm: nn.Module | None = None,
    ):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.Identity() if norm is None else norm
        self.description = connection

    def forward(self, x: Stream) -> Stream:
        """Pass the stem's output through all blocks."""
        stream = self.description.expand(x)
        for block in self.blocks:
            stream = block(stream)
        return self.norm(self.description.collapse(stream))

    def states(self, x: Stream) -> Iterator[AnyStream]:
        """Yield the stream before the first block and after every block."""
        stream = self.description.expand(x)
        yield stream
        for block in self.blocks:
            stream = block(stream)
            yield stream

    def without(self, lesions: Collection[int]) -> "Trunk":
        """Give the trunk whose blocks of these indices lost their branch; the rest is shared.

        Source: Veit et al. (2016), section 4.1, where whole branches are removed at test time.
        """
        kept = [
            b.without_branch() if n in lesions else b
            for n, b in enumerate(self.blocks)
            if isinstance(b, Block)
        ]
        return Trunk(kept, self.description, self.norm)


def build_trunk(
    places: Sequence[Place], branch: Branch, connection: ConnectionDescription, shortcut: Shortcut
) -> Trunk:
    """Join branches, connections and shortcuts at their places."""
    blocks = [build_block(place, branch, connection, shortcut) for place in places]
    return Trunk(blocks, connection, branch.end(places[-1]))


def build_block(
    place: Place, branch: Branch, connection: ConnectionDescription, shortcut: Shortcut
) -> Block:
    """Join one branch, one connection and one shortcut at one place."""
    # He et al. (2016): the first activation stands before the stream splits; the skip carries it.
    carries = branch.preactivated and place.index == 0
    skip = Skip(branch.before(place), shortcut.build(place), carries_norm=carries)
    inner = branch.build(connection.branch_place(place))
    return Block(connection.build(place, skip), inner, branch.after(), place)
