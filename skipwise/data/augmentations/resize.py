"""Progressive resizing: small pictures at first, which cost less, the full size at the end."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import interpolate

from skipwise.data.augmentations.augmentation import Augmentation, Draw


@dataclass(frozen=True, kw_only=True)
class ProgressiveResize(Augmentation):
    """Shrink the pictures to a share of their sides that grows linearly to 1.

    Args:
        start: Share of the sides at the run's start.
        until: Share of the run after which pictures have their full size.
        multiple: Sides are rounded to multiples of this many pixels.

    Source: Howard et al. (2018), the DAWNBench entry of fast.ai.
    """

    start: float = 0.5
    until: float = 0.7
    multiple: int = 4

    def __post_init__(self):
        for name, value in (("start", self.start), ("until", self.until)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} must lie in (0, 1], got {value}")
        if self.multiple < 1:
            raise ValueError(f"multiple must be positive, got {self.multiple}")

    def sides(self, height: int, width: int, progress: float) -> tuple[int, int]:
        """Give the sides at a point of the run."""
        share = min(self.start + (1 - self.start) * progress / self.until, 1.0)
        if share >= 1:
            return height, width
        small = (
            max(round(side * share / self.multiple) * self.multiple, self.multiple)
            for side in (height, width)
        )
        return min(next(small), height), min(next(small), width)

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Shrink all of them alike."""
        sides = self.sides(pictures.shape[2], pictures.shape[3], draw.progress)
        if sides == tuple(pictures.shape[2:]):
            return pictures
        if pictures.device.type == "cpu" or pictures.is_floating_point():
            return interpolate(pictures, sides, mode="bilinear", antialias=True)
        # A GPU shrinks floating point only.
        small = interpolate(pictures.float(), sides, mode="bilinear", antialias=True)
        return small.round().to(pictures.dtype)
