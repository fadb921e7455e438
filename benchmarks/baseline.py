"""What Skipwise is measured against: training written the usual way, pinned.

float32, contiguous tensors, eager mode, torch's DataLoader, Adam with cross-entropy, the loss read
in every step; torchvision's model, and for ResNet-20 one as textbooks write it. Nothing here is of
ours, and nothing here follows when ours gets faster.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18, resnet50


class BasicBlock(nn.Module):
    """Two convolutions, and the sum; the shortcut is a projection where the shape changes."""

    def __init__(self, width_in: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or width_in != width:
            convolution = nn.Conv2d(width_in, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Compute relu(F(x) + shortcut(x))."""
        out = functional.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return functional.relu(out)


class ResNet20(nn.Module):
    """Three stages of three blocks, of widths 16, 32 and 64, for small pictures."""

    def __init__(self, channels: int = 3, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths, blocks, before = (16, 32, 64), [], 16
        for width in widths:
            for index in range(3):
                stride = 2 if index == 0 and width != 16 else 1
                blocks.append(BasicBlock(before, width, stride))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits, shape ``(batch, classes)``."""
        out = functional.relu(self.bn1(self.conv1(x)))
        out = functional.adaptive_avg_pool2d(self.blocks(out), 1)
        return self.fc(torch.flatten(out, 1))


def usual_model(name: str, channels: int, classes: int) -> nn.Module:
    """Make ``resnet20``, ``resnet18`` or ``resnet50``."""
    if name == "resnet20":
        return ResNet20(channels, classes)
    model = {"resnet18": resnet18, "resnet50": resnet50}[name](num_classes=classes)
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return model


def normalised(images: Tensor) -> Tensor:
    """Turn uint8 pictures into floats of mean 0 and deviation 1."""
    scaled = images.float() / 255
    return (scaled - scaled.mean()) / scaled.std()


def usual_loader(inputs: Tensor, targets: Tensor, *, batch: int, workers: int = 0) -> DataLoader:
    """Make the shuffled loader over tensors in memory."""
    return DataLoader(
        TensorDataset(inputs, targets),
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )


def usual_steps(
    model: nn.Module, loader: DataLoader, rate: float = 1e-3, device: str = "cpu"
) -> Iterator[float]:
    """Train for ever with Adam, yielding the loss of every step."""
    model.to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    criterion = nn.CrossEntropyLoss()
    while True:
        model.train()
        for inputs, targets in loader:
            inputs, targets = inputs.to(device), targets.to(device)
            optimiser.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimiser.step()
            yield loss.item()
