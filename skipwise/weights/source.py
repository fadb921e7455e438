"""Weights to begin from: a file of anybody's, the network it is of, and filling one from it.

A file that does not fit is refused with the first tensor that differs; the network is then as it
was.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from skipwise.connections import Padded
from skipwise.description import Call, from_plain, public_name
from skipwise.networks import (
    LargeStem,
    Network,
    NetworkDescription,
    ResNet,
    StemDescription,
    build_network,
)
from skipwise.shapes import Ends
from skipwise.weights.families import (
    CIFAR,
    TIMM_V2,
    UNKNOWN,
    Family,
    infer_network,
    infer_stem,
    recognise,
)
from skipwise.weights.file import Card, read_card
from skipwise.weights.names import COUNTER, matched, translated
from skipwise.weights.reading import read_weights

SMALL_SIDE, LARGE_SIDE = 32, 224  # of the pictures that the two stems are made for


@dataclass(frozen=True, kw_only=True)
class Source:
    """What was read from a file of weights.

    Args:
        path: The file.
        tensors: By their names there.
        family: Whose names these are.
        card: What ours says of itself; None in a file of others.
    """

    path: Path
    tensors: dict[str, Tensor]
    family: Family
    card: Card | None = None

    def network(self, *, allow: Iterable[str] = ()) -> NetworkDescription | Call:
        """Say of which network the file is: by its card, else by its tensors.

        Raises:
            ValueError: If neither tells.
        """
        if self.card is not None:
            found = from_plain(self.card.network, allow=allow, where=str(self.path))
            return replace(found, stem=self.stem) if isinstance(found, ResNet) else found
        if self.family is UNKNOWN:
            name, value = next(iter(self.tensors.items()))
            raise ValueError(
                f"{self.path} has no card, and its names, {name!r} of shape {tuple(value.shape)}"
                " for example, are those of no network that Skipwise knows; say which it is of:"
                f" skipwise train DATA --weights {self.path} --network NAME"
            )
        return infer_network(self.tensors, self.family)

    @property
    def reads_halves(self) -> bool:
        """Whether its pictures were normalised with one half, and not as ImageNet's usually are."""
        return self.family is TIMM_V2

    @property
    def stem(self) -> StemDescription | None:
        """The stem that the file was trained with; None if it has none that is known."""
        if self.card is not None:
            ours = self.card.network.get("is") == public_name(ResNet)
            stem = from_plain(self.card.network["stem"], where=str(self.path)) if ours else None
            ends = Ends(inputs=self.card.inputs, outputs=self.card.outputs)
            return None if stem is None else stem.chosen(ends)
        return None if self.family is UNKNOWN else infer_stem(self.tensors, self.family)

    @property
    def channels(self) -> int | None:
        """Channels of the pictures that it reads; None if unknown."""
        if self.card is not None:
            return self.card.inputs[0]
        first = next((name for name in self.family.stems if name in self.tensors), None)
        return None if first is None else self.tensors[first].shape[1]

    @property
    def outputs(self) -> int | None:
        """Number of outputs; None where the file has no head that is known."""
        if self.card is not None:
            return self.card.outputs[0] if len(self.card.outputs) == 1 else None
        head = self.tensors.get(f"{self.family.head}.weight")
        return None if head is None else head.shape[0]


def read_source(path: str | Path) -> Source:
    """Read a file of weights, or those of a run's folder.

    Raises:
        ValueError: If it cannot be read as weights; see :func:`read_weights`.
    """
    path = Path(path)
    tensors, metadata = read_weights(path)
    card = read_card(metadata, path)
    family = UNKNOWN if card is not None else recognise(tensors)
    return Source(path=path, tensors=tensors, family=family, card=card)


def adapted(network: NetworkDescription | Call, source: Source) -> NetworkDescription | Call:
    """Give a network that was asked for the file's stem, and its side of the padding."""
    if not isinstance(network, ResNet):
        return network
    stem = source.stem
    if source.family is CIFAR and isinstance(network.shortcut, Padded):
        network = replace(network, shortcut=Padded(side=CIFAR.side))
    return network if stem is None else replace(network, stem=stem)


