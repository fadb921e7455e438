"""Schedules against closed forms, updates against their formulas, decay only where it is due."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from skipwise import strategies
from skipwise.connections import Additive, Highway, Hyper, Projected
from skipwise.networks import resnet20
from skipwise.strategies import (
    EMA,
    SAM,
    SGD,
    Centralisation,
    Constant,
    Cosine,
    Freezing,
    GradientNoise,
    Lookahead,
    OneCycle,
    Schedule,
    Steps,
    WarmupLinear,
    decays,
    lbfgs,
    parameter_groups,
    roles,
    sam,
)
from tests.references import SMALL, close
from tests.strategies.optimisers import formulas

NAMED = {
    name: vars(strategies)[name]() for name in ("sgd", "momentum", "nesterov", "adam", "adamw")
}


def factors(schedule: Schedule, steps: int) -> list[float]:
    return [schedule.factor(step, steps) for step in range(steps)]


def test_cosine_rises_and_falls_as_its_formula():
    rise = [(n + 1) / 10 for n in range(10)]
    fall = [0.5 * (1 + math.cos(math.pi * n / 90)) for n in range(90)]
    assert factors(Cosine(warmup=0.1), 100) == pytest.approx(rise + fall, rel=1e-12)


def test_the_triangle_rises_and_falls_as_its_formula():
    wanted = [(n + 1) / 20 for n in range(20)] + [1 - n / 80 for n in range(80)]
    assert factors(WarmupLinear(warmup=0.2), 100) == pytest.approx(wanted, rel=1e-12)


def test_steps_divide_by_ten_at_the_papers_milestones():
    found = factors(Steps(), 64)
    assert found == pytest.approx([1.0] * 32 + [0.1] * 16 + [0.01] * 16, rel=1e-12)
    warm = factors(Steps(milestones=(0.5,), decay=0.2, warmup=0.25), 8)
    assert warm == pytest.approx([0.5, 1, 1, 1, 0.2, 0.2, 0.2, 0.2], rel=1e-12)


def test_one_cycle_is_torchs_between_its_ends():
    from torch.optim.lr_scheduler import OneCycleLR

    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    theirs = OneCycleLR(
        optimiser, 1.0, total_steps=101, pct_start=31 / 101, div_factor=25, final_div_factor=1e4
    )
    wanted = []
    for _ in range(100):
        wanted.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step()
    ours = OneCycle(rise=0.3, start=0.04, end=4e-6)
    assert factors(ours, 100) == pytest.approx(wanted, rel=1e-9)


def test_settings_of_schedules_without_a_meaning_are_refused():
    for make, told in (
        (lambda: Steps(milestones=(0.7, 0.5)), "rising shares"),
        (lambda: Steps(decay=1.0), r"decay must lie in \(0, 1\)"),
        (lambda: OneCycle(rise=0.0), "rise is a share"),
        (lambda: OneCycle(end=0.0), "end is a factor"),
        (lambda: EMA(decay=1.0), r"decay must lie in \(0, 1\)"),
    ):
        with pytest.raises(ValueError, match=told):
            make()


def test_constant_is_one_and_no_schedule_leaves_zero_to_one():
    assert factors(Constant(), 7) == [1.0] * 7
    for schedule in (
        Cosine(),
        Cosine(warmup=0.0),
        WarmupLinear(),
        WarmupLinear(warmup=0.9),
        OneCycle(),
        Steps(warmup=0.1),
    ):
        for steps in (1, 2, 3, 50):
            assert all(0 < f <= 1 for f in factors(schedule, steps))


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("decay", [0.0, 0.03])
def test_a_strategy_follows_its_rule_at_its_rate_and_lets_weights_alone_decay(
    name: str, decay: float
):
    strategy = replace(NAMED[name], weight_decay=decay)
    rule = {"adam": formulas.adam, "adamw": formulas.adamw}.get(name, formulas.sgd)
    layer = nn.Linear(3, 2).double()
    start = [p.detach().numpy().copy() for p in layer.parameters()]
    gradients = [[torch.randn_like(p) for p in layer.parameters()] for _ in range(5)]
    optimiser = strategy.build(layer)
    for step in gradients:
        for p, g in zip(layer.parameters(), step, strict=True):
            p.grad = g.clone()
        optimiser.step()
    for n, (p, due) in enumerate(zip(layer.parameters(), (decay, 0.0), strict=True)):
        numbers = [step[n].numpy() for step in gradients]
        wanted = rule(start[n], numbers, [strategy.peak_lr] * 5, due, strategy.optimiser)
        close(p.detach(), torch.from_numpy(wanted))


def test_only_weights_of_maps_decay():
    network = replace(resnet20(), connection=Highway(), shortcut=Projected()).build(SMALL)
    named = {name for name, role in roles(network).items() if decays(role)}
    owners = {
        name: network.get_submodule(name.rpartition(".")[0])
        for name, _ in network.named_parameters()
    }
    assert named == {
        n
        for n, m in owners.items()
        if isinstance(m, nn.Conv2d | nn.Linear) and n.endswith("weight")
    }


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_norms_of_several_axes_do_not_decay(norm: type[nn.Module]):
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), norm([4, 6, 6]), nn.Linear(6, 2))
    found = {group["role"]: group["weight_decay"] for group in parameter_groups(layers, 0.1)}
    assert found == {"stem": 0.1, "head": 0.1, "norm": 0.0, "bias": 0.0}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"clip_norm": 1.0}, "strategy.clip_norm would change under it"),
        ({"gradient": (Centralisation(),)}, "strategy.gradient would change under it"),
        ({"freezing": Freezing()}, "strategy.freezing would change under it"),
    ],
)
def test_a_line_search_refuses_what_changes_its_gradient(fields, told: str):
    with pytest.raises(ValueError, match=f"LBFGS searches along a line .*{told}"):
        replace(lbfgs(), **fields)


def test_sharpness_refuses_noise_to_climb_along():
    with pytest.raises(ValueError, match="SAM would climb along the noise"):
        replace(sam(), gradient=(GradientNoise(),))
    with pytest.raises(ValueError, match="Lookahead would climb along the noise"):
        replace(sam(), optimiser=Lookahead(base=SAM()), gradient=(GradientNoise(),))


def test_the_mixing_of_streams_never_decays():
    network = replace(resnet20(), connection=Hyper()).build(SMALL)
    mixing = [name for name, p in network.named_parameters() if name.endswith("connection.mix")]
    assert len(mixing) == 9
    found = roles(network)
    assert not any(decays(found[name]) for name in mixing)


def test_every_parameter_stands_in_one_group():
    network = resnet20().build(SMALL)
    groups = parameter_groups(network, 0.1)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in network.parameters())
    named = {"stem": 0.1, "branch": 0.1, "head": 0.1, "norm": 0.0, "bias": 0.0}
    assert {group["role"]: group["weight_decay"] for group in groups} == named


def test_every_parameter_has_its_role():
    network = replace(resnet20(), connection=Hyper()).build(SMALL)
    found = roles(network)
    assert list(found) == [name for name, _ in network.named_parameters()]
    assert [name for name, role in found.items() if role == "stem"] == ["stem.conv.weight"]
    assert [n for n, r in found.items() if r in ("head", "bias")] == [
        "head.linear.weight",
        "head.linear.bias",
    ]
    convolutions = {
        n for n, p in network.named_parameters() if n.startswith("trunk") and p.dim() == 4
    }
    assert {name for name, role in found.items() if role == "branch"} == convolutions
    assert {n.rpartition(".")[2] for n, r in found.items() if r == "norm"} == {"weight", "bias"}
    assert all(
        ".connection." in name or ".inner." in name for name, r in found.items() if r == "scale"
    )


def test_a_network_of_the_users_own_has_its_ends_first_and_last():
    own = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.Linear(8, 2))
    assert roles(own) == {
        "0.weight": "stem",
        "0.bias": "bias",
        "1.weight": "norm",
        "1.bias": "norm",
        "2.weight": "branch",
        "2.bias": "bias",
        "3.weight": "head",
        "3.bias": "bias",
    }
    assert roles(nn.Linear(2, 2))["weight"] == "stem"


def test_the_rate_is_the_peak_times_the_factor():
    assert NAMED["momentum"].rate(30, 100) == pytest.approx(0.1 * Cosine().factor(30, 100))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: replace(NAMED["sgd"], peak_lr=0.0), "peak_lr must be positive, got 0.0"),
        (lambda: replace(NAMED["sgd"], weight_decay=-1.0), "weight_decay must not be negative"),
        (
            lambda: replace(NAMED["sgd"], clip_norm=0.0),
            "clip_norm must be positive, got 0.0; leave it out",
        ),
        (
            lambda: replace(NAMED["sgd"], label_smoothing=1.0),
            r"label_smoothing must lie in \[0, 1\)",
        ),
        (
            lambda: replace(NAMED["sgd"], loss="hinge"),
            "loss must be one of cross-entropy, binary, got 'hinge'",
        ),
        (lambda: SGD(nesterov=True), "nesterov has no effect without momentum"),
        (lambda: SGD(momentum=1.0), r"momentum must lie in \[0, 1\), got 1.0"),
        (lambda: Cosine(warmup=1.0), "warmup is a share of the run"),
        (lambda: strategies.Adam(beta2=2.0), "beta2 must lie"),
        (lambda: strategies.AdamW(epsilon=0.0), "epsilon must be positive"),
        (lambda: strategies.AdamW(epsilon=math.inf), "epsilon must be finite, got inf"),
        (lambda: strategies.Adagrad(start=math.inf), "start must be finite, got inf"),
        (lambda: strategies.Adafactor(clip=math.inf), "clip must be at least 1 and finite"),
        (lambda: parameter_groups(nn.ReLU(), 0.1), "no trainable parameter"),
    ],
)
def test_bad_values_are_refused_in_a_sentence(make, words: str):
    with pytest.raises(ValueError, match=words):
        make()


def test_scalars_learn_at_their_share_of_the_rate():
    strategy = replace(strategies.sgd(), weight_decay=0.0, peak_lr=0.5, scalar_rate=0.1)
    branch = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(1)), "w": torch.zeros(2, 2)})
    groups = strategy.build(branch).param_groups
    factors = {p.numel(): group["factor"] for group in groups for p in group["params"]}
    assert factors == {1: 0.1, 4: 1.0}
    with pytest.raises(ValueError, match="scalar_rate must be positive"):
        replace(strategy, scalar_rate=0.0)


def test_where_no_parameter_has_one_number_a_rate_for_them_is_refused():
    strategy = replace(strategies.sgd(), weight_decay=0.0, scalar_rate=0.1)
    with pytest.raises(ValueError, match="no parameter of one number, so scalar_rate has no"):
        strategy.build(resnet20().build(SMALL))
    one_output = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    with pytest.raises(ValueError, match="no parameter of one number"):
        strategy.build(one_output)  # its bias is the head's
    network = replace(resnet20(), connection=Additive(learned=True))
    scaled = network.build(replace(SMALL, outputs=(1,)))
    factors = {p: g["factor"] for g in strategy.build(scaled).param_groups for p in g["params"]}
    slow = {name for name, p in scaled.named_parameters() if factors[p] == 0.1}
    assert slow == {name for name, role in roles(scaled).items() if role == "scale"}


class Inner(nn.Module):
    """A module of a user's own whose layers have the names of ours."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.inner, self.connection = nn.Linear(4, 4), nn.MultiheadAttention(4, 2)


def test_layers_of_the_users_own_that_are_called_as_ours_are_branches():
    found = roles(Inner())
    matrices = ["inner.weight", "connection.in_proj_weight", "connection.out_proj.weight"]
    assert [found[name] for name in matrices] == ["branch"] * 3
    assert (found["inner.bias"], found["connection.in_proj_bias"]) == ("bias", "bias")
