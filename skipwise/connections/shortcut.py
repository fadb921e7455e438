"""Shortcuts: the identity across a change of shape.

A shortcut is what a connection carries where width or resolution change: padded with zeros (option
A, no parameters) or projected by a 1×1 convolution (option B). Neither cuts the gradient.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

from torch import nn
from torch.nn.functional import pad

from skipwise.layers import average_pool, batch_norm, pointwise
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
    """Option B: a 1×1 convolution, and a norm, where the shape changes; option C: everywhere.

    Args:
        norm: Whether BatchNorm follows; pre-activation networks leave it out.
        everywhere: Whether blocks that keep the shape are projected too (C).
    """

    norm: bool = True
    everywhere: bool = False

    def build(self, place: Place) -> nn.Module | None:
        """Make it where it is due."""
        if self.everywhere or place.changes_shape:
            return ProjectedShortcut(place, norm=self.norm)
        return None


@dataclass(frozen=True, kw_only=True)
class Pooled(Shortcut):
    """Option D: an average over the positions that a stride would drop, then the projection."""

    def build(self, place: Place) -> nn.Module | None:
        """Make it where the shape changes."""
        return ProjectedShortcut(place, pooled=True) if place.changes_shape else None


@final
class ProjectedShortcut(nn.Module):
    """``N(W·x)``, W a 1×1 convolution with the block's stride; pooled: ``N(W·mean(x))``.

    Args:
        place: Widths, stride and dimensions.
        norm: Whether N is BatchNorm or nothing.
        pooled: Whether a mean over ``stride`` positions stands in for the stride; at the edge the
            mean is over the positions that are there.

    Source: He et al. (2015), section 3.3, options (B) and (C), eq. 2; pooled: He et al. (2019),
    "Bag of tricks", figure 2 (c).
    """

    def __init__(self, place: Place, *, norm: bool = True, pooled: bool = False):
        super().__init__()
        self.pooled = pooled
        pools = pooled and place.stride > 1
        self.pool = average_pool(place.stride, place.dimensions) if pools else nn.Identity()
        self.conv = pointwise(replace(place, stride=1) if pooled else place, bias=False)
        self.norm = batch_norm(place.width_out, place.dimensions) if norm else nn.Identity()

    def forward(self, x: Stream) -> Stream:
        """Project."""
        return self.norm(self.conv(self.pool(x)))
