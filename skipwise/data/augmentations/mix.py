"""Mixing: two examples become one, and so do their targets.

The partner of an example is the one that stands opposite in the batch; batches are random, so it is
a random one.
"""

from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor

from skipwise.data.augmentations.augmentation import LANE, Draw, Mixing, check_share
from skipwise.randomness import uniform


@dataclass(frozen=True, kw_only=True)
class Mixup(Mixing):
    """x ← λx + (1 − λ)x′ and y ← λy + (1 − λ)y′, with λ from Beta(α, α), one for each example.

    Args:
        alpha: α; the greater, the more evenly two examples are mixed.
        probability: That an example is mixed at all.

    Source: Zhang et al. (2018), "mixup: Beyond empirical risk minimization", eq. 1.
    """

    alpha: float = 0.2
    probability: float = 1.0
    needs_pictures = False

    def __post_init__(self):
        _check(self.alpha, self.probability)

    def mix(self, inputs: Tensor, targets: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Mix each with its partner."""
        share = _shares(self.alpha, self.probability, draw, lane=16)
        return _blend(inputs.float(), share), _blend(targets, share)


@dataclass(frozen=True, kw_only=True)
class CutMix(Mixing):
    """A box of the partner's picture takes the place of this one's; targets mix by area.

    The box has the share 1 − λ of the area, λ from Beta(α, α), and is cut at the picture's edge.

    Args:
        alpha: α.
        probability: That a picture gets a box.

    Source: Yun et al. (2019), "CutMix", section 3.1, eq. 1 and 2, λ from the pixels that stay.
    """

    alpha: float = 1.0
    probability: float = 1.0
    needs_pictures = True

    def __post_init__(self):
        _check(self.alpha, self.probability)

    def mix(self, inputs: Tensor, targets: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Paste the boxes."""
        height, width = inputs.shape[2:]
        side = (1 - _shares(self.alpha, self.probability, draw, lane=18)).sqrt()
        spans = []
        for length, lane in ((height, 20), (width, 21)):
            middle = (draw.uniform(lane) * length).long()
            half = (side * length / 2).round().long()
            start, end = (middle - half).clamp(min=0), (middle + half).clamp(max=length)
            position = torch.arange(length, device=inputs.device)
            spans.append((position >= start[:, None]) & (position < end[:, None]))
        box = spans[0][:, None, :, None] & spans[1][:, None, None, :]
        share = 1 - box.float().mean(dim=(1, 2, 3))
        return torch.where(box, inputs.flip(0), inputs), _blend(targets, share)


def _check(alpha: float, probability: float) -> None:
    if alpha <= 0:
        raise ValueError(f"alpha must be positive, got {alpha}; to mix nothing, leave it out")
    check_share("probability", probability)


def _shares(alpha: float, probability: float, draw: Draw, *, lane: int) -> Tensor:
    """Draw λ per example, 1 for those that stay unmixed."""
    quantiles = uniform(draw.keys, LANE + lane).double().numpy()
    share = draw.placed(torch.from_numpy(betaincinv(alpha, alpha, quantiles)).float())
    return torch.where(draw.uniform(lane + 1) < probability, share, torch.ones_like(share))


def _blend(values: Tensor, share: Tensor) -> Tensor:
    share = share.view(-1, *(1,) * (values.dim() - 1))
    return share * values + (1 - share) * values.flip(0)
