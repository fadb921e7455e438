"""Groups of parameters: the part each plays, which decay, and which have a lower rate."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase as RunningNorm

from skipwise.connections import Connection
from skipwise.description import nearest

NORMS = (RunningNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
ROLES = ("stem", "branch", "head", "norm", "bias", "scale")
DECAYING = ROLES[:3]


def decays(role: str) -> bool:
    """Whether weight decay is due to what plays a part, unless a factor says otherwise.

    Not to biases and scales (fewer than two axes), and not to the mixing matrices that a connection
    holds itself: pulling these to zero pulls the stream to zero.
    """
    return role in DECAYING


def roles(module: nn.Module) -> dict[str, str]:
    """Name the part that each parameter plays: one of ``ROLES``.

    Matrices and filters are those of the ``stem``, the ``head`` or a ``branch`` (all between them,
    shortcuts among them). Where a module has no children called stem and head, its first and its
    last one count as such. A ``norm`` has its weights and biases, ``bias`` are those of matrices,
    and ``scale`` is what a connection holds itself.
    """
    of_norms, of_connections = _held_by(module, NORMS), _held_by(module, Connection)
    named = dict(module.named_parameters())
    spared = of_norms | of_connections
    matrices = [name for name, p in named.items() if p.dim() >= 2 and name not in spared]
    ends = {f"{end}." for end in ("stem", "head")}
    if all(any(name.startswith(end) for name in matrices) for end in ends):
        at_ends = {
            name: name.partition(".")[0] for name in matrices if name.startswith(tuple(ends))
        }
    else:
        at_ends = dict(zip(matrices[-1:] + matrices[:1], ("head", "stem"), strict=False))
    plain = {name: at_ends.get(name, "branch") for name in matrices}
    others = {
        name: "norm" if name in of_norms else "bias" if name.endswith("bias") else "scale"
        for name in named
        if name not in plain
    }
    return {name: plain.get(name) or others[name] for name in named}


def _held_by(module: nn.Module, kinds: type[nn.Module] | tuple[type[nn.Module], ...]) -> set[str]:
    """Name the parameters that modules of such kinds hold themselves."""
    return {
        f"{owner}.{name}" if owner else name
        for owner, part in module.named_modules()
        if isinstance(part, kinds)
        for name, _ in part.named_parameters(recurse=False)
    }


def parameter_groups(
    module: nn.Module,
    weight_decay: float,
    *,
    layer_decay: float = 1.0,
    distances: Mapping[str, int] | None = None,
    scalar_rate: float = 1.0,
    rates: Mapping[str, float] | None = None,
    decay_factors: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Split the trainable parameters by role, by distance from the head, and by size.

    Each group says its ``role``, its ``weight_decay`` and its ``factor`` on the rate.

    Args:
        module: Any module.
        weight_decay: Of those that decay.
        layer_decay: d; the group at distance k has ``factor`` d^k, which multiplies the rate.
        distances: Blocks between a parameter and the head, by name; 0 where it is not named.
        scalar_rate: Multiplies ``factor`` for parameters of one number, but those of the head.
        rates: Multiply ``factor``, by role.
        decay_factors: Multiply ``weight_decay``, by role; 1 for stem, branch and head, else 0.

    Raises:
        ValueError: If there is nothing to train, or nothing of a role or size that is named.
    """
    far, parts = distances or {}, roles(module)
    rates, decay_factors = rates or {}, decay_factors or {}
    _check_there((*rates, *decay_factors), parts.values())
    scalars = _scalars(module, parts) if scalar_rate != 1.0 else set()
    groups: dict[tuple[int, int, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            role = ROLES.index(parts[name])
            kind = (far.get(name, 0), role, name in scalars)
            groups.setdefault(kind, []).append(parameter)
    if not groups:
        raise ValueError("the network has no trainable parameter")
    return [
        {
            "params": groups[kind],
            "role": ROLES[role],
            "weight_decay": weight_decay * decay_factors.get(ROLES[role], decays(ROLES[role])),
            "factor": layer_decay**distance
            * (scalar_rate if is_scalar else 1.0)
            * rates.get(ROLES[role], 1.0),
        }
        for kind in sorted(groups)
        for distance, role, is_scalar in (kind,)
    ]


def _scalars(module: nn.Module, parts: Mapping[str, str]) -> set[str]:
    """Name the parameters of one number, but those of a head with one output.

    Raises:
        ValueError: If there are none.
    """
    heads = {name.rpartition(".")[0] for name, role in parts.items() if role == "head"}
    sizes = {name: p.numel() for name, p in module.named_parameters()}
    found = {n for n, size in sizes.items() if size == 1 and n.rpartition(".")[0] not in heads}
    if not found:
        raise ValueError(
            "the network has no parameter of one number, so scalar_rate has no effect; leave it out"
        )
    return found


def _check_there(named: Iterable[str], there: Collection[str]) -> None:
    for role in named:
        if role not in there:
            raise ValueError(
                f"the network has no parameter of the role {role!r}, so nothing can be set for it"
                f"{nearest(role, set(there))}"
            )
