"""Views at test time: the same pictures seen several times, and the outputs averaged."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from skipwise.data.augmentations import Augmentation, Mixing
from skipwise.description import nearest
from skipwise.shapes import Ends

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Views:
    """Which views of a picture the network is shown when it is used.

    With ``shift`` there are three positions, the picture itself with weight ½ and the picture moved
    by ``shift`` pixels to the upper left and to the lower right with weight ¼ each; with ``flip``
    each is seen as it is and mirrored.

    Args:
        flip: Whether the mirror image is shown too.
        shift: Pixels; 0 shows the picture in its place only.

    Source: Krizhevsky et al. (2012), section 4.1 (averaging over crops and mirror images); the
    positions and weights are those of Jordan (2024), section 3.5.
    """

    flip: bool = True
    shift: int = 0

    def __post_init__(self):
        if self.shift < 0:
            raise ValueError(f"shift must not be negative, got {self.shift}")
        if not self.flip and not self.shift:
            raise ValueError("a single view is what is shown anyway; leave the views out")

    def of(self, inputs: Tensor) -> Iterator[tuple[float, Tensor]]:
        """Yield the weight and the inputs of each view, shape ``(batch, channels, *space)``.

        Raises:
            ValueError: If the inputs are no pictures, or smaller than the shift.
        """
        if inputs.dim() != 4:
            raise ValueError(
                f"views show pictures mirrored or moved; examples of shape"
                f" {tuple(inputs.shape[1:])} have none, so leave the views out"
            )
        placed = [(1.0, inputs)]
        if self.shift:
            placed = [(0.5, inputs)] + [(0.25, moved) for moved in _moved(inputs, self.shift)]
        for weight, view in placed:
            if self.flip:
                yield weight / 2, view
                yield weight / 2, view.flip(3)
            else:
                yield weight, view


VIEWS = {"none": None, "flip": Views(), "crops": Views(shift=2)}


def find_views(given: Views | str | None) -> Views | None:
    """Turn ``flip``, ``crops`` or ``none`` into the views that are shown; a description stays.

    Raises:
        ValueError: If it is none of these.
    """
    if given is None or isinstance(given, Views):
        return given
    if not isinstance(given, str) or given not in VIEWS:
        raise ValueError(f"there are no views {given!r}{nearest(str(given), VIEWS)}")
    return VIEWS[given]


def mean_over_views(network: Network, inputs: Tensor, views: Views | None) -> Tensor:
    """Average a network's outputs over the views of its inputs."""
    if views is None:
        return network(inputs)
    outputs = [weight * network(view).float() for weight, view in views.of(inputs)]
    return torch.stack(outputs).sum(0)


def _moved(inputs: Tensor, shift: int) -> list[Tensor]:
    height, width = inputs.shape[2:]
    if shift >= min(height, width):
        raise ValueError(
            f"views cannot move a picture of {height}×{width} pixels by {shift}; set a smaller"
            " shift"
        )
    mirrored = pad(inputs, (shift,) * 4, mode="reflect")
    return [mirrored[:, :, a : a + height, a : a + width] for a in (0, 2 * shift)]


def check_pictures(
    augmentation: Sequence[Augmentation | Mixing], views: Views | None, ends: Ends
) -> None:
    """See that what changes pictures is given pictures, whose targets need not move with them.

    Raises:
        ValueError: If examples of this shape are none, or targets have several axes, which may be
            places.
    """
    shape, targets = ends.inputs, ends.outputs
    of_pictures = [a for a in augmentation if isinstance(a, Augmentation) or a.needs_pictures]
    moving = [a for a in of_pictures if isinstance(a, Mixing) or a.moves]
    if len(shape) == 3 and len(targets) > 1 and (moving or views is not None):
        what = type(moving[0]).__name__ if moving else "views"
        raise ValueError(
            f"{what} would move what is in a picture and leave its target, of shape {targets}, as"
            " it is; leave it out, or change both in a data set of your own"
        )
    if len(shape) == 3:
        return
    if of_pictures:
        raise ValueError(
            f"{type(of_pictures[0]).__name__} changes pictures, but examples have shape {shape}"
        )
    if views is not None:
        raise ValueError(f"views are of pictures, but examples have shape {shape}")
