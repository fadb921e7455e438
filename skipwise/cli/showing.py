"""``list``, ``describe`` and ``doctor``."""

import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from inspect import getdoc
from typing import Any

from skipwise.cli.words import (
    PLAIN,
    Flag,
    Words,
    apply_settings,
    find_network,
    known_recipes,
    named,
    print_json,
    twins,
)
from skipwise.description import nearest, to_plain, write_yaml

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "safetensors",
    "pyyaml",
    "cyclopts",
    "rich",
    "plotly",
    "jinja2",
    "pyarrow",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "pytorch-optimizer",
    "ray",
    "optuna",
    "tensorboard",
)
INPUT = "3x32x32"


def list_names(what: str | None = None, /, *, json: Flag = False) -> None:
    """List what can be named.

    Args:
        what: networks, strategies, connections, augmentations, recipes or data; if left out, these.
        json: Print names and first sentences as one JSON object.
    """
    found, plain = _names(what), twins() if what == "networks" else []
    if json:
        twin = "The network {} without its skips."
        print_json({**found, **{name: twin.format(name.removeprefix(PLAIN)) for name in plain}})
        return
    width = max(map(len, found))
    print("\n".join(f"{name:<{width}}  {sentence}" for name, sentence in found.items()))
    if plain:
        print(f"{PLAIN}… before the name of a ResNet: without its skips, {plain[-1]} for example")


def _names(what: str | None) -> dict[str, str]:
    from skipwise import connections
    from skipwise.data import NAMED, known_augmentations
    from skipwise.networks import NetworkDescription
    from skipwise.strategies import named_strategies

    kinds: dict[str, Any] = {
        "networks": lambda: named("networks", NetworkDescription),
        "strategies": named_strategies,
        "connections": lambda: {
            name: member
            for name, member in vars(connections).items()
            if isinstance(member, type)
            and issubclass(member, connections.ConnectionDescription)
            and member is not connections.ConnectionDescription
        },
        "data": lambda: NAMED,
        "recipes": known_recipes,
        "augmentations": known_augmentations,
    }
    if what is None:
        return {kind: f"skipwise list {kind}" for kind in kinds}
    if what not in kinds:
        raise ValueError(f"there is no list of {what!r}{nearest(what, kinds)}")
    sentences = {
        name: " ".join((thing.__doc__ or "").split("\n\n")[0].split())
        for name, thing in kinds[what]().items()
    }
    if what != "strategies":
        return sentences
    rates = {name: make().stated_rate for name, make in named_strategies().items()}
    return {name: f"{text} Rate {rates[name]}." for name, text in sentences.items()}


def describe(
    name: str,
    /,
    *,
    input: str = INPUT,
    classes: int | None = None,
    set: Words = (),
    json: Flag = False,
) -> None:
    """Show a network stage by stage, or a strategy with every value that --set can change.

    Of a network, each stage has its output shape, parameters, multiply-adds and memory.

    Args:
        name: A network's name, plain_ and a name, or package.module:function of your own; or a
            strategy's name.
        input: Shape of one example of a network, channels first: 3x224x224, 1x28x28, or 8 for
            vectors.
        classes: Number of a network's outputs; 10 if left out.
        set: path=value, any field of the network or strategy: width=8, connection=Highway.
        json: Print the result as one JSON object.

    Raises:
        ValueError: If there is neither of that name, it cannot be built with these settings, or
            one of them has no effect.
    """
    from skipwise.networks import measure_size

    if classes is not None and classes < 1:
        raise ValueError(f"classes must be positive, got {classes}")
    if (strategy := _strategy_named(name)) is not None:
        if (input, classes) != (INPUT, None):
            raise ValueError(f"{name} is a strategy; leave --input and --classes out")
        _print_strategy(strategy, set, json=json)
        return
    settings = [word.removeprefix("network.") for word in set]
    chosen, shape = apply_settings(find_network(name), settings), _shape(input)
    size = measure_size(chosen, shape, classes=classes)
    rows = [vars(row) for row in size.rows]
    if json:
        print_json({"network": name, "input": shape, **_sums(size), "rows": rows})
    else:
        _print_rows([*rows, {"name": "all", "shape": (), **_sums(size)}])


def _strategy_named(word: str) -> Callable[[], Any] | None:
    """Give the function of a named strategy, None of a network.

    Raises:
        ValueError: If it is neither; the nearest of both is offered.
    """
    from skipwise.networks import NetworkDescription
    from skipwise.strategies import named_strategies

    strategies, networks = named_strategies(), named("networks", NetworkDescription)
    found = strategies.get(word.replace("_", "-"))
    if found is None and ":" not in word and word.removeprefix(PLAIN) not in networks:
        known = [*networks, *strategies]
        raise ValueError(f"there is no network or strategy {word!r}{nearest(word, known, twins())}")
    return found


def _print_strategy(make: Callable[[], Any], settings: Words, *, json: bool) -> None:
    """Print what a strategy is and where its numbers come from, then all its values as YAML."""
    words = (word.removeprefix("strategy.") for word in settings)
    strategy, text = apply_settings(make(), words), (getdoc(make) or "").replace("``", "")
    if json:
        print_json({"strategy": strategy.name, "text": text, "values": to_plain(strategy)})
    else:
        print(f"{text}\n\n{write_yaml(strategy)}", end="")


def _print_rows(rows: list[dict[str, Any]]) -> None:
    print(f"{'part':<20} {'output':>14} {'parameters':>12} {'MACs':>15} {'memory, KiB':>12}")
    for row in rows:
        shape_text = "×".join(map(str, row["shape"]))
        print(
            f"{row['name']:<20} {shape_text:>14} {row['parameters']:>12,} {row['macs']:>15,}"
            f" {row['memory_bytes'] / 1024:>12,.1f}"
        )
    print(
        "per example; MACs are multiply-adds of convolutions and linear maps;"
        " memory is what the backward pass keeps"
    )


def _sums(size: Any) -> dict[str, int]:
    return {"parameters": size.parameters, "macs": size.macs, "memory_bytes": size.memory_bytes}


def _shape(text: str) -> tuple[int, ...]:
    words = text.lower().replace("×", "x").split("x")
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise ValueError(f"input must be a shape like 3x32x32, got {text!r}")
    return tuple(int(word) for word in words)


def doctor(*, json: Flag = False) -> None:
    """Show versions, devices, precision, and what is missing with the line that installs it.

    Args:
        json: Print the result as one JSON object.
    """
    import torch

    from skipwise.data.sources.fashion_mnist import DEBIAN
    from skipwise.training import autocast_type, choose_device

    device = choose_device()
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    found = {
        "skipwise": _version("skipwise"),
        "python": platform.python_version(),
        "system": platform.platform(),
        **{name: _version(name) for name in PACKAGES},
        "device": str(device),
        "gpus": gpus,
        "threads": torch.get_num_threads(),
        "precision": "bfloat16" if autocast_type("auto", device) else "float32",
        "compiler": shutil.which("g++") or shutil.which("clang++"),
        "fashion-mnist": str(DEBIAN) if DEBIAN.is_dir() else None,
    }
    hints = {
        "compiler": "no C++ compiler: apt-get install g++",
        "fashion-mnist": (
            "not on this machine: apt-get install dataset-fashion-mnist, or let train download it"
        ),
        "gpus": "none: runs use the processor",
    }
    if json:
        print_json(found)
        return
    for name, value in found.items():
        print(f"{name:<14} {value if value else hints.get(name, 'missing: pip install ' + name)}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