def fill(model: nn.Module, source: Source, *, keep_head: bool) -> tuple[str, ...]:
    """Give a network the tensors of a file.

    Args:
        model: The network; changed only if all but the head fits.
        source: The file.
        keep_head: Whether the file's head is taken too, if it has one; else ours stays as it is.

    Returns:
        What was matched, replaced and left out, one sentence each.

    Raises:
        ValueError: If a tensor is missing, has another shape, has no place or is not finite.
    """
    try:
        names = source.family.names(model)
        own = dict(model.state_dict())
        heads = _head(model)
        has_head = all(translated(name, names) in source.tensors for name in heads)
        new = [] if keep_head and has_head else heads
        chosen = matched(model, source.tensors, names, without=new)
        left = _left_out(source, {translated(name, names) for name in own})
    except ValueError as error:
        raise ValueError(f"{source.path} does not fit the network: {error}") from None
    for name, value in chosen.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{source.path}: {translated(name, names)} holds NaN or infinity")
    model.load_state_dict(chosen, strict=False)
    count = sum(value.numel() for value in chosen.values())
    whose = "with its card" if source.card is not None else source.family.words
    said = [f"weights of {source.path}, {whose}: {len(chosen)} tensors, {count:,} numbers, matched"]
    if new:
        before = f"the file's of {source.outputs}" if source.outputs else "none in the file"
        said.append(f"a new head of {own[new[0]].shape[0]} outputs replaces {before}")
    elif heads:
        said.append(
            f"the file's head is kept, for its {own[heads[0]].shape[0]} outputs are the same"
        )
    elif not keep_head:
        said.append("no layer is known as the head, so none is new")
    return (*said, f"left out of the file: {', '.join(left)}") if left else tuple(said)


def _head(model: nn.Module) -> list[str]:
    """Name the tensors of the head; of a module of the user's own that is its last linear map."""
    if isinstance(model, Network):
        return [name for name in model.state_dict() if name.startswith("head.")]
    linear = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    last = f"{linear[-1]}." if linear else ""
    found = [name for name in model.state_dict() if last and name.startswith(last)]
    return found if len(found) < len(model.state_dict()) else []


def _left_out(source: Source, known: set[str | None]) -> list[str]:
    """Name the tensors that no layer of the network is called after.

    Raises:
        ValueError: If one of them stands in the stem or in a block: the network is another then.
    """
    left = [name for name in source.tensors if name not in known and not name.endswith(COUNTER)]
    for name in left:
        if name.startswith(source.family.body):
            raise ValueError(
                f"the file has {name} of shape {tuple(source.tensors[name].shape)}, for which the"
                " network has no place; it is of another network"
            )
    return left


def load_network(
    path: str | Path,
    *,
    network: NetworkDescription | Call | None = None,
    ends: Ends | None = None,
    allow: Iterable[str] = (),
) -> nn.Module:
    """Give the network of a file of weights, ours or others', filled and in evaluation mode.

    Args:
        path: A file ``.safetensors``, ``.pth`` or ``.npz``, or a run's folder.
        network: Which network it is of; read off the file if None.
        ends: What it is built for; the file's own if None. A head of another number of outputs is
            new, drawn from torch's generator, whose state stays.
        allow: Packages outside ``skipwise`` that the file's card may name.

    Raises:
        ValueError: If the file cannot be read, does not tell its network, or does not fit.
    """
    source = read_source(path)
    described = source.network(allow=allow) if network is None else adapted(network, source)
    ends = ends_of(source) if ends is None else ends
    with torch.random.fork_rng(devices=[]):
        model = build_network(described, ends)
    fill(model, source, keep_head=source.outputs in (None, ends.outputs[0]))
    return model.eval()


def ends_of(source: Source) -> Ends:
    """Say what a file reads and gives; pictures of 224 or 32 pixels, as its stem is made for.

    Raises:
        ValueError: If the file does not tell.
    """
    if source.card is not None:
        return Ends(inputs=source.card.inputs, outputs=source.card.outputs)
    if source.channels is None or source.outputs is None:
        raise ValueError(
            f"{source.path} does not tell what it reads and gives: it has no head that is known"
        )
    side = LARGE_SIDE if isinstance(source.stem, LargeStem) else SMALL_SIDE
    return Ends(inputs=(source.channels, side, side), outputs=(source.outputs,))
