"""The rules of transfer over depth against the reference's table; families of networks."""

from dataclasses import replace

import pytest
import torch

from skipwise.connections import Additive, Highway, StochasticDepth
from skipwise.description import Call
from skipwise.networks import ResidualMLP, ResNet, resnet18, resnet50, resnet101
from skipwise.strategies import (
    LARS,
    SAM,
    SGD,
    Adam,
    AdamW,
    Lookahead,
    Muon,
    Optimiser,
    RAdam,
    Shampoo,
    adam,
    momentum,
)
from skipwise.tuning import at_other_depth, between, check_family, depth_of, factors, gradient_power

ROOT = Additive(scale_by_depth=0.5, base_depth=3)
SHALLOW = ResNet(name="shallow", blocks=(1, 1, 1), width=4)
DEEP = replace(SHALLOW, name="deep", blocks=(9, 9, 9))


@pytest.mark.parametrize(
    ("power", "gradient", "rate", "epsilon"),
    [
        (0.5, 1, 1.0, 1.0),  # SGD, branches / √m: × 1
        (0.5, 0, 9**-0.5, 9**-0.5),  # Adam, / √m: × m^−½, ε × m^−½
        (1.0, 1, 9.0, 1.0),  # SGD, / m: × m
        (1.0, 0, 1.0, 1 / 9),  # Adam, / m (CompleteP): × 1, ε × m^−1
        (0.0, 1, 1.0, 1.0),  # no factor by depth: nothing to go by
        (0.0, 0, 1.0, 1.0),
    ],
)
def test_the_factors_are_those_of_the_table(
    power: float, gradient: int, rate: float, epsilon: float
):
    found = factors(power, gradient, 9.0)
    assert (found.rate, found.epsilon) == pytest.approx((rate, epsilon), rel=1e-12)


@pytest.mark.parametrize(
    ("rule", "power"),
    [
        (SGD(), 1),
        (SGD(momentum=0.9, nesterov=True), 1),
        (Adam(), 0),
        (AdamW(), 0),
        (RAdam(), 0),
        (Muon(), 0),
    ],
)
def test_the_family_of_a_rule_is_measured(rule: Optimiser, power: int):
    assert gradient_power(rule) == power


def test_a_rule_of_neither_family_is_refused():
    class Cubic(torch.optim.SGD):
        def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
            assert closure is not None
            closure()
            for parameter in self.param_groups[0]["params"]:
                parameter.data.sub_(1e-3 * parameter.grad**3)

    class Rule(Optimiser):
        def build(self, groups, *, rate):
            return Cubic(groups, lr=rate)

    with pytest.raises(ValueError, match=r"the update of Rule grows .* to the power 3.00"):
        gradient_power(Rule())


def test_the_strategy_of_a_deeper_network_scales_what_lies_between_stem_and_head():
    present = {"stem", "head", "branch", "norm", "bias"}
    tuned = replace(adam(), rates={"norm": 0.5})
    found = at_other_depth(tuned, replace(DEEP, connection=ROOT), 9.0, present)
    third = pytest.approx(1 / 3)
    assert found.rates == {"norm": pytest.approx(1 / 6), "branch": third, "bias": third}
    assert found.peak_lr == tuned.peak_lr
    assert isinstance(found.optimiser, Adam)
    assert found.optimiser.epsilon == pytest.approx(1e-8 / 3)
    assert at_other_depth(momentum(), replace(DEEP, connection=ROOT), 9.0, present) == momentum()
    assert at_other_depth(tuned, DEEP, 9.0, present) == tuned


@pytest.mark.parametrize(
    "rule", [Muon(others=SGD(momentum=0.9)), Lookahead(base=Muon(others=SGD())), LARS()], ids=repr
)
def test_what_is_no_branch_is_scaled_by_the_power_that_the_rule_has_for_it(rule: Optimiser):
    """Branches go by p = 0, the rest by p = 1: η × m^(a − 1) and η × m^(2a − 1)."""
    present, tuned = {"stem", "head", "branch", "norm"}, replace(adam(), optimiser=rule)
    for power, wanted in ((0.5, {"branch": 1 / 3}), (1.0, {"norm": 9.0})):
        network = replace(DEEP, connection=replace(ROOT, scale_by_depth=power))
        assert at_other_depth(tuned, network, 9.0, present).rates == pytest.approx(wanted)


