"""What decides the runs of a study beside its description, and must not change while it goes on."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from skipwise.data import NUMBERS, Dataset
from skipwise.description import read_yaml
from skipwise.studies.settled.own_code import code_of, own_modules
from skipwise.studies.study import Study, text_of
from skipwise.training import autocast_type, choose_device, hardware
from skipwise.weights import BEST

PARTS = ("train", "validation", "test")
ALWAYS = ("version", "torch", "data", "parts")
IF_KNOWN = ("code", "weights", "device", "precision")  # some lack them, on a cluster for example


def surroundings(
    study: Study, dataset: Dataset, files: Iterable[str], *, on_cluster: bool
) -> dict[str, Any]:
    """Give the facts, as plain values.

    Args:
        study: The study.
        dataset: Its data, loaded.
        files: The files of weights that its runs begin from.
        on_cluster: Whether it trains on other machines, whose devices are not known here.
    """
    found: dict[str, Any] = {
        "version": version("skipwise"),
        "torch": torch.__version__,
        "data": dataset.digest,
        "parts": dict(_parts(dataset)),
        "code": code_of(own_modules(read_yaml(text_of(study), "the study"))),
        "weights": {name: _hashed(Path(name)) for name in sorted(files)},
    }
    if on_cluster:
        return found
    device = choose_device()
    exact = dataset.task == NUMBERS
    precision = autocast_type(study.experiment.precision, device, exact=exact) or torch.float32
    # Two processors differ in the last bits only, if they compute in the same numbers.
    name = hardware(device) if device.type == "cuda" else "a processor"
    return found | {"device": name, "precision": str(precision).removeprefix("torch.")}


def _parts(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Hash the targets of each part in their order, which tell how the data were split."""
    for name in PARTS:
        part = getattr(dataset, name)
        targets = getattr(part, "targets", None)
        if part is not None:
            content = b"" if targets is None else targets.contiguous().numpy().tobytes()
            digest = hashlib.sha256(f"{len(part)}".encode() + content).hexdigest()[:16]
            yield name, f"{len(part)} examples, {digest}"


def _hashed(path: Path) -> str:
    """Hash a file of weights, or that of a run's folder."""
    path = path / BEST if path.is_dir() else path
    if not path.is_file():
        return "not there"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Ask that nothing have changed since a study was begun.

    Args:
        folder: Where it lies.
        before: What it settled.
        now: What is so now.

    Raises:
        ValueError: If something did; it is said what.
    """
    known = [name for name in IF_KNOWN if name in before and name in now]
    for name in (*ALWAYS, *known):
        if before.get(name) != now[name]:
            where, cure = _changed(folder, name, before.get(name), now[name])
            raise ValueError(
                f"{where}, so its runs could not be compared; {cure}, or name another folder with"
                " --out"
            )


def _changed(folder: Path, name: str, before: Any, now: Any) -> tuple[str, str]:
    """Say what changed, and what mends it."""
    if name in ("version", "torch"):
        product = "torch" if name == "torch" else "skipwise"
        return f"{folder} was begun by {product} {before} and this is {now}", (
            "go on with that version"
        )
    if name == "device":
        return f"{folder} was begun on {before} and this is {now}", "go on there"
    if name == "precision":
        return f"{folder} was begun in {before} and this machine computes in {now}", "go on there"
    if name == "code":
        module = next(m for m in (*before, *now) if before.get(m) != now.get(m))
        return f"the code of {module} changed since {folder} was begun", "give it back"
    if name == "weights":
        file = next(f for f in (*before, *now) if before.get(f) != now.get(f))
        return f"the weights in {file} changed since {folder} was begun", "give them back"
    what = "data" if name == "data" else "splits of the data"
    return f"the {what} changed since {folder} was begun", "give them back"
