"""The named networks for large images, as torchvision and the papers have them.

Their stem is chosen by the size of the input: the ImageNet stem from 96 pixels on, the small-image
stem below, so the same name serves both. Where a paper's network and torchvision's differ (the
stride of the bottleneck), ``v1`` is the paper's.
"""

from dataclasses import replace

from skipwise.branches import Bottleneck, FixupBottleneck, PreActivationBottleneck
from skipwise.connections import Pooled, Projected
from skipwise.networks.resnet import ResNet
from skipwise.networks.stem import AutoStem, LargeStem

IMAGENET = ResNet(name="", blocks=(2, 2, 2, 2), width=64, stem=AutoStem(), shortcut=Projected())


def resnet18() -> ResNet:
    """ResNet-18: 11.7 million parameters; 69.76 % top-1 on ImageNet (torchvision)."""
    return replace(IMAGENET, name="resnet18")


def resnet10_w32() -> ResNet:
    """ResNet-10 of width 32: 1.2 million parameters for ten classes; the recipes' network."""
    return replace(IMAGENET, name="resnet10_w32", blocks=(1, 1, 1, 1), width=32)


def resnet18_w32() -> ResNet:
    """ResNet-18 of width 32 behind the ImageNet stem at any size: 2.8 million parameters."""
    return replace(IMAGENET, name="resnet18_w32", width=32, stem=LargeStem())


def resnet34() -> ResNet:
    """ResNet-34: 21.8 million parameters; 73.31 % top-1 on ImageNet (torchvision)."""
    return replace(IMAGENET, name="resnet34", blocks=(3, 4, 6, 3))


def resnet50() -> ResNet:
    """ResNet-50 v1.5 (stride on the 3×3): 25.6 million parameters; 76.13 % top-1 (torchvision)."""
    return replace(IMAGENET, name="resnet50", blocks=(3, 4, 6, 3), branch=Bottleneck())


def resnet101() -> ResNet:
    """ResNet-101 v1.5: 44.5 million parameters; 77.37 % top-1 (torchvision)."""
    return replace(resnet50(), name="resnet101", blocks=(3, 4, 23, 3))


def resnet152() -> ResNet:
    """ResNet-152 v1.5: 60.2 million parameters; 78.31 % top-1 (torchvision)."""
    return replace(resnet50(), name="resnet152", blocks=(3, 8, 36, 3))


def _v1(network: ResNet) -> ResNet:
    return replace(network, name=f"{network.name}_v1", branch=Bottleneck(stride_first=True))


def resnet50_v1() -> ResNet:
    """ResNet-50 as in the paper (stride on the first 1×1): 24.7 % top-1 error, one crop."""
    return _v1(resnet50())


def resnet101_v1() -> ResNet:
    """ResNet-101 as in the paper: 23.6 % top-1 error, one crop."""
    return _v1(resnet101())


def resnet152_v1() -> ResNet:
    """ResNet-152 as in the paper: 23.0 % top-1 error, one crop."""
    return _v1(resnet152())


def resnet50_d() -> ResNet:
    """ResNet-50-D: deep stem, pooled shortcuts; 25.6 million parameters."""
    stem = AutoStem(large=LargeStem(deep=True))
    return replace(resnet50(), name="resnet50_d", stem=stem, shortcut=Pooled())


def resnext50_32x4d() -> ResNet:
    """ResNeXt-50 32×4d: 25.0 million parameters; 77.62 % top-1 (torchvision)."""
    branch = Bottleneck(groups=32, group_width=4)
    return replace(resnet50(), name="resnext50_32x4d", branch=branch)


def wide_resnet50_2() -> ResNet:
    """Wide ResNet-50-2: twice the inner width, 68.9 million parameters; 78.47 % (torchvision)."""
    return replace(resnet50(), name="wide_resnet50_2", branch=Bottleneck(group_width=128))


def resnetv2_50() -> ResNet:
    """ResNetV2-50, pre-activation: 25.5 million parameters; projections without norm."""
    return replace(
        resnet50(),
        name="resnetv2_50",
        branch=PreActivationBottleneck(stride_first=False),
        shortcut=Projected(norm=False),
    )


def fixup_resnet50() -> ResNet:
    """ResNet-50 without norms, started by Fixup: 25.5 million parameters; set clip_norm=1."""
    return replace(
        resnet50(),
        name="fixup_resnet50",
        branch=FixupBottleneck(),
        shortcut=Projected(norm=False),
    )
