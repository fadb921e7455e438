"""The program of the article "Optimisation strategies of residual networks", made to work.

It trains a residual network on one batch of random data, 64 × 3 × 224 × 224 with 10 classes, by
Adam with rate 0.001 and cross-entropy, for 10 steps, and prints the loss of each. The article's own
listing does not run, or does not do what its text says, in three places, which are put right here:

* its "residual blocks" only stack layers and add nothing: here every block computes y = F(x) + x;
* the channels of its convolutions do not fit each other, nor the input of its fully connected layer
  to its pooling: here a stage doubles the width, the shortcut is projected where it does, and the
  mean over space feeds the last layer;
* its labels are random numbers of the wrong shape and type for cross-entropy: here they are class
  indices, shape (64,).

On random labels there is nothing to learn but the batch itself: the loss falls because the network
memorises it. Run it: ``python examples/article.py``. On two cores a step takes some seconds.
"""

import torch
from torch import nn

from skipwise import Residual


class Shrinking(nn.Sequential):
    """F of a block that may halve the resolution and widen: 3×3, norm, ReLU, 3×3, norm."""

    def __init__(self, width_in: int, width_out: int, stride: int):
        super().__init__(
            nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width_out),
            nn.ReLU(),
            nn.Conv2d(width_out, width_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(width_out),
        )


def stage(width_in: int, width_out: int, stride: int) -> nn.Sequential:
    """Two residual blocks; the first changes the shape, so its shortcut is a projection."""
    shortcut = None
    if stride != 1 or width_in != width_out:
        shortcut = nn.Conv2d(width_in, width_out, 1, stride=stride, bias=False)
    return nn.Sequential(
        Residual(Shrinking(width_in, width_out, stride), shortcut=shortcut, activation=nn.ReLU()),
        Residual(Shrinking(width_out, width_out, 1), activation=nn.ReLU()),
    )


def article_network(classes: int = 10) -> nn.Sequential:
    """The article's network: convolution, pooling, residual blocks, a fully connected layer."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        stage(32, 32, 1),
        stage(32, 64, 2),
        stage(64, 128, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, classes),
    )


def main(steps: int = 10, batch: int = 64, side: int = 224) -> list[float]:
    """Train on one random batch and give the loss of every step."""
    torch.manual_seed(0)
    images = torch.randn(batch, 3, side, side)
    labels = torch.randint(10, (batch,))
    network, loss_of = article_network(), nn.CrossEntropyLoss()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.001)
    losses = []
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        loss = loss_of(network(images), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        print(f"step {step:2d}  loss {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    main()