def test_every_epsilon_has_a_path():
    assert Lookahead(base=Muon(others=AdamW())).epsilons == {"base.others.epsilon": 1e-8}
    assert SGD().epsilons == {}


def test_epsilon_follows_in_every_rule_that_has_one():
    sam = SAM(base=Adam()).for_gradients(1 / 3)
    assert isinstance(sam.base, Adam)
    assert sam.base.epsilon == pytest.approx(1e-8 / 3)
    muon = Muon(others=AdamW()).for_gradients(1 / 3)
    assert isinstance(muon.others, AdamW)
    assert muon.others.epsilon == pytest.approx(1e-8 / 3)
    assert Shampoo().for_gradients(1 / 3).epsilon == pytest.approx(1e-4 / 9)
    assert SGD(momentum=0.9).for_gradients(1 / 3) == SGD(momentum=0.9)


def test_the_factor_of_a_branch_falls_with_the_depth():
    assert Additive().scale_at(50) == 1.0
    assert ROOT.scale_at(3) == 1.0
    assert ROOT.scale_at(12) == pytest.approx(0.5)
    assert Additive(scale=0.2, scale_by_depth=1.0).scale_at(5) == pytest.approx(0.04)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 2"):
        Additive(scale_by_depth=2.0)
    with pytest.raises(ValueError, match="base_depth has no effect without scale_by_depth"):
        Additive(base_depth=3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Additive(base_depth=0, scale_by_depth=0.5)


def test_depths_between_two_networks_are_geometric():
    assert [depth_of(between(SHALLOW, DEEP, t)) for t in (0.0, 0.5, 1.0)] == [3, 9, 27]
    middle = between(resnet50(), resnet101(), 0.5)
    assert isinstance(middle, ResNet)
    assert middle.blocks == (3, 4, 12, 3)  # √(6·23) = 11.7
    assert depth_of(between(ResidualMLP(blocks=2), ResidualMLP(blocks=32), 0.5)) == 8
    few, many = (Call(target="a:b", arguments={"blocks": n, "width": 4}) for n in (1, 16))
    assert between(few, many, 0.5) == Call(target="a:b", arguments={"blocks": 4, "width": 4})


def test_branches_that_are_dropped_are_scaled_as_those_that_are_not():
    dropped = [replace(DEEP, connection=StochasticDepth(inner=sum_)) for sum_ in (Additive(), ROOT)]
    shallow = replace(SHALLOW, connection=StochasticDepth())
    for network in dropped:
        check_family(shallow, network)
    kept = replace(DEEP, connection=ROOT)
    found, wanted = (at_other_depth(adam(), n, 9.0, {"branch"}) for n in (dropped[1], kept))
    assert found == wanted
    assert found.rates == {"branch": pytest.approx(9.0**-0.5)}


def test_networks_of_one_family_differ_in_their_blocks_only():
    check_family(SHALLOW, DEEP)
    check_family(SHALLOW, replace(DEEP, connection=ROOT))  # at 3 blocks the same factor
    check_family(resnet50(), resnet101())
    for other, told in (
        (replace(DEEP, width=8), "they differ in width"),
        (replace(DEEP, connection=Highway()), "they differ in connection"),
        (replace(DEEP, connection=StochasticDepth()), "they differ in connection"),
        (replace(DEEP, blocks=(9, 9)), "3 stages of blocks here and 2 there"),
        (ResidualMLP(blocks=9), "not of one family"),
        (Call(target="a:b", arguments={"blocks": 9}), "not of one family"),
        (SHALLOW, "has 3 blocks and this one 3; a rate is taken over to a deeper"),
        (replace(DEEP, connection=replace(ROOT, base_depth=12)), "connection.base_depth=3"),
    ):
        with pytest.raises(ValueError, match=told):
            check_family(SHALLOW, other)
    with pytest.raises(ValueError, match="b has no number of blocks"):
        check_family(Call(target="a:b"), DEEP)
    with pytest.raises(ValueError, match="they differ in branch"):
        check_family(resnet18(), resnet101())
