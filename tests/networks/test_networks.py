"""Networks against an independent truth: other people's weights, hand-written passes, He's law."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import conv1d, conv2d, conv3d, linear

from skipwise import Residual, networks
from skipwise.connections import Hyper, Plain, StochasticDepth
from skipwise.description import Call
from skipwise.networks import (
    Block,
    NetworkDescription,
    Outermost,
    ResNet,
    Trunk,
    build_network,
    mlp,
    plain20,
    preresnet20,
    residual_linear,
    resnet20,
)
from skipwise.randomness import example_keys, examples
from skipwise.shapes import Ends, Place
from tests.references import SMALL, close, randomised

CIFAR = Ends(inputs=(3, 32, 32), outputs=(10,))


def norm(x, module, suffix=""):
    """Write BatchNorm in evaluation as its formula."""
    w, b = module[f"{suffix}weight"], module[f"{suffix}bias"]
    mean, var = module[f"{suffix}running_mean"], module[f"{suffix}running_var"]
    shape = (1, -1, *[1] * (x.dim() - 2))
    return (x - mean.view(shape)) / (var + 1e-5).sqrt().view(shape) * w.view(shape) + b.view(shape)


def halved(x):
    """Write the padded shortcut: every second position, and zeros in the new channels."""
    kept = x[(slice(None), slice(None), *[slice(None, None, 2)] * (x.dim() - 2))]
    return torch.cat([kept, 0 * kept], 1)


@pytest.mark.parametrize(
    "inputs", [(3, 8, 8), (2, 40), (1, 8, 8, 8)], ids=["pictures", "signals", "volumes"]
)
@pytest.mark.parametrize("kind", ["residual", "plain", "preactivated"])
def test_a_whole_network_equals_a_pass_written_by_hand(kind: str, inputs: tuple[int, ...]):
    ends, conv = Ends(inputs=inputs, outputs=(5,)), (conv1d, conv2d, conv3d)[len(inputs) - 2]
    description = {"residual": resnet20(), "plain": plain20(), "preactivated": preresnet20()}[kind]
    model = randomised(replace(description, blocks=(1, 1), width=4).build(ends)).eval()
    p, x = model.state_dict(), torch.randn(2, *inputs, dtype=torch.float64)
    pre = kind == "preactivated"
    h = conv(x, p["stem.conv.weight"], padding=1)
    h = h if pre else norm(h, p, "stem.norm.norm.").relu()
    for n, stride in ((0, 1), (1, 2)):
        at = f"trunk.blocks.{n}."
        w1, w2 = p[f"{at}branch.conv1.weight"], p[f"{at}branch.conv2.weight"]
        skip = halved(h) if stride == 2 else h
        if pre:
            read = norm(h, p, f"{at}connection.skip.norm.norm.").relu()
            skip = read if n == 0 else halved(read)
            f = conv(read, w1, stride=stride, padding=1)
            f = conv(norm(f, p, f"{at}branch.norm2.norm.").relu(), w2, padding=1)
            h = skip + f
        else:
            f = norm(conv(h, w1, stride=stride, padding=1), p, f"{at}branch.norm1.")
            f = norm(conv(f.relu(), w2, padding=1), p, f"{at}branch.norm2.")
            h = (f if kind == "plain" else skip + f).relu()
    h = norm(h, p, "trunk.norm.norm.").relu() if pre else h
    close(model(x), linear(h.flatten(2).mean(2), p["head.linear.weight"], p["head.linear.bias"]))


def test_convolutions_start_with_hes_variance():
    torch.manual_seed(0)
    weight = resnet20().build(CIFAR).get_parameter("trunk.blocks.8.branch.conv2.weight")
    variance, count = 2 / (9 * 64), weight.numel()
    assert abs(weight.var().item() / variance - 1) < 5 * (2 / count) ** 0.5
    assert abs(weight.mean().item()) < 5 * (variance / count) ** 0.5


def states(network: nn.Module, x: torch.Tensor) -> Iterator[torch.Tensor]:
    trunk = network.get_submodule("trunk")
    assert isinstance(trunk, Trunk)
    return trunk.states(network.get_submodule("stem")(x))


@pytest.mark.parametrize("network", [resnet20(), preresnet20()], ids=lambda n: n.name)
def test_a_network_of_a_many_stream_connection_starts_as_the_plain_sum_of_streams(network: ResNet):
    torch.manual_seed(0)
    one = randomised(replace(network, width=4).build(SMALL)).eval()
    two = replace(network, width=4, connection=Hyper(streams=2)).build(SMALL).double().eval()
    two.load_state_dict(one.state_dict(), strict=False)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    last, both = (list(states(net, x))[-1] for net in (one, two))
    close(both[:, 0], last)
    close(both[:, 1], last)


def dropping() -> nn.Module:
    blocks = [Residual(nn.Identity(), StochasticDepth(survival=0.5)) for _ in range(8)]
    return nn.Sequential(*blocks)


def test_blocks_of_ones_own_network_are_dropped_one_by_one():
    model = build_network(Call(target=f"{__name__}:dropping"), SMALL).train()
    with examples(example_keys(0, 0, torch.arange(400))):
        kept = torch.log(model(torch.ones(400, 1)).double()) / math.log(3)  # 1 + 1/p = 3 if kept
    counts = torch.bincount(kept.round().long().flatten(), minlength=9).double()
    wanted = torch.tensor([400 * math.comb(8, k) / 256 for k in range(9)], dtype=torch.float64)
    close(kept, kept.round())
    assert ((counts - wanted) ** 2 / wanted).sum() < 26  # chi squared of 8: 0.1 %


@pytest.mark.parametrize(
    ("network", "inputs"), [(resnet20(), (3, 8, 8)), (mlp(), (6,))], ids=lambda v: str(v)[:9]
)
def test_outputs_have_the_shape_of_the_targets(
    network: NetworkDescription, inputs: tuple[int, ...]
):
    torch.manual_seed(0)
    model = network.build(Ends(inputs=inputs, outputs=(5, 2))).eval()
    torch.manual_seed(0)
    flat = network.build(Ends(inputs=inputs, outputs=(10,))).eval()
    x = torch.randn(3, *inputs)
    assert torch.equal(model(x), flat(x).reshape(3, 5, 2))


def test_a_skip_around_any_module_at_any_level():
    inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    outer = Residual(nn.Sequential(Residual(inner), nn.Linear(4, 4)), activation=nn.ReLU()).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    lin = outer.get_submodule("branch.1")
    close(outer(x), (x + lin(x + inner(x))).relu())


def test_a_shortcut_of_the_users_own_carries_where_shapes_change():
    f, shortcut = nn.Linear(4, 6).double(), nn.Linear(4, 6, bias=False).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    close(Residual(f, shortcut=shortcut)(x), shortcut(x) + f(x))


def test_connections_with_maps_of_their_own_ask_for_the_width():
    from skipwise import Highway

    with pytest.raises(ValueError, match="must know the width of the stream"):
        Residual(nn.Linear(4, 4), Highway())
    f, x = nn.Linear(4, 4), torch.randn(2, 4)
    gated = Residual(f, Highway(), place=Place(width_in=4, width_out=4, dimensions=0))
    weight, bias = (gated.get_parameter(f"connection.gate.{name}") for name in ("weight", "bias"))
    t = 1 / (1 + torch.exp(-(x @ weight.T + bias)))
    close(gated(x), t * f(x) + (1 - t) * x)


def test_residual_around_any_module_takes_any_connection():
    f, x = nn.Linear(4, 4), torch.randn(2, 4)
    assert torch.equal(Residual(f, Plain())(x), f(x))
    torch.testing.assert_close(Residual(f, Hyper(streams=2))(x), 2 * (x + f(x)))


def test_the_objectives_network_adds_its_input():
    model = residual_linear().build(Ends(inputs=(3,), outputs=(3,)))
    x = torch.randn(2, 3)
    assert torch.equal(model(x), x)  # F starts at zero
    with pytest.raises(ValueError, match="must have the input's shape"):
        residual_linear().build(Ends(inputs=(3,), outputs=(2,)))
    assert isinstance(residual_linear(), Outermost)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: replace(resnet20(), blocks=()), "at least one block to every stage"),
        (lambda: replace(resnet20(), width=0), "width must be positive, got 0"),
        (lambda: resnet20().build(Ends(inputs=(8,), outputs=(2,))), "convolves and needs images"),
    ],
)
def test_bad_values_are_refused_in_a_sentence(make, words: str):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_users_function_that_makes_no_module_is_refused():
    from skipwise.description import Call

    with pytest.raises(ValueError, match=r"must return a torch.nn.Module, it returned int"):
        build_network(Call(target="tests.networks.test_networks:no_module"), SMALL)


def no_module(classes: int) -> int:
    return classes


def test_the_variance_counts_the_outputs_where_a_convolution_widens():
    torch.manual_seed(0)
    weight = resnet20().build(CIFAR).get_parameter("trunk.blocks.6.branch.conv1.weight")
    assert weight.shape[:2] == (64, 32)
    variance = 2 / (9 * 64)  # fan-out; fan-in would double it
    assert abs(weight.var().item() / variance - 1) < 5 * (2 / weight.numel()) ** 0.5


def test_the_plain_twin_starts_with_the_same_weights():
    twins = []
    for description in (resnet20(), plain20()):
        torch.manual_seed(0)
        twins.append(description.build(CIFAR).state_dict())
    assert twins[0].keys() == twins[1].keys()
    assert all(torch.equal(value, twins[1][name]) for name, value in twins[0].items())


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "preresnet164", "wide16_8"])
def test_branches_that_start_at_zero_leave_the_skip(name: str):
    torch.manual_seed(0)
    description = replace(vars(networks)[name](), zero_last=True)
    trunk = description.build(CIFAR).eval().get_submodule("trunk")
    assert isinstance(trunk, Trunk)
    first = trunk.blocks[0]
    assert isinstance(first, Block)
    x = torch.rand(2, first.place.width_in, 8, 8)
    assert torch.equal(trunk(x), trunk.without(range(len(trunk.blocks)))(x))
