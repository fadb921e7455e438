"""The written-out second derivative of BatchNorm against torch's own and against differences."""

import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis.curvature.norms import LeanBatchNorm

SHAPES = {
    "vectors": ((7, 3), torch.contiguous_format),
    "rows": ((5, 3, 4), torch.contiguous_format),
    "pictures": ((4, 3, 2, 5), torch.contiguous_format),
    "channels last": ((4, 3, 2, 5), torch.channels_last),
}
shapes = pytest.mark.parametrize("shape", SHAPES)


def leaf(*shape: int, seed: int, offset: float = 0.0) -> Tensor:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (noise + offset).requires_grad_()


def derivatives(x: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
    """Give value, gradient, and the derivative of the gradient along random directions."""
    y = nn.functional.batch_norm(x, None, None, weight, bias, training=True)
    g = leaf(*y.shape, seed=3)
    first = torch.autograd.grad(y, (x, weight, bias), g, create_graph=True)
    along = [leaf(*each.shape, seed=4 + n).detach() for n, each in enumerate(first)]
    return [y, *first, *torch.autograd.grad(first, (g, x, weight), along)]


@shapes
def test_all_derivatives_are_those_of_torch(shape: str):
    size, layout = SHAPES[shape]
    x = leaf(*size, seed=0, offset=2.0).detach().contiguous(memory_format=layout).requires_grad_()
    given = x, leaf(3, seed=1), leaf(3, seed=2)
    expected = derivatives(*given)
    with LeanBatchNorm():
        found = derivatives(*given)
    assert type(found[0].grad_fn) is not type(expected[0].grad_fn)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@shapes
def test_the_second_derivative_is_that_of_differences(shape: str):
    size, layout = SHAPES[shape]
    x = leaf(*size, seed=0).detach().contiguous(memory_format=layout).requires_grad_()

    def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, None, None, weight, bias, training=True)

    with LeanBatchNorm():
        assert torch.autograd.gradgradcheck(normed, (x, leaf(3, seed=1), leaf(3, seed=2)))


@pytest.mark.parametrize("affine", [True, False])
def test_a_module_keeps_its_statistics_and_its_modes(affine: bool):
    ours, theirs = (nn.BatchNorm2d(3, affine=affine).double() for _ in range(2))
    x = leaf(4, 3, 2, 5, seed=0)
    with LeanBatchNorm():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dict(ours.named_buffers()), dict(theirs.named_buffers()))
    with LeanBatchNorm():
        assert torch.equal(ours.eval()(x), theirs.eval()(x))
        assert ours.eval()(x).grad_fn.name() == theirs.eval()(x).grad_fn.name()
        half = x.bfloat16()
        assert torch.equal(ours.train().bfloat16()(half), theirs.train().bfloat16()(half))


def test_a_third_derivative_is_refused():
    x, weight, bias = leaf(4, 3, seed=0), leaf(3, seed=1), leaf(3, seed=2)
    with LeanBatchNorm():
        y = nn.functional.batch_norm(x, None, None, weight, bias, training=True)
    (first,) = torch.autograd.grad(y, x, leaf(4, 3, seed=3), create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        second.sum().backward()
