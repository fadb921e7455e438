"""The named strategies: names, docstrings, files, and what the command line says of them."""

import json
import sys

import pytest
from torch import nn

from skipwise.conformity.rehearsal import WITHOUT_NORMS, rehearsal
from skipwise.description import from_plain, to_plain
from skipwise.strategies import (
    GSAM,
    LAMB,
    LARS,
    SGD,
    SGDW,
    Adan,
    Cosine,
    NAdamW,
    Steps,
    WarmupLinear,
    agc_nf,
    named_strategies,
    parameter_groups,
)
from skipwise.strategies.transforms import unit_norms
from skipwise.training import train
from tests.cli.commands import call, fails

MAKERS = named_strategies()
TABLE = (
    "sgd-cosine sgdw-algoperf sgd-onecycle sgd-step sgd-wsd adamw-cosine nadamw-algoperf muon lamb"
    " lars lion adan soap shampoo prodigy schedulefree-adamw schedulefree-sgd sam asam gsam"
    " lookahead ema swa lawa nadam radam rmsprop adagrad adafactor lbfgs sgd momentum nesterov"
    " nesterov-triangle muon-triangle adam adamw finetuning adopt mars cautious-adamw agc-nf"
).split()


def test_the_whole_table_is_there():
    assert set(MAKERS) == set(TABLE)


@pytest.mark.parametrize("name", MAKERS)
def test_every_strategy_has_its_name_a_plain_form_and_its_own_groups(name: str):
    strategy = MAKERS[name]()
    assert strategy.name == name
    assert from_plain(to_plain(strategy)) == strategy
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Linear(4, 2)]
    network = nn.Sequential(*layers)
    optimiser = strategy.build(network)
    wanted = {
        id(p): (group["role"], group["weight_decay"])
        for group in parameter_groups(network, strategy.weight_decay)
        for p in group["params"]
    }
    if name != "lbfgs":  # it has one group, no decay and no rates of groups
        found = {
            id(p): (group["role"], group["weight_decay"])
            for group in optimiser.param_groups
            for p in group["params"]
        }
        assert found == wanted


def test_gsam_has_the_radius_and_share_that_its_authors_take_for_residual_networks():
    assert MAKERS["gsam"]().optimiser == GSAM(radius=0.04, share=0.01)


def test_adan_has_the_numbers_of_its_authors_longest_run():
    """sail-sg/Adan, CV/timm: args_res50_300.yaml; 8 processes with batches of 256."""
    found = MAKERS["adan"]()
    assert (found.peak_lr, found.rate_batch, found.clip_norm) == (0.015, 8 * 256, 5.0)
    assert (found.weight_decay, found.label_smoothing) == (0.02, 0.0)
    assert found.optimiser == Adan(beta1=0.98, beta2=0.92, beta3=0.99, epsilon=1e-8)
    assert found.schedule == Cosine(warmup=60 / 300)


NAG = SGD(momentum=0.9, nesterov=True)


@pytest.mark.parametrize(
    ("name", "rule", "rate", "decay", "smoothing", "schedule"),
    [
        # AlgoPerf, external tuning, trial 1 of "Generalized Adam"; its baseline NadamW.
        (
            "sgdw-algoperf",
            SGDW(momentum=0.972, nesterov=True),
            (1.949, 1024, "linear"),
            2.4e-4,
            0.2,
            Cosine(warmup=0.1),
        ),
        (
            "nadamw-algoperf",
            NAdamW(beta1=0.973, beta2=0.998, epsilon=1e-8),
            (1.3e-3, 1024, "sqrt"),
            0.164,
            0.1,
            Cosine(warmup=0.1),
        ),
        # He et al. (2016), section 4.2; Page (2018); Wightman et al. (2021), recipe A2.
        (
            "sgd-step",
            SGD(momentum=0.9),
            (0.1, 128, "linear"),
            1e-4,
            0.0,
            Steps(milestones=(0.5, 0.75), decay=0.1),
        ),
        ("sgd-onecycle", NAG, (0.4, 512, "linear"), 5e-4, 0.0, WarmupLinear(warmup=5 / 24)),
        ("lamb", LAMB(), (5e-3, 2048, "sqrt"), 0.02, 0.0, Cosine(warmup=0.05)),
        # Zagoruyko, Komodakis (2016), section 3; You et al. (2017); Brock et al. (2021), NFNet.
        ("nesterov", NAG, (0.1, 128, "none"), 5e-4, 0.0, Cosine(warmup=0.05)),
        (
            "lars",
            LARS(momentum=0.9, trust=1e-3),
            (0.1, 256, "linear"),
            1e-4,
            0.1,
            Cosine(warmup=0.05),
        ),
        ("agc-nf", NAG, (0.1, 256, "linear"), 2e-5, 0.1, Cosine(warmup=5 / 360)),
    ],
)
def test_a_recipe_has_the_numbers_of_its_source(name, rule, rate, decay, smoothing, schedule):
    found = MAKERS[name]()
    assert found.optimiser == rule
    assert (found.peak_lr, found.rate_batch, found.rate_rule) == rate
    assert (found.weight_decay, found.label_smoothing) == (decay, smoothing)
    assert found.schedule == schedule


def test_agc_nf_bounds_every_unit_of_a_network_without_norms_but_the_heads():
    run = rehearsal(agc_nf(), network=WITHOUT_NORMS)
    named = dict(run.model.named_parameters())
    limits = {name: 0.01 * unit_norms(p.detach()).clamp(min=1e-3) for name, p in named.items()}
    next(iter(train(run)))
    lengths = {name: unit_norms(p.grad) for name, p in named.items() if p.grad is not None}
    shares = {name: float((length / limits[name]).max()) for name, length in lengths.items()}
    heads = [shares.pop(name) for name in named if name.startswith("head.")]
    assert max(shares.values()) == pytest.approx(1, rel=1e-12)
    assert min(heads) > 10


def test_the_command_line_spells_them_with_hyphens(capsys):
    assert call(capsys, "list", "strategies", "--json")[0] == 0
    _, out, _ = call(capsys, "list", "strategies", "--json")
    assert set(json.loads(out)) == set(TABLE)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--strategy", "sgd-cosin"), "no strategy 'sgd-cosin'; did you mean 'sgd-cosine'?"),
        (("--strategy", "sgd_cosine", "--set", "strategy.optimiser.beta9=1"), "SGD has no field"),
        (("--strategy", "adan", "--set", "strategy.optimiser.beta4=1"), "did you mean 'beta"),
        (("--strategy", "muon", "--set", "strategy.peak_lr=0"), "peak_lr must be positive, got 0"),
        (
            ("--strategy", "lbfgs", "--network", "resnet18"),
            "LBFGS is for at most 500,000 parameters and these are 11,",
        ),
        (
            ("--strategy", "prodigy", "--set", "strategy.layer_decay=0.5"),
            "Prodigy has one rate for all parameters; leave layer_decay",
        ),
    ],
)  # fmt: skip
def test_wrong_words_are_one_sentence(words: tuple[str, ...], told: str, capsys):
    assert told in fails(capsys, "train", "digits", "--steps", "1", *words)


def test_a_missing_package_is_one_sentence_and_lists_still_work(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    told = fails(capsys, "train", "digits", "--steps", "1", "--strategy", "soap")
    assert 'install it: .venv/bin/pip install -e ".[optimizers]"' in told
    assert call(capsys, "list", "strategies")[0] == 0
