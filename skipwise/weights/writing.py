"""Writing for other libraries: a file that torchvision or timm loads, and computes the same with.

Names and shapes are not enough: a network whose formula differs where no tensor shows it (the
stride of a bottleneck, zeros beside a shortcut, a missing sum) is refused.
"""

import io
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from skipwise.branches import BottleneckBranch, PreActivationBottleneckBranch
from skipwise.connections import AdditiveConnection, PaddedShortcut, Skip
from skipwise.files import write_atomic
from skipwise.layers import NormActivation
from skipwise.networks import Network
from skipwise.weights.families import CARRIES_RAW
from skipwise.weights.file import on_their_own
from skipwise.weights.names import (
    blocks_by_stage,
    names_of_cifar,
    names_of_timm_v2,
    names_of_torchvision,
    to_theirs,
)

LIBRARIES = {"torchvision": 4, "timm": 4, "cifar": 3}  # with the number of their stages


def save_as(path: str | Path, network: nn.Module, library: str) -> None:
    """Write a network's tensors under another library's names, whole or not at all.

    Args:
        path: The file, ``.pth`` or ``.safetensors``.
        network: Ours.
        library: ``"torchvision"``, ``"timm"`` or ``"cifar"`` (akamaster's networks).

    Raises:
        ValueError: If the library has no such network, or the file is of another kind.
    """
    path = Path(path)
    if path.suffix not in (".pth", ".safetensors"):
        raise ValueError(f"{path} must end in .pth or .safetensors")
    tensors = on_their_own(_tensors(network, library))
    if path.suffix == ".safetensors":
        write_atomic(path, save(tensors))
        return
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    write_atomic(path, buffer.getvalue())


def only_library(network: nn.Module) -> str:
    """Name the one library that has a network.

    Raises:
        ValueError: If none has it, or several do: many are in torchvision and in timm.
    """
    found, reasons = [], []
    for library in LIBRARIES:
        try:
            check_library(network, library)
        except ValueError as error:
            reasons.append(str(error))
        else:
            found.append(library)
    if not found:
        raise ValueError(f"no other library has this network: {'; '.join(dict.fromkeys(reasons))}")
    if len(found) > 1:
        raise ValueError(f"{' and '.join(found)} have this network; say which with --format")
    return found[0]


def check_library(network: nn.Module, library: str) -> None:
    """Refuse what a library's own networks would not load, the names notwithstanding.

    Raises:
        ValueError: With what differs.
    """
    names, stages = _tensors(network, library), LIBRARIES[library]
    assert isinstance(network, Network)
    own = max((stage for _, stage, _, _ in blocks_by_stage(network)), default=0)
    what = f"has {own} stages, where its networks have {stages}" if own != stages else ""
    if library == "torchvision" and "conv1.0.weight" in names:
        what = "has a stem of several convolutions"
    if library == "cifar" and "layer1.0.conv3.weight" in names:
        what = "has bottlenecks"
    if what:
        raise ValueError(f"{library} has no such network: it {what}")


def _tensors(network: nn.Module, library: str) -> dict[str, Tensor]:
    """Give a network's tensors under a library's names.

    Raises:
        ValueError: If it has no such network, or there is no such library.
    """
    if library not in LIBRARIES:
        raise ValueError(f"library must be one of {', '.join(LIBRARIES)}, got {library!r}")
    names = {
        "torchvision": names_of_torchvision,
        "timm": names_of_timm_v2 if _is_preactivated(network) else names_of_torchvision,
        "cifar": names_of_cifar,
    }[library](network)
    _check_formula(network, library)
    return to_theirs(network, names)


def _is_preactivated(network: nn.Module) -> bool:
    return isinstance(network, Network) and isinstance(network.trunk.norm, NormActivation)


def _check_formula(network: nn.Module, library: str) -> None:
    """Refuse what would compute something else there.

    Raises:
        ValueError: With what differs.
    """
    for name, module in network.named_modules():
        what = ""
        if name.endswith(".connection"):
            is_sum = isinstance(module, AdditiveConnection) and module.scale == 1.0
            what = "" if is_sum else "joins its branch otherwise than by the sum"
        elif isinstance(module, Skip):
            carries = module.carries_norm and module.shortcut is None
            what = CARRIES_RAW if carries and library == "timm" else ""
        elif isinstance(module, PaddedShortcut) and library != "cifar":
            what = "pads with zeros, where that library projects"
        elif isinstance(module, PaddedShortcut) and module.before != module.after:
            what = "pads at the end, where that library pads on both sides"
        elif isinstance(module, BottleneckBranch | PreActivationBottleneckBranch):
            first = module.get_submodule("conv1")
            strides = isinstance(first, nn.Conv2d) and max(first.stride) > 1
            what = "has its stride on the first 1×1, where that library has it on the 3×3"
            what = what if strides else ""
        if what:
            raise ValueError(f"{library} has no such network: {name} {what}")
