"""Stems: from the input to the stream; a small picture keeps its resolution."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, final

from torch import nn

from skipwise.layers import NormActivation, convolution, max_pool
from skipwise.shapes import Ends, Stream

LARGE = 96  # a side from which the ImageNet stem is the better choice
Activation: TypeAlias = Callable[[int, int], nn.Module]  # of width and dimensions


class StemDescription(ABC):
    """The frozen choice of a stem."""

    @abstractmethod
    def build(
        self, ends: Ends, width: int, *, activated: bool, activation: Activation = NormActivation
    ) -> nn.Module:
        """Make the stem; an activation ends it unless the blocks begin with their own."""

    @abstractmethod
    def stride(self, ends: Ends) -> int:
        """Say by what it divides the resolution."""

    def chosen(self, ends: Ends) -> "StemDescription":
        """Give the stem that is built for these ends."""
        return self

    @property
    @abstractmethod
    def words(self) -> str:
        """Say what it is."""


@dataclass(frozen=True, kw_only=True)
class SmallStem(StemDescription):
    """One 3×3 convolution: for pictures of about 32 pixels.

    Args:
        step: Stride of the convolution; with 2 every block sees half the resolution, at a quarter
            of the cost, for where time counts more than the last percent.

    Source: He et al. (2015), section 4.2, with step 1.
    """

    step: int = 1

    def __post_init__(self):
        if self.step < 1:
            raise ValueError(f"step must be positive, got {self.step}")

    def build(
        self, ends: Ends, width: int, *, activated: bool, activation: Activation = NormActivation
    ) -> nn.Module:
        """Make it."""
        return Stem(
            ends.inputs[0],
            (width,),
            stride=self.step,
            dimensions=len(ends.inputs) - 1,
            activated=activated,
            activation=activation,
        )

    def stride(self, ends: Ends) -> int:
        """Give that of the convolution."""
        return self.step

    @property
    def words(self) -> str:
        """Say what it is."""
        resolution = "full resolution" if self.step == 1 else f"1/{self.step} of the resolution"
        return f"small-image stem (3×3, {resolution})"


@dataclass(frozen=True, kw_only=True)
class LargeStem(StemDescription):
    """A 7×7 convolution and a 3×3 max-pooling, both of stride 2: for pictures of about 224 pixels.

    Args:
        deep: Three 3×3 convolutions, half as wide at first, in place of the 7×7 (ResNet-C).

    Source: He et al. (2015), table 1; deep: He et al. (2019), "Bag of tricks", figure 2 (b).
    """

    deep: bool = False

    def build(
        self, ends: Ends, width: int, *, activated: bool, activation: Activation = NormActivation
    ) -> nn.Module:
        """Make it."""
        widths, size = ((width // 2, width // 2, width), 3) if self.deep else ((width,), 7)
        return Stem(
            ends.inputs[0],
            widths,
            size=size,
            stride=2,
            pools=True,
            dimensions=len(ends.inputs) - 1,
            activated=activated,
            activation=activation,
        )

    def stride(self, ends: Ends) -> int:
        """Divide by four."""
        return 4

    @property
    def words(self) -> str:
        """Say what it is."""
        return f"ImageNet stem ({'three 3×3' if self.deep else '7×7'}, a quarter of the resolution)"


@dataclass(frozen=True, kw_only=True)
class AutoStem(StemDescription):
    """The ImageNet stem where the shorter side has at least 96 positions, else the small one.

    Args:
        large: Which ImageNet stem.
    """

    large: LargeStem = field(default_factory=LargeStem)

    def chosen(self, ends: Ends) -> StemDescription:
        """Choose by the shorter side."""
        return self.large if min(ends.inputs[1:], default=0) >= LARGE else SmallStem()

    def build(
        self, ends: Ends, width: int, *, activated: bool, activation: Activation = NormActivation
    ) -> nn.Module:
        """Make the chosen one."""
        return self.chosen(ends).build(ends, width, activated=activated, activation=activation)

    def stride(self, ends: Ends) -> int:
        """Say that of the chosen one."""
        return self.chosen(ends).stride(ends)

    @property
    def words(self) -> str:
        """Say what it is."""
        return "a stem chosen by the size of the input"


@final
class Stem(nn.Module):
    """Convolutions, the first with a stride, then perhaps a max-pooling of stride 2.

    Args:
        channels: Of the input.
        widths: Of each convolution; between two stands an activation.
        size: Kernel.
        stride: Of the first convolution.
        pools: Whether a max-pooling ends it.
        dimensions: Of space.
        activated: Whether an activation ends it.
        activation: Makes it: norm and ReLU by default.
    """

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...],
        *,
        size: int = 3,
        stride: int = 1,
        pools: bool = False,
        dimensions: int = 2,
        activated: bool = True,
        activation: Activation = NormActivation,
    ):
        super().__init__()
        inner: list[nn.Module] = []
        before = channels
        for n, width in enumerate(widths[:-1]):
            step = stride if n == 0 else 1
            inner += [
                convolution(before, width, size=size, stride=step, dimensions=dimensions),
                activation(width, dimensions),
            ]
            before = width
        self.deep = nn.Sequential(*inner)
        last = stride if len(widths) == 1 else 1
        self.conv = convolution(before, widths[-1], size=size, stride=last, dimensions=dimensions)
        self.norm = activation(widths[-1], dimensions) if activated else nn.Identity()
        self.pool = max_pool(dimensions) if pools else nn.Identity()

    def forward(self, x: Stream) -> Stream:
        """Give the stream."""
        return self.pool(self.norm(self.conv(self.deep(x))))
