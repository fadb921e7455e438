"""The networks for small images: ResNets of He et al. (2015), section 4.2, and their plain twins.

Depth is 6n + 2 weighted layers for n blocks a stage. The twin has the same layers and, with
shortcut A, exactly the same parameters; it lacks the sum.
"""

from skipwise.branches import Fixup, PreActivation, PreActivationBottleneck
from skipwise.connections import Plain, Projected
from skipwise.networks.resnet import ResNet
from skipwise.networks.stem import SmallStem


def _small(name: str, depth: int) -> ResNet:
    return ResNet(name=name, blocks=((depth - 2) // 6,) * 3)


def _plain(name: str, depth: int) -> ResNet:
    return ResNet(name=name, blocks=((depth - 2) // 6,) * 3, connection=Plain())


def _preactivated(name: str, depth: int) -> ResNet:
    return ResNet(name=name, blocks=((depth - 2) // 6,) * 3, branch=PreActivation())


def _fixup(name: str, depth: int) -> ResNet:
    return ResNet(name=name, blocks=((depth - 2) // 6,) * 3, branch=Fixup())


def resnet8_w32() -> ResNet:
    """ResNet-8 of width 32 behind a strided stem: 0.31 million parameters, for the quickest runs.

    Three blocks of two convolutions with projections (B); a third of ResNet-20's multiply-adds.
    """
    return ResNet(
        name="resnet8_w32",
        blocks=(1, 1, 1),
        width=32,
        stem=SmallStem(step=2),
        shortcut=Projected(),
    )


def resnet20() -> ResNet:
    """ResNet-20: 0.27 million parameters; 8.75 % error on CIFAR-10 in the paper (table 6)."""
    return _small("resnet20", 20)


def resnet32() -> ResNet:
    """ResNet-32: 0.46 million parameters; 7.51 % error on CIFAR-10 in the paper (table 6)."""
    return _small("resnet32", 32)


def resnet44() -> ResNet:
    """ResNet-44: 0.66 million parameters; 7.17 % error on CIFAR-10 in the paper (table 6)."""
    return _small("resnet44", 44)


def resnet56() -> ResNet:
    """ResNet-56: 0.85 million parameters; 6.97 % error on CIFAR-10 in the paper (table 6)."""
    return _small("resnet56", 56)


def resnet110() -> ResNet:
    """ResNet-110: 1.7 million parameters; 6.43 % error on CIFAR-10 in the paper (table 6)."""
    return _small("resnet110", 110)


def resnet1202() -> ResNet:
    """ResNet-1202: 19.4 million parameters; 7.93 % error on CIFAR-10 in the paper (table 6)."""
    return _small("resnet1202", 1202)


def plain20() -> ResNet:
    """Make the twin of ResNet-20 without skips."""
    return _plain("plain20", 20)


def plain32() -> ResNet:
    """Make the twin of ResNet-32 without skips."""
    return _plain("plain32", 32)


def plain44() -> ResNet:
    """Make the twin of ResNet-44 without skips."""
    return _plain("plain44", 44)


def plain56() -> ResNet:
    """Make the twin of ResNet-56 without skips."""
    return _plain("plain56", 56)


def plain110() -> ResNet:
    """Make the twin of ResNet-110 without skips."""
    return _plain("plain110", 110)


def plain1202() -> ResNet:
    """Make the twin of ResNet-1202 without skips."""
    return _plain("plain1202", 1202)


def preresnet20() -> ResNet:
    """ResNet-20 with the activation before the convolutions (He et al. 2016)."""
    return _preactivated("preresnet20", 20)


def preresnet110() -> ResNet:
    """ResNet-110 with the activation first: 6.37 % error on CIFAR-10 (He et al. 2016, table 2)."""
    return _preactivated("preresnet110", 110)


def preresnet164() -> ResNet:
    """ResNet-164, pre-activation bottlenecks: 5.46 % error on CIFAR-10 (He et al. 2016)."""
    return _deep("preresnet164", 164)


def preresnet1001() -> ResNet:
    """ResNet-1001, pre-activation bottlenecks: 4.92 % error on CIFAR-10 (He et al. 2016)."""
    return _deep("preresnet1001", 1001)


def wide28_10() -> ResNet:
    """Wide ResNet 28-10: 36.5 million parameters; 4.00 % error on CIFAR-10 (authors)."""
    return _wide("wide28_10", 28, 10)


def wide16_8() -> ResNet:
    """Wide ResNet 16-8: 11.0 million parameters; 4.27 % error on CIFAR-10 (authors)."""
    return _wide("wide16_8", 16, 8)


def fixup20() -> ResNet:
    """ResNet-20 without norms, started by Fixup: 0.27 million parameters; set clip_norm=1."""
    return _fixup("fixup20", 20)


def fixup56() -> ResNet:
    """ResNet-56 without norms, started by Fixup: 0.85 million parameters; set clip_norm=1."""
    return _fixup("fixup56", 56)


def fixup110() -> ResNet:
    """ResNet-110 without norms, started by Fixup: 1.7 million parameters; set clip_norm=1."""
    return _fixup("fixup110", 110)


def _deep(name: str, depth: int) -> ResNet:
    branch, shortcut = PreActivationBottleneck(), Projected(norm=False)
    return ResNet(name=name, blocks=((depth - 2) // 9,) * 3, branch=branch, shortcut=shortcut)


def _wide(name: str, depth: int, factor: int) -> ResNet:
    return ResNet(
        name=name,
        blocks=((depth - 4) // 6,) * 3,
        width=16 * factor,
        stem_width=16,
        branch=PreActivation(),
        shortcut=Projected(norm=False),
    )
