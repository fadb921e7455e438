"""Arms are a product, each with a name of its own; the family is what differs in one thing."""

from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from skipwise.data import Arrays
from skipwise.description import Call
from skipwise.networks import plain20, plain56, resnet20, resnet56
from skipwise.strategies import EMA, adam, momentum, sgd
from skipwise.studies import arms_of, family_of, study_of
from skipwise.studies.ablation import parts_of, plain, without
from tests.references import rings_file
from tests.studies.small import small_study


def test_arms_are_the_product_and_are_named_by_what_differs(tmp_path: Path):
    vary = {"network.width": (8, 16)}
    study, _ = small_study(tmp_path, sgd(), adam(), vary=vary)
    arms = arms_of(study)
    assert [arm.name for arm in arms] == [
        "sgd width=8",
        "sgd width=16",
        "adam width=8",
        "adam width=16",
    ]
    assert [getattr(arm.experiment.network, "width", None) for arm in arms] == [8, 16, 8, 16]
    assert [arm.experiment.strategy.name for arm in arms] == ["sgd", "sgd", "adam", "adam"]
    assert arms[3].run(seed=7) == replace(arms[3].experiment, seed=7)


def test_each_strategy_is_compared_with_the_first_of_its_own_values(tmp_path: Path):
    vary = {"sgd:strategy.peak_lr": (0.1, 0.3), "adam:strategy.peak_lr": (0.01, 0.1)}
    study, _ = small_study(tmp_path, sgd(), adam(), vary=vary)
    family = set(family_of(study, arms_of(study)))
    assert ("sgd peak_lr=0.3", "sgd peak_lr=0.1") in family
    assert ("adam peak_lr=0.1", "adam peak_lr=0.01") in family


def test_a_path_may_vary_the_arms_of_one_strategy_only(tmp_path: Path):
    study, _ = small_study(tmp_path, sgd(), adam(), vary={"adam:strategy.peak_lr": (0.001, 0.01)})
    arms = arms_of(study)
    assert [arm.name for arm in arms] == ["sgd", "adam peak_lr=0.001", "adam peak_lr=0.01"]
    assert [arm.experiment.strategy.peak_lr for arm in arms] == [0.5, 0.001, 0.01]


def test_strategies_meet_the_baseline_and_residual_networks_their_twins(tmp_path: Path):
    networks = (plain20(), resnet20(), plain56(), resnet56())
    strategies = (sgd(), momentum(), adam())
    study, _ = small_study(tmp_path, *strategies, networks=networks, baseline="sgd")
    family = family_of(study, arms_of(study))
    expected = {
        (f"{network} {strategy}", f"{network} sgd")
        for network in ("plain20", "resnet20", "plain56", "resnet56")
        for strategy in ("momentum", "adam")
    } | {
        (f"resnet{depth} {strategy}", f"plain{depth} {strategy}")
        for depth in (20, 56)
        for strategy in ("sgd", "momentum", "adam")
    }
    assert set(family) == expected
    assert len(family) == len(expected) == 14


def test_varied_values_meet_the_first_and_networks_alone_the_first(tmp_path: Path):
    study, _ = small_study(tmp_path, sgd(), vary={"strategy.peak_lr": (0.1, 0.2, 0.4)})
    assert family_of(study, arms_of(study)) == (
        ("peak_lr=0.2", "peak_lr=0.1"),
        ("peak_lr=0.4", "peak_lr=0.1"),
    )
    study, _ = small_study(tmp_path, sgd(), networks=(resnet20(), resnet56()))
    assert family_of(study, arms_of(study)) == (("resnet56", "resnet20"),)


