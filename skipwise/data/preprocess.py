"""From a raw input to what the network reads; it travels with the weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from skipwise.data.placing import moved
from skipwise.shapes import Index

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """``(x − mean) / std`` per channel (or feature), and for pictures the size they are brought to.

    Args:
        channels: 1 for grey, 3 for colour; the number of features for vectors.
        size: Height and width of a picture; empty for anything else.
        mean: Per channel, in the units of the raw input (0 … 255 for pictures in uint8).
        std: Per channel, likewise.
        target_mean: What is taken from targets that are numbers.
        target_scale: What they are then divided by (255 where pictures in uint8 are the target).
    """

    channels: int
    size: tuple[int, ...] = ()
    mean: tuple[float, ...]
    std: tuple[float, ...]
    target_mean: float = 0.0
    target_scale: float = 1.0

    def scaled(self, targets: Tensor) -> Tensor:
        """Give targets as the network learns them."""
        return (targets.float() - self.target_mean) / self.target_scale

    def unscaled(self, outputs: Tensor) -> Tensor:
        """Give outputs in the units of the targets."""
        return outputs * self.target_scale + self.target_mean

    def __call__(self, inputs: Tensor) -> Tensor:
        """Normalise a batch, shape ``(batch, channels, *space)``, to float32.

        Grey pictures are repeated to the channels that the network reads.
        """
        if inputs.dim() == 4 and inputs.shape[1] == 1:
            inputs = inputs.expand(-1, self.channels, -1, -1)
        shape = (1, -1) + (1,) * (inputs.dim() - 2)
        scale = 1 / torch.tensor(self.std)
        offset = torch.tensor(self.mean) * scale
        scale, offset = (moved(value.view(shape), inputs.device) for value in (scale, offset))
        return inputs.float() * scale - offset


def imagenet_preprocessing(size: tuple[int, ...], *, halves: bool = False) -> Preprocessing:
    """Give what the networks of torchvision, timm and akamaster read, from pictures in uint8.

    Args:
        size: Height and width that pictures are brought to.
        halves: Whether mean and deviation are one half in every channel, as in timm's resnetv2.

    Source: mean and standard deviation of ImageNet's channels, as torchvision's recipes give them
    for pictures in 0 … 1; here times 255. Halves: timm's ``IMAGENET_INCEPTION_MEAN``.
    """
    mean, std = ((0.5,) * 3,) * 2 if halves else (IMAGENET_MEAN, IMAGENET_STD)
    return Preprocessing(
        channels=3,
        size=size,
        mean=tuple(255 * value for value in mean),
        std=tuple(255 * value for value in std),
    )


def few_at_once(inputs: Tensor, rows: Index | None, count: int) -> Iterator[Tensor]:
    """Yield inputs, ``count`` at a time: a copy of all of them might not fit into memory."""
    if rows is None:
        yield from inputs.split(count)
    else:
        yield from (inputs[some] for some in rows.split(count))


def fit_preprocessing(
    inputs: Tensor, rows: Index | None = None, *, size: tuple[int, ...] = ()
) -> Preprocessing:
    """Take mean and standard deviation per channel from the training examples.

    A channel that never changes is only centred.

    Args:
        inputs: Raw, shape ``(examples, channels, *space)``.
        rows: Which of them count; all if None.
        size: Height and width of pictures.
    """
    some = max((1 << 22) // max(inputs[0].numel(), 1), 1)  # all of them would not fit as float64
    count = (len(inputs) if rows is None else len(rows)) * inputs[0, 0].numel()

    def columns() -> Iterator[Tensor]:
        parts = few_at_once(inputs, rows, some)
        return (part.transpose(0, 1).flatten(1).double() for part in parts)

    mean = torch.as_tensor(sum(part.sum(1) for part in columns())) / count
    square = sum(((part - mean[:, None]) ** 2).sum(1) for part in columns()) / count
    std = torch.as_tensor(square).sqrt()
    std = torch.where(std > 1e-12, std, torch.ones_like(std))
    rounded = [
        tuple(round(v, 9) if abs(v) > 1e-3 else float(f"{v:.6g}") for v in column.tolist())
        for column in (mean, std)
    ]
    return Preprocessing(channels=inputs.shape[1], size=size, mean=rounded[0], std=rounded[1])
