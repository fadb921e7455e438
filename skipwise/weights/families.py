"""Families: by the names in a file, whose network it is of, and what network that is.

The shapes of the tensors tell blocks, widths, groups, stem, shortcut and classes. They do not tell
where a stride stands, whether a shortcut without tensors pads on one side or on both, nor how a
branch joins the stream; what is then taken is said in :func:`infer_network`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from torch import Tensor, nn

from skipwise.branches import (
    Basic,
    Bottleneck,
    Branch,
    PreActivation,
    PreActivationBottleneck,
)
from skipwise.connections import Padded, Pooled, Projected, Shortcut
from skipwise.networks import LargeStem, ResNet, SmallStem, StemDescription
from skipwise.weights.names import (
    names_of_cifar,
    names_of_timm_v2,
    names_of_torchvision,
    names_of_us,
)

Shapes: TypeAlias = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Networks whose tensors are called alike.

    Args:
        words: Whose names these are.
        names: (network) → our prefix of a layer → theirs.
        marks: Names that a file of the family has.
        block: Matches the name of a block's tensor: (stage, index in it, rest) or (index, rest).
        stems: What the first convolution may be called; the deep stem's comes first.
        body: What the names of stem and blocks begin with; everything if empty.
        head: What the names of the head begin with.
        side: Where a shortcut without tensors pads.
    """

    words: str
    names: Callable[[nn.Module], Mapping[str, str]]
    marks: tuple[str, ...] = ()
    block: str = ""
    stems: tuple[str, ...] = ()
    body: tuple[str, ...] = ("",)
    head: str = ""
    side: str = "end"


OURS = Family(
    words="Skipwise's names",
    names=names_of_us,
    marks=("trunk.blocks.0.branch.conv1.weight", "stem.conv.weight"),
    block=r"trunk\.blocks\.(\d+)\.(?:branch\.)?(.+)",
    stems=("stem.deep.0.weight", "stem.conv.weight"),
    body=("stem.", "trunk."),
    head="head.linear",
)
TIMM_V2 = Family(
    words="the names of timm's resnetv2",
    names=names_of_timm_v2,
    marks=("stages.0.blocks.0.conv1.weight", "stem.conv.weight"),
    block=r"stages\.(\d+)\.blocks\.(\d+)\.(.+)",
    stems=("stem.conv.weight",),
    body=("stem.", "stages.", "norm."),
    head="head.fc",
)
CIFAR = Family(
    words="the names of akamaster's CIFAR networks",
    names=names_of_cifar,
    marks=("layer1.0.conv1.weight", "conv1.weight", "linear.weight"),
    block=r"layer(\d+)\.(\d+)\.(.+)",
    stems=("conv1.weight",),
    body=("conv1.", "bn1.", "layer"),
    head="linear",
    side="both",
)
TORCHVISION = Family(
    words="torchvision's names",
    names=names_of_torchvision,
    marks=("layer1.0.conv1.weight",),
    block=CIFAR.block,
    stems=("conv1.0.weight", "conv1.weight"),
    body=CIFAR.body,
    head="fc",
)
CARRIES_RAW = (
    "carries the stream itself in timm's resnetv2 and the stream behind norm and ReLU in Skipwise,"
    " so that its weights would compute something else"
)
UNKNOWN = Family(words="the network's own names", names=names_of_us)
FAMILIES = (OURS, TIMM_V2, CIFAR, TORCHVISION)


def recognise(tensors: Mapping[str, Tensor]) -> Family:
    """Tell whose names these are; a family without marks if nobody's that we know."""
    return next((f for f in FAMILIES if all(mark in tensors for mark in f.marks)), UNKNOWN)


