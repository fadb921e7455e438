"""The networks for small images: ResNets of He et al. (2015), section 4.2, and their plain twins.

Depth is 6n + 2 weighted layers for n blocks a stage. The twin has the same layers and, with
shortcut A, exactly the same parameters; it lacks the sum.
"""

from skipwise.branches import PreActivation
from skipwise.connections import Plain
from skipwise.networks.resnet import ResNet


def _small(name: str, depth: int) -> ResNet:
    return ResNet(name=name, blocks=((depth - 2) // 6,) * 3)


def _plain(name: str, depth: int) -> ResNet:
    return ResNet(name=name, blocks=((depth - 2) // 6,) * 3, connection=Plain())


def _preactivated(name: str, depth: int) -> ResNet:
    return ResNet(name=name, blocks=((depth - 2) // 6,) * 3, branch=PreActivation())


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