def test_a_declared_family_is_taken_as_it_is(tmp_path: Path):
    study, _ = small_study(tmp_path, sgd(), momentum(), adam(), family=(("adam", "momentum"),))
    assert family_of(study, arms_of(study)) == (("adam", "momentum"),)
    wrong = replace(study, family=(("adam", "momentun"),))
    with pytest.raises(ValueError, match="no 'momentun'; did you mean 'momentum'"):
        family_of(wrong, arms_of(wrong))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"baseline": "sdg"}, "the baseline 'sdg' is neither .*; did you mean 'sgd'"),
        ({"vary": {"adm:strategy.peak_lr": (1.0, 2.0)}}, "arms of 'adm', which the study does not"),
        ({"vary": {"strategy.peak_lrr": (1.0, 2.0)}}, "no field 'peak_lrr'; did you mean"),
        ({"strategies": (sgd(), sgd())}, "two arms are called 'sgd'"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, fields: dict, told: str):
    study, _ = small_study(tmp_path, **fields)
    with pytest.raises(ValueError, match=told):
        family_of(study, arms_of(study))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"seeds": 0}, "at least 1 seed, got 0"),
        ({"trials": 1}, "at least 2 trials"),
        ({"tuner": "grid"}, "tuner must be one of random, optuna"),
        ({"halving": True}, "halving needs at least 3 trials an arm, got 0"),
        ({"halving": True, "trials": 2}, "halving needs at least 3 trials an arm, got 2"),
        ({"halving": True, "trials": 4, "tuner": "optuna"}, "optuna chooses each by the scores"),
        ({"tuner": "optuna"}, "'optuna' has no effect without tuning; say --tune TRIALS"),
        ({"margin": 0.0}, "margin must be positive"),
        ({"vary": {"data.shares.test": (0.1, 0.2)}}, "all arms share data, seeds and length"),
        ({"ablate": True, "strategies": (sgd(), adam())}, "an ablation is of one strategy"),
        ({"strategies": ()}, "at least one network and one strategy"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(tmp_path: Path, fields: dict, told: str):
    with pytest.raises(ValueError, match=told):
        small_study(tmp_path, **fields)


def test_an_ablation_leaves_each_part_out_and_adds_each_to_none(tmp_path: Path):
    whole = replace(sgd(), label_smoothing=0.1, averaging=EMA(), clip_norm=1.0)
    parts = parts_of(whole)
    assert set(parts) == {
        "schedule", "weight_decay", "label_smoothing", "averaging", "clip_norm",
    }  # fmt: skip
    assert parts_of(plain(whole)) == {}
    assert without(whole, parts["averaging"]) == replace(whole, averaging=None)
    study, _ = small_study(tmp_path, whole, ablate=True)
    arms = {arm.name: arm.experiment.strategy for arm in arms_of(study)}
    assert len(arms) == 1 + 5 + 1 + 5
    only = arms["sgd only clip_norm"]
    assert replace(only, name="sgd", clip_norm=None) == plain(whole)
    family = family_of(study, arms_of(study))
    assert ("sgd without averaging", "sgd") in family
    assert ("sgd only averaging", "sgd without parts") in family
    assert len(family) == 10


class MyNet(nn.Module):
    pass


def test_a_class_of_a_users_own_is_named_so_that_another_process_finds_it(tmp_path: Path):
    data = Arrays(path=str(rings_file(tmp_path / "rings.npz", 120)))
    study, _ = study_of(data, [MyNet, resnet20()], epochs=1)
    assert study.networks[0] == Call(target=f"{__name__}:MyNet")
    with pytest.raises(TypeError, match="network must be a description"):
        study_of(data, [MyNet()], epochs=1)


def test_decay_and_its_factors_are_one_part_and_the_batch_of_the_rate_is_none(tmp_path: Path):
    factors = {"norm": 1.0}
    whole = replace(sgd(), decay_factors=factors, rate_batch=256, rate_rule="linear")
    study, _ = small_study(tmp_path, whole, ablate=True)
    arms = {arm.name: arm.experiment.strategy for arm in arms_of(study)}
    assert len(arms) == 1 + 2 + 1 + 2
    assert all((s.rate_batch, s.rate_rule) == (256, "linear") for s in arms.values())
    assert not arms["sgd without weight_decay"].decay_factors
    assert arms["sgd only weight_decay"].decay_factors == factors
