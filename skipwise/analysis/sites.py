"""Where a model is measured: the names of its blocks, by structure, pattern or repetition.

A block is any module that the signal passes one after the other. Ours are known by their two parts
``connection`` and ``branch``. In other models blocks are the modules that repeat: the class whose
members stand next to each other most often and hold most of the weights (torchvision's
``Bottleneck``, a transformer's layers, the layers of a ``Sequential``).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from skipwise.analysis.problem import as_module

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
SHORTCUTS = ("downsample", "shortcut", "skip")


@dataclass(frozen=True, kw_only=True)
class Site:
    """One block: its name among the model's modules, and those of its parts where they are known.

    ``branch`` is the module that computes F, ``shortcut`` the one that stands in for the identity.
    """

    name: str
    branch: str | None = None
    shortcut: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sites:
    """The blocks of a model, in the order in which they stand in it."""

    blocks: tuple[Site, ...]

    def __post_init__(self):
        if not self.blocks:
            raise ValueError("sites must name at least one block; take find_sites(model)")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the blocks."""
        return tuple(site.name for site in self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)


def find_sites(model: nn.Module, pattern: str | Iterable[str] | None = None) -> Sites:
    """Find the blocks of a model.

    >>> model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
    >>> find_sites(model).names
    ('0', '2')
    >>> find_sites(model, "[13]").names
    ('1', '3')

    Args:
        model: Any module.
        pattern: Names of blocks, ``*`` standing for any part between two dots (``"layer*.*"``), or
            several of them; None looks for ours, then for the modules that repeat.

    Returns:
        The blocks, none of them within another.

    Raises:
        ValueError: If nothing fits the pattern, or no module repeats.
    """
    modules = {name: module for name, module in as_module(model).named_modules() if name}
    if pattern is None:
        found = _ours(modules) or _repeated(modules)
        if not found:
            raise ValueError(
                f"{type(model).__name__} has no blocks that repeat, so depth cannot be measured;"
                f" name them by a pattern: sites='…', one of {_some(modules)}"
            )
    else:
        patterns = [pattern] if isinstance(pattern, str) else list(pattern)
        found = [name for name in modules if any(_fits(name, each) for each in patterns)]
        if not found:
            raise ValueError(
                f"no module of {type(model).__name__} fits the pattern {', '.join(patterns)}"
                f"{_nearest(patterns[0], modules)}; {_offer(modules)}"
            )
    return Sites(blocks=tuple(_site(name, modules) for name in _outermost(found)))


def as_sites(model: nn.Module, sites: Sites | str | None) -> Sites:
    """Give the sites that were handed over, or find them; every measurement begins so.

    Raises:
        ValueError: If the sites are of another model, or none are found.
    """
    if not isinstance(sites, Sites):
        return find_sites(model, sites)
    known = {name for name, _ in model.named_modules()}
    strange = [name for name in sites.names if name not in known]
    if strange:
        raise ValueError(
            f"{type(model).__name__} has no module {strange[0]!r}: the sites are of another model;"
            " take find_sites(model)"
        )
    return sites


def _ours(modules: Mapping[str, nn.Module]) -> list[str]:
    """List the modules that have a connection and a branch; one that holds several is no block."""
    found = [n for n in modules if f"{n}.connection" in modules and f"{n}.branch" in modules]
    return [n for n in found if sum(other.startswith(f"{n}.") for other in found) < 2]


def _repeated(modules: Mapping[str, nn.Module]) -> list[str]:
    """List the modules of the class that repeats: blocks, else containers, else single layers."""
    weighty = {n: m for n, m in modules.items() if any(True for _ in m.parameters())}
    inner = {n: m for n, m in weighty.items() if any(True for _ in m.children())}
    blocks = {n: m for n, m in inner.items() if not isinstance(m, CONTAINERS)}
    boxes = {n: m for n, m in inner.items() if type(m) is nn.Sequential}
    layers = {n: m for n, m in weighty.items() if n not in inner and _has_matrix(m)}
    return next(filter(None, map(_longest_row, (blocks, boxes, layers))), [])


def _longest_row(modules: Mapping[str, nn.Module]) -> list[str]:
    """List the members of the class with the most siblings, among those with half of the weights.

    The half is that of the class with most; without this rule small parts, such as the norms within
    a block, would win.
    """
    groups: dict[type, list[str]] = defaultdict(list)
    for name, module in modules.items():
        groups[type(module)].append(name)
    rows = {kind: _outermost(names) for kind, names in groups.items()}
    sizes = {kind: sum(_size(modules[name]) for name in row) for kind, row in rows.items()}
    lengths = {
        kind: max(Counter(name.rpartition(".")[0] for name in row).values())
        for kind, row in rows.items()
    }
    fit = [k for k in rows if 2 * sizes[k] >= max(sizes.values()) and lengths[k] > 1]
    return rows[max(fit, key=lambda kind: (lengths[kind], sizes[kind]))] if fit else []


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters())


def _outermost(names: Iterable[str]) -> list[str]:
    """Leave out what lies within another."""
    kept: dict[str, None] = {}
    for name in names:
        parts = name.split(".")
        if not any(".".join(parts[:end]) in kept for end in range(1, len(parts))):
            kept[name] = None
    return list(kept)


def _fits(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _site(name: str, modules: Mapping[str, nn.Module]) -> Site:
    """Name the parts of a block where their names say what they are."""
    branch = f"{name}.branch"
    places = (name, f"{name}.connection", f"{name}.connection.skip")
    shortcuts = [f"{place}.{word}" for place in places for word in SHORTCUTS]
    found = [s for s in shortcuts if s in modules and s != f"{name}.connection.skip"]
    return Site(
        name=name,
        branch=branch if branch in modules else None,
        shortcut=found[0] if found else None,
    )


def _nearest(pattern: str, names: Iterable[str]) -> str:
    """Offer the name that is most like a pattern; with ``*`` in it, names have it too."""
    numbered = {re.sub(r"\b\d+\b", "*", name) if "*" in pattern else name for name in names}
    found = get_close_matches(pattern, sorted(numbered), 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _offer(modules: Mapping[str, nn.Module]) -> str:
    """Name the patterns of what repeats, else some of the modules."""
    row = _ours(modules) or _repeated(modules)
    for digits in (r"\d+", r"\b\d+\b"):  # layer*.* says more at once than layer1.*, layer2.*
        patterns = list(dict.fromkeys(re.sub(digits, "*", name) for name in row))
        fitting = [name for name in modules if any(_fits(name, each) for each in patterns)]
        if row and len(patterns) < len(row) and set(_outermost(fitting)) == set(row):
            return f"what repeats fits {', '.join(map(repr, patterns[:8]))}"
    return f"there are {_some(modules)}"


def _some(modules: Mapping[str, nn.Module]) -> str:
    names = list(modules)
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "no parts at all"
