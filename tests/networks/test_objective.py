"""Networks on vectors and at full resolution, against passes written with torch's functions."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, linear

from skipwise.branches import Perceptron
from skipwise.networks import FullyConvolutional, Outermost, mlp, residual_mlp
from skipwise.shapes import Ends
from tests.references import close, randomised


def mapped(x: Tensor, p: dict[str, Tensor], at: str) -> Tensor:
    return linear(x, p[f"{at}.weight"], p[f"{at}.bias"])


def normed(x: Tensor, p: dict[str, Tensor], at: str) -> Tensor:
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (p[f"{at}.{name}"] for name in names)
    return batch_norm(x, mean, variance, weight, bias)


@pytest.mark.parametrize(("outputs", "head"), [((5,), "head"), ((2, 3), "head.0")], ids=str)
def test_the_mlp_is_its_formula(outputs: tuple[int, ...], head: str):
    described = replace(mlp(), width=7, blocks=2, branch=Perceptron(hidden=3))
    model = randomised(described.build(Ends(inputs=(6,), outputs=outputs)))
    p, x = model.state_dict(), torch.randn(4, 6, dtype=torch.float64)
    h = mapped(x, p, "stem")
    for n in range(2):
        at = f"trunk.blocks.{n}.branch"
        h = h + mapped(mapped(h, p, f"{at}.linear1").relu(), p, f"{at}.linear2")
    close(model(x), mapped(h, p, head).reshape(4, *outputs))


def test_the_convolutional_network_is_its_formula():
    ends = Ends(inputs=(3, 6, 7), outputs=(2, 6, 7))
    model = randomised(FullyConvolutional(width=4, blocks=2).build(ends)).eval()
    p, x = model.state_dict(), torch.randn(2, 3, 6, 7, dtype=torch.float64)
    h = normed(conv2d(x, p["stem.conv.weight"], padding=1), p, "stem.norm.norm").relu()
    for n in range(2):
        at = f"trunk.blocks.{n}.branch"
        f = normed(conv2d(h, p[f"{at}.conv1.weight"], padding=1), p, f"{at}.norm1").relu()
        f = normed(conv2d(f, p[f"{at}.conv2.weight"], padding=1), p, f"{at}.norm2")
        h = (h + f).relu()
    close(model(x), conv2d(h, p["head.weight"], p["head.bias"], padding=1))


def test_the_outermost_skip_adds_the_input_to_a_whole_network():
    inner = residual_mlp().inner
    vectors = Ends(inputs=(6,), outputs=(6,))
    whole, within = randomised(residual_mlp().build(vectors)), inner.build(vectors).double()
    within.load_state_dict(whole.get_submodule("branch").state_dict())
    x = torch.randn(4, 6, dtype=torch.float64)
    close(whole(x), x + within(x))
    pictures = Ends(inputs=(2, 5, 5), outputs=(2, 5, 5))
    whole = Outermost(inner=FullyConvolutional(width=4, blocks=1)).build(pictures).double().eval()
    x = torch.randn(3, 2, 5, 5, dtype=torch.float64)
    bias = whole.get_parameter("branch.head.bias").view(1, 2, 1, 1)
    close(whole(x), x + bias)  # the last convolution starts at zero, but for its bias
