"""What a batch, an output or a target is not made for is said in one sentence, with a cure."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skipwise import analysis
from skipwise.analysis import (
    barrier,
    gradient_autocorrelation,
    jacobian,
    jacobian_density,
    lesions,
    line,
    shattering,
    signal,
    state_ranks,
    update_sizes,
    weight_ranks,
    weights_of,
)
from tests.analysis.models import Stack, along, residual_stack

X = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
CLASSES = torch.tensor([0, 1, 2, 4])


class Wrapped(nn.Module):
    """Gives its output within something."""

    def __init__(self, wrap: Callable[[Tensor], Any]):
        super().__init__()
        self.inner, self.wrap = residual_stack(5, 2), wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.inner(x))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (X[:, :3], r"float32 of shape \(4, 3\): RuntimeError: mat1 and mat2"),
        (X.double(), r"float64 of shape \(4, 5\)"),
        ((X, X), r"a tuple of float32 .*TypeError"),
        ({"y": X}, r"a dict with y: TypeError"),
    ],
)
def test_inputs_that_a_model_cannot_read(inputs: Any, said: str):
    for measure in (signal, lesions, state_ranks):
        with pytest.raises(
            ValueError, match=f"Stack cannot be computed on its inputs, {said}"
        ) as e:
            measure(residual_stack(5, 2), [(inputs, X)] if measure is state_ranks else (inputs, X))
        assert len(str(e.value).splitlines()) == 1
        assert e.value.__cause__ is not None


@pytest.mark.parametrize(
    ("model", "targets", "sentence"),
    [
        (residual_stack(5, 2), CLASSES + 1, "reach from 1 to 5, and .* 5 classes, 0 to 4"),
        (residual_stack(5, 2), CLASSES - 1, "the targets reach from -1 to 3"),
        (residual_stack(5, 2), None, "there are no targets, and the loss needs them"),
        (residual_stack(5, 2), CLASSES.to("meta"), "is on cpu and the targets on meta; move"),
        (residual_stack(5, 2), CLASSES[:3], r"cannot compare .* \(4, 5\), with the targets, int64"),
        (Wrapped(lambda x: {"logits": x}), CLASSES, "the model gives a dict with logits, which"),
        (Wrapped(lambda x: (x, None)), CLASSES, "gives a tuple of float32 .* and NoneType, which"),
    ],
)  # fmt: skip
def test_what_a_loss_cannot_compare(model: nn.Module, targets: Any, sentence: str):
    own = [None, nn.CrossEntropyLoss(), lambda o, t: nn.functional.cross_entropy(o, t)]
    for loss in own[: 2 if "cannot compare" in sentence else 3]:
        with pytest.raises(ValueError, match=sentence):
            signal(model, (X, targets), loss)


def test_a_target_that_cross_entropy_leaves_out_is_no_wrong_one():
    assert signal(residual_stack(5, 2), (X, CLASSES - 100 * (CLASSES == 0).long())).rows


def test_what_a_loss_of_the_callers_own_says_is_left_as_it_is():
    def loss(output: Tensor, targets: Tensor) -> Tensor:
        raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match=r"^not today$"):
        signal(residual_stack(5, 2), (X, CLASSES), loss)


def test_several_batches_in_a_tuple_are_told_apart():
    pair = X, CLASSES
    with pytest.raises(ValueError, match="several batches as a list of pairs, not as a tuple"):
        state_ranks(residual_stack(5, 2), (pair, pair))
    with pytest.raises(TypeError, match=r"got tuple; .* and several batches as a list"):
        state_ranks(residual_stack(5, 2), (pair, pair, pair))


@pytest.mark.parametrize(
    "measure",
    [
        lambda m: analysis.line(m, (X, X)),
        lambda m: analysis.plane(m, (X, X)),
        lambda m: analysis.step_quality(m, (X, X), before={}),
        lambda m: analysis.barrier(m, (X, X), first={}, second={}),
        lambda m: analysis.trajectory(m, (X, X), checkpoints=[{}] * 3),
        lambda m: analysis.normalisation(m, (X, X)),
        lambda m: analysis.hessian_spectrum(m, (X, X)),
        analysis.weight_ranks,
        analysis.find_sites,
        analysis.weights_of,
    ],
)
def test_what_is_no_module(measure: Callable[[Any], Any]):
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got str"):
        measure("model.pt")


def test_blocks_beside_the_way_to_the_last_one_are_not_known():
    class Fork(Stack):
        def forward(self, x: Tensor) -> Tensor:
            one, two, three, four = self.blocks
            return two(one(x)) + four(three(x))

    found = shattering(Fork(*(nn.Linear(5, 5) for _ in range(4))), (X, X), along)
    assert [math.isnan(cosine) for cosine in found["gradient cosine"]] == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert found.theories[0].holds is False
    assert "a block beside the way" in found.theories[0].condition


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore
        return 2 * gradient


class Curved(nn.Module):
    """A linear map behind an operation whose gradient has no derivative."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.map, self.function = nn.Linear(5, 5), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.map(x).tanh())


