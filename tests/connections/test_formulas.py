"""Each connection equals its formula, written slowly in float64 with every term switched on."""

import pytest
import torch
from torch import nn

from skipwise.connections import (
    Additive,
    AdditiveConnection,
    Highway,
    Hyper,
    HyperConnection,
    Padded,
    Plain,
    Pooled,
    Projected,
    ShortcutGate,
    Skip,
    StochasticDepth,
    StochasticDepthConnection,
    linear_survival,
)
from skipwise.randomness import example_keys, examples, uniform
from skipwise.shapes import Place
from tests.references import close, randomised

SAME = Place(width_in=4, width_out=4)
X = torch.randn(2, 4, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def branch(width_in: int = 4, width_out: int = 4, stride: int = 1) -> nn.Module:
    return randomised(nn.Conv2d(width_in, width_out, 3, padding=1, stride=stride), seed=2)


def test_the_sum_is_its_formula():
    f = branch()
    close(AdditiveConnection(Skip(), scale=0.37)(X, f), X + 0.37 * f(X))
    close(Additive().build(SAME, Skip())(X, f), f(X) + X)


def test_a_learned_scale_multiplies_the_branch_and_is_a_parameter():
    connection, f = AdditiveConnection(Skip(), scale=0.37, learned=True).double(), branch()
    close(connection(X, f), X + connection.get_parameter("scale") * f(X))
    assert [name for name, _ in connection.named_parameters()] == ["scale"]


def test_rezero_starts_as_the_identity_bit_for_bit_and_its_scale_gets_the_gradient():
    connection, f = AdditiveConnection(Skip(), scale=0.0, learned=True).double(), branch()
    y = connection(X, f)
    assert torch.equal(y, X)
    y.backward(torch.ones_like(y))
    gradient = connection.get_parameter("scale").grad
    assert gradient is not None
    close(gradient, f(X).sum())  # ∂L/∂α = ⟨g, F(x)⟩
    assert all(p.grad is not None and not p.grad.any() for p in f.parameters())


def test_plain_is_the_branch_alone():
    f = branch()
    assert torch.equal(Plain().build(SAME, Skip())(X, f), f(X))


def test_highway_is_its_formula():
    connection, f = randomised(Highway().build(SAME, Skip())), branch()
    weight, bias = (connection.get_parameter(f"gate.{name}") for name in ("weight", "bias"))
    t = torch.empty_like(X)
    for row in range(5):
        for column in range(5):  # a 1×1 convolution is a linear map at every position
            pixel = X[:, :, row, column] @ weight[:, :, 0, 0].T + bias
            t[:, :, row, column] = 1 / (1 + torch.exp(-pixel))
    close(connection(X, f), t * f(X) + (1 - t) * X)


@pytest.mark.parametrize(("bias", "wanted"), [(-60.0, "carry"), (60.0, "branch")])
def test_a_closed_gate_carries_and_an_open_one_gives_the_branch(bias: float, wanted: str):
    connection, f = Highway(bias=bias).build(SAME, Skip()).double(), branch()
    nn.init.zeros_(connection.get_parameter("gate.weight"))
    close(connection(X, f), X if wanted == "carry" else f(X))


def test_a_scale_per_channel_multiplies_each_channel_of_the_branch():
    connection = Additive(learned=True, per_channel=True).build(SAME, Skip())
    connection, f = randomised(connection), branch()
    scale = connection.get_parameter("scale")
    assert scale.shape == (4, 1, 1)
    wanted = [X[:, c] + scale[c, 0, 0] * f(X)[:, c] for c in range(4)]
    close(connection(X, f), torch.stack(wanted, 1))


def test_a_gate_on_the_shortcut_alone_is_its_formula():
    connection, f = randomised(ShortcutGate().build(SAME, Skip())), branch()
    weight, bias = connection.get_parameter("gate.weight"), connection.get_parameter("gate.bias")
    gate = torch.sigmoid(
        torch.einsum("oc,bcij->boij", weight[:, :, 0, 0], X) + bias.view(1, -1, 1, 1)
    )
    close(connection(X, f), f(X) + (1 - gate) * X)


@pytest.mark.parametrize("description", [Highway(), ShortcutGate()], ids=repr)
def test_before_an_activation_the_gate_reads_what_the_branch_reads(description):
    connection, f = randomised(description.build(SAME, Skip(nn.Tanh()))), branch()
    weight, bias = connection.get_parameter("gate.weight"), connection.get_parameter("gate.bias")
    read = X.tanh()
    gate = torch.sigmoid(
        torch.einsum("oc,bcij->boij", weight[:, :, 0, 0], read) + bias.view(1, -1, 1, 1)
    )
    written = f(read) * (gate if description == Highway() else 1)
    close(connection(X, f), written + (1 - gate) * X)


def test_a_pooled_shortcut_maps_the_mean_of_the_positions_that_are_there():
    shortcut = Pooled().build(Place(width_in=4, width_out=8, stride=2))
    assert shortcut is not None
    shortcut = randomised(shortcut).eval()
    pooled = torch.stack(
        [
            torch.stack([X[:, :, r : r + 2, c : c + 2].mean((2, 3)) for c in (0, 2, 4)], -1)
            for r in (0, 2, 4)
        ],
        -2,
    )  # the last row and column have one position only
    mapped = torch.einsum(
        "oc,bcij->boij", shortcut.get_parameter("conv.weight")[:, :, 0, 0], pooled
    )
    close(shortcut(X), shortcut.get_submodule("norm")(mapped))


def test_projections_stand_everywhere_if_asked():
    assert Projected(everywhere=True).build(SAME) is not None
    with pytest.raises(ValueError, match="per_channel has no effect on a fixed scale"):
        Additive(per_channel=True)


def test_hyper_connection_is_its_formula():
    connection, f = randomised(HyperConnection(Skip(), streams=3)), branch()
    s = torch.randn(2, 3, 4, 5, 5, dtype=torch.float64)
    read, mix, write = (connection.get_parameter(name) for name in ("read", "mix", "write"))
    inner = f(read[0] * s[:, 0] + read[1] * s[:, 1] + read[2] * s[:, 2])
    mixed = [sum(mix[i, j] * s[:, i] for i in range(3)) for j in range(3)]
    close(connection(s, f), torch.stack([mixed[j] + write[j] * inner for j in range(3)], 1))


def test_every_matrix_of_a_hyper_connection_matters():
    s, f = torch.randn(2, 3, 4, 5, 5, dtype=torch.float64), branch()
    for name in ("read", "mix", "write"):
        connection = randomised(HyperConnection(Skip(), streams=3))
        before = connection(s, f)
        with torch.no_grad():
            connection.get_parameter(name).view(-1)[0].add_(0.1)
        assert (connection(s, f) - before).abs().max() > 1e-3, name


def test_at_the_start_every_hyper_stream_is_the_plain_residual_stream():
    description, f = Hyper(streams=4), branch()
    for index in range(5):
        place = Place(width_in=4, width_out=4, index=index, depth=5)
        connection = description.build(place, Skip()).double()
        assert connection.get_parameter("read").tolist() == [n == index % 4 for n in range(4)]
        state = connection(description.expand(X), f)
        for stream in state.unbind(1):
            close(stream, X + f(X))
        close(description.collapse(state), 4 * (X + f(X)))


def test_stochastic_depth_thins_each_example_by_its_own_number():
    connection = StochasticDepthConnection(AdditiveConnection(Skip()), survival=0.6, lane=3)
    f = branch()
    keys = example_keys(7, 11, torch.arange(2))
    with examples(keys):
        y = connection.train()(X, f)
    kept = (uniform(keys, 3) < 0.6).double()
    for row in range(2):
        close(y[row], X[row] + kept[row] / 0.6 * f(X)[row])


def test_stochastic_depth_keeps_the_expectation_and_evaluates_exactly():
    connection = StochasticDepthConnection(AdditiveConnection(Skip()), survival=0.6)
    one = torch.ones(40_000, 1, dtype=torch.float64)
    connection.train()
    f = nn.Identity()
    with examples(example_keys(0, 0, torch.arange(len(one)))):
        mean = connection(one, f).mean()
    assert abs(mean - 2.0) < 5 * (0.4 / 0.6 / len(one)) ** 0.5  # five standard errors of m/p
    assert torch.equal(connection.eval()(X, f), X + X)


def test_blocks_drop_independently_of_each_other():
    one, kept = torch.ones(20_000, 1), []
    for index in (0, 1):
        place = Place(width_in=1, width_out=1, index=index, depth=2)
        connection = StochasticDepth(survival=0.5).build(place, Skip()).train()
        with examples(example_keys(0, 0, torch.arange(len(one)))):
            kept.append((connection(one, nn.Identity()) > 1).flatten().float())
    correlation = torch.corrcoef(torch.stack(kept))[0, 1]
    assert abs(correlation) < 5 / len(one) ** 0.5


def test_the_expected_depth_of_resnet110_is_that_of_the_paper():
    assert sum(linear_survival(0.5, index, 54) for index in range(54)) == pytest.approx(40.25)
    last = Place(width_in=4, width_out=4, index=53, depth=54)
    built = StochasticDepth(survival=0.5).build(last, Skip())
    assert isinstance(built, StochasticDepthConnection)
    assert built.survival == 0.5


def test_padding_at_the_end_and_on_both_sides_is_a_slice_and_zeros():
    place = Place(width_in=4, width_out=8, stride=2)
    for side, first in (("end", 0), ("both", 2)):
        shortcut = Padded(side=side).build(place)
        assert shortcut is not None
        wanted = torch.zeros(2, 8, 3, 3, dtype=torch.float64)
        wanted[:, first : first + 4] = X[:, :, ::2, ::2]
        assert torch.equal(shortcut(X), wanted)


def test_a_padded_shortcut_passes_the_gradient_on():
    shortcut = Padded().build(Place(width_in=4, width_out=8, stride=2))
    assert shortcut is not None
    x = X.clone().requires_grad_()
    shortcut(x).sum().backward()
    wanted = torch.zeros_like(X)
    wanted[:, :, ::2, ::2] = 1
    assert x.grad is not None
    assert torch.equal(x.grad, wanted)


def test_a_projected_shortcut_is_a_linear_map_of_every_second_pixel_and_a_norm():
    shortcut = Projected().build(Place(width_in=4, width_out=8, stride=2))
    assert shortcut is not None
    shortcut = randomised(shortcut).eval()
    norm = shortcut.get_submodule("norm")
    assert isinstance(norm, nn.BatchNorm2d)
    w = shortcut.get_parameter("conv.weight")[:, :, 0, 0]
    mapped = torch.einsum("oc,bcij->boij", w, X[:, :, ::2, ::2])
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    scale = norm.weight / (variance + norm.eps).sqrt()
    wanted = (mapped - mean.view(-1, 1, 1)) * scale.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
    close(shortcut(X), wanted)


def test_no_shortcut_stands_where_the_identity_fits():
    assert Padded().build(SAME) is None
    assert Projected().build(SAME) is None


def test_at_a_transition_the_shortcut_acts_on_the_activated_stream():
    norm, shortcut = nn.ReLU(), nn.Conv2d(4, 8, 1, stride=2).double()
    f = branch(4, 8, 2)
    close(AdditiveConnection(Skip(norm, shortcut))(X, f), shortcut(X.relu()) + f(X.relu()))
    close(AdditiveConnection(Skip(norm))(X, branch()), X + branch()(X.relu()))
    first = AdditiveConnection(Skip(norm, carries_norm=True))
    close(first(X, branch()), X.relu() + branch()(X.relu()))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Padded(side="left"), "side must be 'end' or 'both', got 'left'"),
        (
            lambda: Additive(learned=True, per_channel=True).build(
                Place(width_in=0, width_out=0), Skip()
            ),
            r"a scale per channel needs the width; give Residual\(…, place=Place\(…\)\)",
        ),
        (lambda: Hyper(streams=1), "streams must be at least 2, got 1"),
        (lambda: StochasticDepth(survival=0.0), r"survival must lie in \(0, 1\], got 0.0"),
        (lambda: Padded().build(Place(width_in=8, width_out=4)), "cannot narrow 8 to 4"),
    ],
)
def test_bad_values_are_refused_in_a_sentence(make, words: str):
    with pytest.raises(ValueError, match=words):
        make()
