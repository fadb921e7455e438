"""Shortcuts: the identity across a change of shape.

A shortcut is what a connection carries where width or resolution change: padded with zeros (option
A, no parameters) or projected by a 1×1 convolution (option B). Neither cuts the gradient.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from torch import nn
from torch.nn.functional import pad

from skipwise.layers import batch_norm, pointwise
from skipwise.shapes import Place, Stream


class Shortcut(ABC):
    """The frozen choice of a shortcut."""

    @abstractmethod
    def build(self, place: Place) -> nn.Module | None:
        """Make the shortcut for one place, or None where the identity fits."""


@dataclass(frozen=True, kw_only=True)
class Padded(Shortcut):
    """Option A: take every ``stride``-th position and pad the new channels with zeros.

    Args:
        side: Where the zeros go: ``"end"``, or ``"both"`` for half on each side. Weights are
            exchangeable between the two, outputs are not.
    """

    side: str = "end"

    def __post_init__(self):
        if self.side not in ("end", "both"):
            raise ValueError(f"side must be 'end' or 'both', got {self.side!r}")

    def build(self, place: Place) -> nn.Module | None:
        """Make it where the shape changes.

        Raises:
            ValueError: If the block narrows the stream.
        """
        if not place.changes_shape:
            return None
        added = place.width_out - place.width_in
        if added < 0:
            raise ValueError(
                f"a padded shortcut cannot narrow {place.width_in} to {place.width_out};"
                " use Projected()"
            )
        before = added // 2 if self.side == "both" else 0
        return PaddedShortcut(before, added - before, stride=place.stride)


@final
class PaddedShortcut(nn.Module):
    """``x[:, :, ::stride, …]`` with ``before`` and ``after`` channels of zeros around it.

    Args:
        before: Channels of zeros in front.
        after: Channels of zeros behind.
        stride: Distance of the positions that are kept.

    Source: He et al. (2015), section 3.3, option (A).
    """

    def __init__(self, before: int, after: int, *, stride: int = 1):
        super().__init__()
        self.before, self.after, self.stride = before, after, stride

    def forward(self, x: Stream) -> Stream:
        """Subsample and pad."""
        space = x.dim() - 2
        kept = x[(slice(None), slice(None), *[slice(None, None, self.stride)] * space)]
        return pad(kept, (0, 0) * space + (self.before, self.after))


@dataclass(frozen=True, kw_only=True)
class Projected(Shortcut):
    """Option B: a 1×1 convolution, and a norm, where the shape changes.

    Args:
        norm: Whether BatchNorm follows; pre-activation networks leave it out.
    """

    norm: bool = True

    def build(self, place: Place) -> nn.Module | None:
        """Make it where the shape changes."""
        return ProjectedShortcut(place, norm=self.norm) if place.changes_shape else None


@final
class ProjectedShortcut(nn.Module):
    """``N(W·x)``, W a 1×1 convolution with the block's stride.

    Args:
        place: Widths, stride and dimensions.
        norm: Whether N is BatchNorm or nothing.

    Source: He et al. (2015), section 3.3, option (B), eq. 2.
    """

    def __init__(self, place: Place, *, norm: bool = True):
        super().__init__()
        self.conv = pointwise(place, bias=False)
        self.norm = batch_norm(place.width_out, place.dimensions) if norm else nn.Identity()

    def forward(self, x: Stream) -> Stream:
        """Project."""
        return self.norm(self.conv(x))
