"""A network at other depths, and what theory says becomes of its learning rate there.

``x ← x + m^(−a)·F(x)`` with m = L/L₀, L blocks against L₀. Of a rule whose update grows as the
gradient to the power p (1: SGD and its kind; 0: Adam, Lion, Muon) one step with rate η changes a
branch's weights by ``η·m^(−ap)``, since its gradient carries the factor m^(−a); what the branch
writes by m^(−a) of that, and L branches together the stream by ``L·η·m^(−a(1 + p))``. So that the
stream moves alike at every depth,

    η ∝ m^(a(1 + p) − 1)    and    Adam's ε ∝ m^(−a).

Source: a = ½: Bordelon et al. (2023), 2309.16620; Yang et al. (2023), 2310.02244; a = 1: Dey et al.
(2025), CompleteP, 2505.01618, table 1. The derivation for both rows in one formula is ours.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from skipwise.connections import Additive, ConnectionDescription, StochasticDepth
from skipwise.description import Call, to_plain
from skipwise.networks import NetworkDescription
from skipwise.randomness import generator
from skipwise.strategies import Optimiser, Strategy

AnyNetwork = NetworkDescription | Call
OF_DEPTH = ("blocks", "name")  # fields in which networks of one family differ
BRANCH = "branch"
ENDS = ("stem", "head")  # whose rates stay
LATE = 12  # updates; RAdam's first ones are those of momentum, and SOAP's first is none


@dataclass(frozen=True, kw_only=True)
class Factors:
    """What the rate, and the ε of a rule that has one, are multiplied by."""

    rate: float
    epsilon: float


def factors(power: float, gradient_power: int, ratio: float) -> Factors:
    """Give the factors on rate and ε in a network m times as deep.

    >>> factors(0.5, 0, 4.0), factors(1.0, 1, 4.0)
    (Factors(rate=0.5, epsilon=0.5), Factors(rate=4.0, epsilon=1.0))

    Args:
        power: a, of the branch's factor m^(−a); 0 where branches have no factor by depth: theory
            then names no rule, the rate stays, and what is measured must decide.
        gradient_power: p.
        ratio: m.
    """
    if power == 0:
        return Factors(rate=1.0, epsilon=1.0)
    epsilon = ratio**-power if gradient_power == 0 else 1.0
    return Factors(rate=ratio ** (power * (1 + gradient_power) - 1), epsilon=epsilon)


def gradient_power(rule: Optimiser, role: str = BRANCH) -> int:
    """Measure p: by what power of two an update grows if all gradients are doubled.

    Args:
        rule: The update rule.
        role: Of the parameter that is updated: a matrix for a branch, else a vector.

    Raises:
        ValueError: If it is neither 0 nor 1, so that no rule is known.
    """
    once, twice = (_late_update(rule, role, factor) for factor in (1.0, 2.0))
    power = math.log2(float(twice / once)) if once > 0 and twice > 0 else math.nan
    if not min(abs(power), abs(power - 1)) < 0.1:
        raise ValueError(
            f"the update of {type(rule).__name__} grows as the gradient to the power {power:.2f};"
            " how a rate goes with the depth is known for 0 and 1"
        )
    return round(power)


def _late_update(rule: Optimiser, role: str, factor: float) -> Tensor:
    """Give the size of an update late enough for rules that begin otherwise than they go on."""
    noise = generator("updates")

    def drawn(kind: str) -> Tensor:
        return torch.randn((6, 4) if kind == BRANCH else 6, generator=noise, dtype=torch.float64)

    weights = {kind: nn.Parameter(drawn(kind)) for kind in dict.fromkeys((BRANCH, role))}
    groups = [
        {"params": [weight], "role": kind, "weight_decay": 0.0, "factor": 1.0}
        for kind, weight in weights.items()
    ]
    optimiser, before = rule.build(groups, rate=1e-3), weights[role].detach().clone()
    for _ in range(LATE):
        gradients = {kind: factor * drawn(kind) for kind in weights}
        before = weights[role].detach().clone()

        def closure(gradients: dict[str, Tensor] = gradients) -> Tensor:
            for kind, gradient in gradients.items():
                weights[kind].grad = gradient.clone()
            return torch.zeros(())

        optimiser.step(closure)  # pyright: ignore
    return (weights[role].detach() - before).norm()


def depth_of(network: AnyNetwork) -> int:
    """Count the blocks of a network.

    Raises:
        ValueError: If it has no number of blocks.
    """
    blocks = _blocks(network)
    return blocks if isinstance(blocks, int) else sum(blocks)


def _blocks(network: AnyNetwork) -> int | tuple[int, ...]:
    known = network.arguments if isinstance(network, Call) else vars(network)
    blocks = known.get("blocks")
    if isinstance(blocks, list):  # as YAML has it
        blocks = tuple(blocks)
    if not isinstance(blocks, int | tuple) or isinstance(blocks, bool):
        raise ValueError(
            f"{network.name} has no number of blocks, so it cannot be made deeper; a function of"
            " your own takes it as an argument named blocks"
        )
    return blocks


def between(shallow: AnyNetwork, deep: AnyNetwork, share: float) -> AnyNetwork:
    """Give the network whose blocks lie so far from the shallow to the deep one, geometrically.

    Each stage has ``s^(1 − t)·d^t`` blocks, rounded, t being the share.
    """
    few, many = _blocks(shallow), _blocks(deep)
    if isinstance(few, int) and isinstance(many, int):
        return _with_blocks(deep, _mean(few, many, share))
    assert isinstance(few, tuple)
    assert isinstance(many, tuple)
    return _with_blocks(deep, tuple(_mean(*pair, share) for pair in zip(few, many, strict=True)))


def _mean(few: int, many: int, share: float) -> int:
    return max(round(few ** (1 - share) * many**share), 1)


def _with_blocks(network: AnyNetwork, blocks: int | tuple[int, ...]) -> AnyNetwork:
    if isinstance(network, Call):
        return replace(network, arguments={**network.arguments, "blocks": blocks})
    return replace(network, blocks=blocks)  # pyright: ignore


def power_of(network: AnyNetwork) -> float:
    """Give a: the power of the depth that divides the branches; 0 where none is known."""
    found = _sum_of(network)
    return 0.0 if found is None else found.scale_by_depth


def _sum_of(network: AnyNetwork) -> Additive | None:
    connection = None if isinstance(network, Call) else vars(network).get("connection")
    while isinstance(connection, StochasticDepth):
        connection = connection.inner
    return connection if isinstance(connection, Additive) else None


def check_family(shallow: AnyNetwork, deep: AnyNetwork) -> None:
    """Refuse two networks that differ in more than their depth.

    The branches' factor may be described anew, if it is the same at the shallow network's depth.

    Raises:
        ValueError: If they do, or the deep one is not deeper.
    """
    few, many = _blocks(shallow), _blocks(deep)
    stages = [(few,) if isinstance(few, int) else few, (many,) if isinstance(many, int) else many]
    other = _difference(_plain(shallow), _plain(deep))
    if other is None and len(stages[0]) != len(stages[1]):
        other = f"{len(stages[0])} stages of blocks here and {len(stages[1])} there"
    if other is not None:
        raise ValueError(
            f"{shallow.name} and {deep.name} are not of one family, they differ in {other};"
            " a rate is taken over between networks that differ in their blocks only"
        )
    depths = depth_of(shallow), depth_of(deep)
    if depths[1] <= depths[0]:
        raise ValueError(
            f"the run's network has {depths[0]} blocks and this one {depths[1]}; a rate is taken"
            " over to a deeper network"
        )
    own, wanted = _sum_of(shallow), _sum_of(deep)
    scales = [s.scale_at(depths[0]) for s in (own, wanted) if s is not None]
    if scales and not math.isclose(*scales):
        raise ValueError(
            f"at the run's {depths[0]} blocks this network's branches have the factor"
            f" {scales[1]:.3g} and the run's {scales[0]:.3g};"
            f" set network.connection.base_depth={depths[0]}"
        )


def _plain(network: AnyNetwork) -> dict:
    found = _sum_of(network)
    if found is not None:
        plain = replace(found, scale=1.0, scale_by_depth=0.0, base_depth=1)
        network = _with_sum(network, plain)
    return {name: value for name, value in to_plain(network).items() if name not in OF_DEPTH}


def _with_sum(network: AnyNetwork, plain: Additive) -> AnyNetwork:
    def put(connection: ConnectionDescription) -> ConnectionDescription:
        if isinstance(connection, StochasticDepth):
            return replace(connection, inner=put(connection.inner))
        return plain

    connection = put(vars(network)["connection"])
    return replace(network, connection=connection)  # pyright: ignore


def _difference(first: dict, second: dict) -> str | None:
    for name in first.keys() | second.keys():
        if first.get(name) != second.get(name):
            return "kind" if name == "is" else name
    return None


def at_other_depth(
    strategy: Strategy, network: AnyNetwork, ratio: float, present: set[str]
) -> Strategy:
    """Give the strategy for a network so many times as deep as the one it was tuned on.

    The rate of what lies between stem and head, and the rule's ε if it has one, take the factors;
    weight decay stays. Norms, biases and scales have a p of their own: Muon leaves them to another
    rule, and LARS gives them no trust. Differs from the source: ε is one number for all parameters,
    and norms and biases of stem and head, of which there are few, go with those of the branches.

    Args:
        strategy: As it was tuned.
        network: Either of the two; it says how branches are scaled.
        ratio: m.
        present: The roles that the network's parameters have.
    """
    rule, scaled_by = strategy.optimiser, power_of(network)

    def found(role: str) -> Factors:
        return factors(scaled_by, gradient_power(rule, role), ratio)

    inner = {role: found(role).rate for role in sorted(present - set(ENDS))}
    scaled = {
        role: strategy.rates.get(role, 1.0) * rate for role, rate in inner.items() if rate != 1.0
    }
    return replace(
        strategy,
        optimiser=rule.for_gradients(found(BRANCH).epsilon),
        rates={**strategy.rates, **scaled},
    )
