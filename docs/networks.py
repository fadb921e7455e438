"""Write docs/networks.md: how large every named network is, beside what others say of it.

``python -m docs.networks`` writes it; a test asserts that the file is what this writes now.
"""

import re
from functools import cache
from pathlib import Path

import torch

from skipwise.connections import Plain
from skipwise.description import exported
from skipwise.networks import AutoStem, ResNet, Size, measure_size, plain_twin
from skipwise.shapes import Ends
from tests.networks.published import PUBLISHED

FILE = Path(__file__).with_suffix(".md")
SMALL = Ends(inputs=(3, 32, 32), outputs=(10,))
LARGE = Ends(inputs=(3, 224, 224), outputs=(1000,))
INTRODUCTION = """# How large the networks are

Written by `python -m docs.networks`; do not edit it by hand. Parameters are trainable numbers, MACs
the multiply-adds of convolutions and linear maps in one forward pass of one example. The reference
is torchvision's own number, or a count layer by layer from the paper's tables by a program that
shares nothing with this package. The plain twin (`--network plain_resnet50`) has the same layers
without the skips: with shortcut A it is as large as the network, otherwise it lacks the
projections. Networks started by Fixup have none, since nothing would pass their branches at first.
"""
COLUMNS = (
    "network",
    "parameters",
    "reference",
    "equal",
    "MACs, 10⁹",
    "reference",
    "equal",
    "parameters of the plain twin",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|---:|---:|---|---:|---:|---|---:|"


def residual_networks() -> list[ResNet]:
    """List the named ResNets: by family, then by depth."""
    makers = [
        function
        for function in exported("networks").values()
        if function.__annotations__["return"] is ResNet and not function.__code__.co_argcount
    ]
    found = [make() for make in makers]
    return sorted(found, key=lambda n: (re.split(r"\d", n.name)[0], sum(n.blocks), n.name))


def ends_of(network: ResNet) -> Ends:
    """Give the input and output that the papers measure a network at."""
    return LARGE if isinstance(network.stem, AutoStem) else SMALL


@cache
def size_of(network: ResNet) -> Size:
    """Measure a network at its standard input, without computing a number."""
    ends = ends_of(network)
    with torch.device("meta"):
        return measure_size(network.build(ends), ends.inputs)


def row_of(network: ResNet) -> str:
    """Write the row of one network."""
    size, published = size_of(network), PUBLISHED.get(network.name)
    billions = f"{size.macs / 1e9:.3f}"
    cells = [f"`{network.name}`", _number(size.parameters)]
    if published is None:
        cells += ["–", "–", billions, "–", "–"]
    else:
        cells += [
            f"{_number(published.parameters)} {published.source}",
            _equal(size.parameters == published.parameters),
            billions,
        ]
        wanted = published.giga_macs
        cells += (
            ["–", "–"] if wanted is None else [f"{wanted:.3f}", _equal(billions == f"{wanted:.3f}")]
        )
    return f"| {' | '.join([*cells, _twin(network)])} |"


def document() -> str:
    """Write the whole file."""
    rows = [(ends_of(network), row_of(network)) for network in residual_networks()]
    parts = [INTRODUCTION]
    for ends, title in (
        (SMALL, "Small images: 3×32×32, ten classes"),
        (LARGE, "Large images: 3×224×224, a thousand classes"),
    ):
        parts += [f"\n## {title}\n\n", HEAD, "\n", "\n".join(r for e, r in rows if e is ends), "\n"]
    return "".join(parts)


def _twin(network: ResNet) -> str:
    if isinstance(network.connection, Plain) or network.branch.starts_at_zero:
        return "–"
    with torch.device("meta"):
        twin = plain_twin(network).build(ends_of(network))
    return _number(sum(p.numel() for p in twin.parameters()))


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def _equal(same: bool) -> str:
    return "yes" if same else "**no**"


if __name__ == "__main__":
    FILE.write_text(document())
