"""From the words of the command line to descriptions: bare names, ``--set path=value``, times."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Annotated, Any

from cyclopts import Parameter

from skipwise.description import HOME, Call, exported, nearest, read_yaml, replace_all
from skipwise.records import finite

Words = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=False)]
Flag = Annotated[bool, Parameter(negative="")]
Whole = Annotated[int, Parameter(converter=lambda _, tokens: whole(tokens[0].value))]
PLAIN = "plain_"
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def print_json(value: Any) -> None:
    """Print one JSON object on a line; a number that JSON cannot write becomes null."""
    print(json.dumps(finite(value), ensure_ascii=False))


def whole(text: str) -> int:
    """Read a whole number; a fraction is not rounded silently.

    Raises:
        ValueError: If it is none.
    """
    if not re.fullmatch(r"-?\d+", text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def named(folder: str, kind: type) -> dict[str, Callable[[], Any]]:
    """Give the functions of a folder that return such a description, by name."""

    def gives(function: Callable[..., Any]) -> bool:
        returned = function.__annotations__.get("return")
        makes = isinstance(returned, type) and issubclass(returned, kind)
        return makes and not function.__code__.co_argcount

    return {name: f for name, f in exported(folder).items() if gives(f)}


def find_network(word: str) -> Any:
    """Turn ``resnet20`` into the network of that name, ``module:function`` into a call.

    ``plain_`` before the name of a ResNet gives its twin without skips.

    Raises:
        ValueError: If there is no such network; the nearest is offered.
    """
    from skipwise.networks import NetworkDescription, ResNet, plain_twin

    module, _, name = word.rpartition(":")
    if module and module.partition(".")[0] != HOME:
        return Call(target=word)
    word, known = name, named("networks", NetworkDescription)
    base = word.removeprefix(PLAIN)
    if base == word or base not in known:
        return _found(word, "network", known, twins())
    network = known[base]()
    if not isinstance(network, ResNet):
        raise ValueError(f"{base} is no ResNet, and only these have a plain twin")
    return plain_twin(network)


def twins() -> list[str]:
    """Name the plain twins that there are: of ResNets with skips whose branches carry at once."""
    from skipwise.connections import Plain
    from skipwise.networks import ResNet

    networks = {name: make() for name, make in named("networks", ResNet).items()}
    return [
        f"{PLAIN}{name}"
        for name, network in networks.items()
        if not isinstance(network.connection, Plain) and not network.branch.starts_at_zero
    ]


def find_strategy(word: str) -> Any:
    """Turn ``sgd-cosine`` into that strategy, ``module:function`` into the one it returns.

    Raises:
        ValueError: If there is no such strategy; the nearest is offered.
    """
    from skipwise.strategies import named_strategies, own_strategy

    if ":" in word:
        return own_strategy(word)
    return _found(word.replace("_", "-"), "strategy", named_strategies())


def find_recipe(word: str) -> Callable[[Any], Any]:
    """Turn ``fashion-mnist`` into the function (data) → experiment of that name.

    Raises:
        ValueError: If there is no such recipe; the nearest is offered.
    """
    known = known_recipes()
    if word not in known:
        raise ValueError(f"there is no recipe {word!r}{nearest(word, known)}")
    return known[word]


def known_recipes() -> dict[str, Callable[[Any], Any]]:
    """Give the recipes as the command line spells them."""
    from skipwise import recipes
    from skipwise.experiment import Experiment

    functions = (v for v in vars(recipes).values() if isinstance(v, FunctionType))
    makes = (f for f in functions if f.__annotations__.get("return") is Experiment)
    return {f.__name__.replace("_", "-"): f for f in makes}


def _found(
    word: str, what: str, known: Mapping[str, Callable[[], Any]], unlisted: Iterable[str] = ()
) -> Any:
    if word not in known:
        raise ValueError(f"there is no {what} {word!r}{nearest(word, known, unlisted)}")
    return known[word]()


def weights_among(settings: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
    """Take ``weights=FILE`` out of settings, as it decides the network and the preprocessing too.

    >>> weights_among(["strategy.peak_lr=0.1", "weights=a.pth"])
    ('a.pth', ('strategy.peak_lr=0.1',))
    """
    none = ("weights=", "weights=null", "weights=none")
    found = [w for w in settings if w.startswith("weights=") and w not in none]
    file = found[-1].removeprefix("weights=") if found else None
    return file, tuple(word for word in settings if word not in found)


def assigned(settings: Iterable[str]) -> dict[str, Any]:
    """Read ``path=value`` words; values are read as YAML.

    >>> assigned(["strategy.peak_lr=1e-3", "network.blocks=[1,1]"])
    {'strategy.peak_lr': 0.001, 'network.blocks': [1, 1]}

    Raises:
        ValueError: If a word is no assignment.
    """
    found = {}
    for word in settings:
        path, equals, value = word.partition("=")
        if not equals:
            raise ValueError(
                f"--set takes path=value, strategy.peak_lr=0.1 for example; got {word!r}"
            )
        found[path] = read_value(read_yaml(value, f"the value {value!r}"))
    return found


def apply_settings(description: Any, settings: Iterable[str]) -> Any:
    """Apply ``path=value`` words to a description.

    Raises:
        ValueError: If a word is no assignment, or the path or the value does not fit.
    """
    return replace_all(description, assigned(settings))


def read_value(read: Any) -> Any:
    """Take a value that YAML has read; ``1e-3``, which it takes for a word, becomes a number."""
    if isinstance(read, str):
        try:
            return float(read)
        except ValueError:
            return read
    return read


def parse_time(text: str) -> float:
    """Turn ``90``, ``90s``, ``10m``, ``1h30m`` or ``2d`` into seconds.

    >>> parse_time("1h30m"), parse_time("45")
    (5400.0, 45.0)

    Raises:
        ValueError: If it is no time, or not positive.
    """
    if text.startswith("-"):
        raise ValueError(f"a time must be positive, got {text!r}")
    pieces = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not pieces or "".join(a + b for a, b in pieces) != text:
        raise ValueError(f"{text!r} is no time; write 90s, 10m or 1h30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in pieces)
    if seconds <= 0:
        raise ValueError(f"a time must be positive, got {text!r}")
    return seconds


def parse_freeze(text: str) -> int | str:
    """Turn a number of blocks into a number; a word stays one.

    >>> parse_freeze("6"), parse_freeze("trunk")
    (6, 'trunk')
    """
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def parse_memory(text: str) -> int:
    """Turn ``4g``, ``500m`` or a number of bytes into bytes; 0 holds nothing in memory.

    >>> parse_memory("4g"), parse_memory("1.5G"), parse_memory("0")
    (4000000000, 1500000000, 0)

    Raises:
        ValueError: If it is no amount.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no amount of memory; write 4g or 500m")
    return int(float(found[1]) * BYTES[found[2]])


def parse_size(text: str) -> tuple[int, int]:
    """Turn ``64`` or ``48x64`` into height and width.

    >>> parse_size("64"), parse_size("48x64")
    ((64, 64), (48, 64))

    Raises:
        ValueError: If it is no size.
    """
    words = text.lower().replace("×", "x").split("x")
    if len(words) > 2 or not all(word.isdigit() and int(word) > 0 for word in words):
        raise ValueError(
            f"{text!r} is no size of pictures; write 64, or 48x64 for height and width"
        )
    return int(words[0]), int(words[-1])
