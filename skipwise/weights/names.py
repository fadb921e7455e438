"""Names: what other libraries call the tensors of a network, and the exchange both ways.

The dotted names of our tensors say what they are (``trunk.blocks.3.branch.conv1.weight``); theirs
say where they stand (``layer2.1.conv1.weight``). A map is made from the network itself, so it holds
for every depth, width and branch.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby

from torch import Tensor, nn

from skipwise.connections import ProjectedShortcut
from skipwise.networks import Block, Network
from skipwise.networks.stem import Stem

COUNTER = "num_batches_tracked"  # of BatchNorm; nothing that is computed depends on it
HEAD_OF_TIMM_V2 = "head.fc.weight"  # a 1×1 convolution where ours is a linear map


def blocks_by_stage(network: Network) -> Iterator[tuple[int, int, int, Block]]:
    """Yield (index in the trunk, stage, index in the stage, block), stages counted from 1."""
    blocks = [(n, b) for n, b in enumerate(network.trunk.blocks) if isinstance(b, Block)]
    stages = groupby(blocks, key=lambda pair: pair[1].place.width_out)
    for stage, (_, members) in enumerate(stages, start=1):
        for position, (index, block) in enumerate(members):
            yield index, stage, position, block


def names_of_us(network: nn.Module) -> dict[str, str]:
    """Map the prefixes of any module to themselves."""
    prefixes = (name.rpartition(".")[0] for name in network.state_dict())
    return {prefix: prefix for prefix in prefixes}


def names_of_cifar(network: nn.Module) -> dict[str, str]:
    """Map our prefixes to those of akamaster's ResNets for CIFAR-10.

    Raises:
        ValueError: If it is no network for pictures.
    """
    return {
        ours: "linear" if theirs == "fc" else theirs.replace("downsample", "shortcut")
        for ours, theirs in names_of_torchvision(network).items()
    }


def names_of_torchvision(network: nn.Module) -> dict[str, str]:
    """Map our prefixes to those of torchvision's ResNets, and of timm's ``resnet`` family.

    Args:
        network: A network with additive connections in the order of ResNet v1.

    Returns:
        Our prefix of a layer → theirs.

    Raises:
        ValueError: If it is no network for pictures.
    """
    network = _of_pictures(network)
    names = dict(_stem(network))
    for index, stage, position, block in blocks_by_stage(network):
        ours, theirs = f"trunk.blocks.{index}", f"layer{stage}.{position}"
        for layer, _ in block.branch.named_children():
            if layer != "activation":
                names[f"{ours}.branch.{layer}"] = f"{theirs}.{layer.replace('norm', 'bn')}"
        # A pooled shortcut has its pool at index 0, also where the pool does nothing.
        pooled = _has_pool(block)
        names[f"{ours}.connection.skip.shortcut.conv"] = f"{theirs}.downsample.{int(pooled)}"
        names[f"{ours}.connection.skip.shortcut.norm"] = f"{theirs}.downsample.{int(pooled) + 1}"
    return {**names, "head.linear": "fc"}


def names_of_timm_v2(network: nn.Module) -> dict[str, str]:
    """Map our prefixes to those of timm's ``resnetv2`` family (pre-activation bottlenecks).

    Raises:
        ValueError: If it is no network for pictures.
    """
    network = _of_pictures(network)
    names = {"stem.conv": "stem.conv", "trunk.norm.norm": "norm", "head.linear": "head.fc"}
    for index, stage, position, _ in blocks_by_stage(network):
        ours, theirs = f"trunk.blocks.{index}", f"stages.{stage - 1}.blocks.{position}"
        names[f"{ours}.connection.skip.norm.norm"] = f"{theirs}.norm1"
        names[f"{ours}.connection.skip.shortcut.conv"] = f"{theirs}.downsample.conv"
        for layer in ("conv1", "conv2", "conv3"):
            names[f"{ours}.branch.{layer}"] = f"{theirs}.{layer}"
        for layer in ("norm2", "norm3"):
            names[f"{ours}.branch.{layer}.norm"] = f"{theirs}.{layer}"
    return names


def _stem(network: Network) -> Iterator[tuple[str, str]]:
    deep = list(network.stem.get_submodule("deep").children())
    for n in range(0, len(deep), 2):  # theirs counts conv, norm, ReLU; ours conv, norm with ReLU
        yield f"stem.deep.{n}", f"conv1.{n // 2 * 3}"
        yield f"stem.deep.{n + 1}.norm", f"conv1.{n // 2 * 3 + 1}"
    yield "stem.conv", f"conv1.{len(deep) // 2 * 3}" if deep else "conv1"
    yield "stem.norm.norm", "bn1"


def _has_pool(block: Block) -> bool:
    return any(isinstance(m, ProjectedShortcut) and m.pooled for m in block.modules())


def _of_pictures(network: nn.Module) -> Network:
    if isinstance(network, Network) and isinstance(network.stem, Stem):
        return network
    raise ValueError(
        "other libraries' names are those of convolutional networks with stem, blocks and head;"
        f" this {type(network).__name__} is none"
    )


def translated(name: str, prefixes: Mapping[str, str]) -> str | None:
    """Give a tensor's name there, or None where its layer has none."""
    prefix, _, last = name.rpartition(".")
    return f"{prefixes[prefix]}.{last}".removeprefix(".") if prefix in prefixes else None


def to_theirs(network: nn.Module, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Give a network's tensors under another library's names, in the shapes they have there.

    Args:
        network: Ours.
        names: Our prefix → theirs.

    Raises:
        ValueError: If a tensor has no name there: the network is not of their family.
    """
    found = {}
    for name, value in network.state_dict().items():
        theirs = translated(name, names)
        if theirs is None:
            raise ValueError(f"{name} has no counterpart there; the network is of another family")
        found[theirs] = value[:, :, None, None] if theirs == HEAD_OF_TIMM_V2 else value
    return found


def matched(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    names: Mapping[str, str],
    *,
    without: Collection[str] = (),
) -> dict[str, Tensor]:
    """Give another library's tensors under our names, in our shapes.

    Args:
        network: Ours.
        tensors: Theirs, by their names; counters of batches may be missing.
        names: Our prefix → theirs.
        without: Tensors of ours that are not looked for.

    Raises:
        ValueError: If a tensor is missing or has another shape; the first is named.
    """
    chosen = {}
    for name, own in network.state_dict().items():
        theirs = translated(name, names)
        if name in without:
            continue
        if theirs is not None and theirs in tensors:
            chosen[name] = _without_space(tensors[theirs], own.dim())
            if chosen[name].shape != own.shape:
                place = "" if theirs == name else f" for {name}"
                raise ValueError(
                    f"{theirs} has shape {tuple(tensors[theirs].shape)},"
                    f" the network needs {tuple(own.shape)}{place}"
                )
        elif not name.endswith(COUNTER):
            raise ValueError(
                f"the file has no {theirs or name}, which the network needs in shape"
                f" {tuple(own.shape)}; it is of another network"
            )
    return chosen


def _without_space(tensor: Tensor, dimensions: int) -> Tensor:
    """Turn a 1×1 convolution into the linear map that it is, where a linear map is wanted."""
    while tensor.dim() > dimensions and tensor.shape[-1] == 1:
        tensor = tensor.squeeze(-1)
    return tensor
