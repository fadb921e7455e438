"""Networks: stem → trunk → head.

Takes a description and the two ends that the data ask for, gives a module.
Imports connections, branches, layers, shapes and description.
"""

from skipwise.networks.image import (
    plain20,
    plain32,
    plain44,
    plain56,
    plain110,
    plain1202,
    preresnet20,
    preresnet110,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    resnet1202,
)
from skipwise.networks.network import Network, NetworkDescription, build_network
from skipwise.networks.objective import (
    FullyConvolutional,
    Linear,
    Outermost,
    ResidualMLP,
    mlp,
    residual_convolutional,
    residual_linear,
    residual_mlp,
)
from skipwise.networks.residual import Residual
from skipwise.networks.resnet import ResNet, initialise_he
from skipwise.networks.size import Row, Size, measure_size
from skipwise.networks.trunk import Block, Trunk, build_block, build_trunk

__all__ = [
    "Block",
    "FullyConvolutional",
    "Linear",
    "Network",
    "NetworkDescription",
    "Outermost",
    "ResNet",
    "Residual",
    "ResidualMLP",
    "Row",
    "Size",
    "Trunk",
    "build_block",
    "build_network",
    "build_trunk",
    "initialise_he",
    "measure_size",
    "mlp",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "plain1202",
    "preresnet20",
    "preresnet110",
    "residual_convolutional",
    "residual_linear",
    "residual_mlp",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet1202",
]