@pytest.mark.parametrize(
    "function",
    [
        Once.apply,
        lambda x: torch.segment_reduce(x, "max", lengths=torch.ones(4).long()),
    ],
    ids=["once_differentiable", "not implemented"],
)
def test_operations_without_a_second_derivative(function: Callable[[Tensor], Tensor]):
    model = Stack(Curved(function), Curved(function))
    for measure in (jacobian, jacobian_density):
        with pytest.raises(ValueError, match="holds an operation without a second derivative"):
            measure(model, (X, X), lambda o, t: (o * o * t).sum(), sites="blocks.*")
    with pytest.raises(ValueError, match="holds an operation without a second derivative"):
        line(model, (X, X), lambda o, t: (o * o * t).sum(), points=3)


def test_ranks_of_weights_that_are_not_finite():
    model = residual_stack(5, 2)
    with torch.no_grad():
        next(model.parameters())[0, 0] = math.inf
    with pytest.raises(ValueError, match="weight holds numbers that are not finite"):
        weight_ranks(model)


def test_directions_of_another_model():
    model = residual_stack(5, 2)
    with pytest.raises(ValueError, match="the direction moves 'w', which the model has not"):
        line(model, (X, X), along, direction={"w": X})
    name, weight = next(iter(weights_of(model).items()))
    with pytest.raises(ValueError, match=r"has the shape \(5, 5\) in the model and \(5,\) in the"):
        line(model, (X, X), along, direction={name: weight[0]})


@pytest.mark.parametrize("last", [torch.randn(3, 3), torch.randn(5)])
def test_an_arc_between_unlike_inputs(last: Tensor):
    with pytest.raises(ValueError, match="first and last must be two inputs of one shape"):
        gradient_autocorrelation(nn.Linear(3, 3), torch.randn(3), last)


def test_lesions_of_a_model_that_gives_its_own_loss():
    model = Wrapped(lambda x: x.square().mean())
    found = lesions(model, (X, torch.tensor(0.0)), lambda loss, _: loss)
    with torch.no_grad():
        assert found.figures["loss"] == pytest.approx(model(X).item(), rel=1e-6)
    assert all(map(math.isnan, found["low"]))


class Masked(nn.Module):
    """A linear map that knows a mask with infinities, as causal attention does."""

    def __init__(self, fill: float = -math.inf):
        super().__init__()
        self.map = nn.Linear(5, 5)
        self.register_buffer("mask", torch.full((5, 5), fill).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x) @ torch.softmax(self.get_buffer("mask"), 1)


def test_a_mask_with_infinities_is_no_diverged_weight():
    torch.manual_seed(0)
    one, two = Masked(), Masked()
    first, second = one.state_dict(), two.state_dict()
    found = barrier(one, (X, CLASSES), first=first, second=second, points=3)
    with torch.no_grad():
        ends = [nn.functional.cross_entropy(model(X), CLASSES).item() for model in (one, two)]
    assert found["loss"][0::2] == pytest.approx(ends, rel=1e-6)
    assert math.isfinite(found["loss"][1])
    assert update_sizes(first, second).rows == ("map.weight", "map.bias")
    with pytest.raises(ValueError, match="mask holds numbers that are not finite"):
        update_sizes(first, {**second, "mask": torch.full((5, 5), math.nan)})