def infer_network(tensors: Mapping[str, Tensor], family: Family) -> ResNet:
    """Say of which network a file is.

    Taken, where tensors do not tell: bottlenecks have their stride on the 3×3 (v1.5), but on the
    first 1×1 in our own pre-activation networks; a shortcut without tensors pads on both sides in
    akamaster's networks and at the end in ours; branches are added.

    Args:
        tensors: Of the file.
        family: Whose names they bear.

    Raises:
        ValueError: If the first convolution is that of no stem of ours, or the first block carries
            what none of ours does.
    """
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    stages = list(_stages(shapes, family))
    first = stages[0][0]
    if family is TIMM_V2 and not any(name.startswith("downsample") for name in first):
        raise ValueError(f"a first block without projection {CARRIES_RAW}")
    deep = "conv3.weight" in first
    width = first["conv3.weight" if deep else "conv2.weight"][0] // (4 if deep else 1)
    stem_width = first["conv1.weight"][1]
    branch = _branch(first, width, family)
    found = ResNet(
        name="",
        blocks=tuple(len(stage) for stage in stages),
        width=width,
        stem_width=None if stem_width == width else stem_width,
        stem=infer_stem(tensors, family),
        branch=branch,
        shortcut=_shortcut(stages, family),
    )
    return ResNet(**{**vars(found), "name": _name(found)})


def infer_stem(tensors: Mapping[str, Tensor], family: Family) -> StemDescription:
    """Read the stem off the first convolution: three 3×3, one 7×7 or one 3×3.

    Raises:
        ValueError: If it is another.
    """
    first = next(name for name in family.stems if name in tensors)
    size = tensors[first].shape[-1]
    if len(family.stems) > 1 and first == family.stems[0]:
        return LargeStem(deep=True)
    if size not in (3, 7):
        raise ValueError(
            f"{first} is a convolution of {size}×{size}; Skipwise has stems of 3×3 and of 7×7"
        )
    return LargeStem() if size == 7 else SmallStem()


def _stages(shapes: Shapes, family: Family) -> Iterator[list[Shapes]]:
    """Yield the blocks of each stage, each as its tensors' names and shapes."""
    blocks: dict[tuple[int, ...], Shapes] = {}
    for name, shape in shapes.items():
        if found := re.fullmatch(family.block, name):
            *place, rest = found.groups()
            blocks.setdefault(tuple(map(int, place)), {})[rest] = shape
    places = sorted(blocks)

    def stage(place: tuple[int, ...]) -> int:
        # Ours are numbered through: a stage is told by its width.
        last = "conv3.weight" if "conv3.weight" in blocks[place] else "conv2.weight"
        return place[0] if len(place) > 1 else blocks[place].get(last, (0,))[0]

    for _, members in groupby(places, key=stage):
        yield [blocks[place] for place in members]


def _branch(block: Shapes, width: int, family: Family) -> Branch:
    preactivated = family is TIMM_V2 or "connection.skip.norm.norm.weight" in block
    if "conv3.weight" not in block:
        return PreActivation() if preactivated else Basic()
    if preactivated:
        return PreActivationBottleneck(stride_first=family is OURS)
    inner = block["conv1.weight"][0]
    groups = max(inner // block["conv2.weight"][1], 1)
    return Bottleneck(groups=groups, group_width=max(inner // groups * 64 // width, 1))


def _shortcut(stages: list[list[Shapes]], family: Family) -> Shortcut:
    blocks = [block for stage in stages for block in stage]
    named = [
        {name: shape for name, shape in block.items() if re.search("downsample|shortcut", name)}
        for block in blocks
    ]
    maps = [name for block in named for name, shape in block.items() if len(shape) > 2]
    if not maps:
        return Padded(side=family.side)
    if any(name == "downsample.1.weight" for name in maps):
        return Pooled()
    everywhere = all(named)
    return Projected(
        norm=any(len(s) == 1 for b in named for s in b.values()), everywhere=everywhere
    )


def _name(network: ResNet) -> str:
    branch = network.branch
    deep = isinstance(branch, Bottleneck | PreActivationBottleneck)
    name = f"resnet{2 + (3 if deep else 2) * sum(network.blocks)}"
    if isinstance(branch, Bottleneck) and branch.groups > 1:
        return f"{name.replace('resnet', 'resnext')}_{branch.groups}x{branch.group_width}d"
    if isinstance(branch, Bottleneck) and branch.group_width != 64:
        return f"wide_{name}_{branch.group_width / 64:g}"
    if isinstance(branch, PreActivation | PreActivationBottleneck):
        return f"pre{name}"
    return f"{name}_d" if isinstance(network.shortcut, Pooled) else name
