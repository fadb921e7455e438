"""Weights on disk: tensors and a card with all that is needed to use them; nothing is unpickled.

The file is safetensors; the card stands in its metadata: the network's description, the shapes at
its two ends, the classes and the preprocessing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from skipwise.description import Call, from_plain, to_plain
from skipwise.files import EXPERIMENT, write_atomic
from skipwise.networks import NetworkDescription, build_network
from skipwise.shapes import Ends

FORMAT = 1
BEST = "best.safetensors"  # what a run calls its best weights


@dataclass(frozen=True, kw_only=True)
class Card:
    """What weights are for.

    Args:
        network: The network's plain description.
        inputs: Shape of one example's input.
        outputs: Shape of one example's output.
        task: ``"classification"``, ``"multi-label"`` or ``"regression"``.
        classes: Names, in the order of the outputs.
        preprocessing: Its plain description.
        data: Name of the data set.
        views: Plain description of the views over which outputs are averaged, or None.
        digest: Hash of the data it was trained and tested on.
        raw: Type of a raw input, ``"uint8"`` of picture files; empty where it is not known.
    """

    network: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    task: str
    classes: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    data: str
    views: Mapping[str, Any] | None = None
    digest: str = ""
    raw: str = ""


def card_of(
    network: NetworkDescription | Call,
    ends: Ends,
    *,
    task: str,
    classes: tuple[str, ...],
    preprocessing: Any,
    data: str,
    views: Any = None,
    digest: str = "",
    raw: str = "",
) -> Card:
    """Make the card of a network that was trained on some data."""
    return Card(
        network=to_plain(network),
        inputs=ends.inputs,
        outputs=ends.outputs,
        task=task,
        classes=classes,
        preprocessing=to_plain(preprocessing),
        data=data,
        views=to_plain(views),
        digest=digest,
        raw=raw,
    )


def on_their_own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, each with a memory of its own, as files need them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def save_weights(path: Path, weights: Mapping[str, Tensor], card: Card) -> None:
    """Write parameters and buffers with their card, whole or not at all.

    Raises:
        OSError: If the disk is full or read-only.
    """
    tensors = on_their_own(weights)
    card_text = json.dumps({"format": FORMAT, **vars(card)}, ensure_ascii=False)
    write_atomic(path, save(tensors, metadata={"skipwise": card_text}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of a file.

    Raises:
        ValueError: If it is no safetensors file, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as weights, it is damaged or of another kind: {error};"
            f" {_remedy(path)}"
        ) from None


def _remedy(path: Path) -> str:
    """Say how to come by a whole file: a run's best weights are nowhere else, but can be remade."""
    described = path.parent / EXPERIMENT
    if path.name == BEST and described.is_file():
        return f"give back a copy, or train it again: skipwise train {quote(str(described))}"
    return "fetch or copy the file again"


def read_card(metadata: Mapping[str, str], path: Path) -> Card | None:
    """Read the card off a file's metadata; None if it has none.

    Raises:
        ValueError: If it is damaged, or another version of Skipwise wrote it.
    """
    if "skipwise" not in metadata:
        return None
    try:
        fields = json.loads(metadata["skipwise"])
        version = fields.pop("format", None)
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{path} has a card that is damaged: it is no JSON object") from None
    if version != FORMAT:
        raise ValueError(
            f"{path} was written by another version of Skipwise, in a format this one does not read"
        )
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    try:
        return Card(**values)
    except TypeError as error:
        raise ValueError(f"{path} has a card that is damaged: {error}") from None


def load_weights(path: Path, *, allow: Iterable[str] = ()) -> tuple[nn.Module, Card]:
    """Rebuild a network from its file, in evaluation mode.

    Args:
        path: The file.
        allow: Packages outside ``skipwise`` that may be imported to build it.

    Raises:
        ValueError: If the file is not of ours, is damaged, or its network cannot be built.
    """
    tensors, metadata = read_tensors(path)
    card = read_card(metadata, path)
    if card is None:
        raise ValueError(
            f"{path} holds tensors but not the card that Skipwise writes; it cannot be used alone"
        )
    network = from_plain(card.network, allow=allow, where=str(path))
    with torch.random.fork_rng(devices=[]):
        model = build_network(network, Ends(inputs=card.inputs, outputs=card.outputs))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"{path} does not fit its own network: {str(error).splitlines()[-1].strip()}"
        ) from None
    return model.eval(), card
