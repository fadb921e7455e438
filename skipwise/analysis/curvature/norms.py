"""BatchNorm in training mode with a second derivative that is written out.

torch derives its own step by step, in some thirty passes over the states and with slow sums over
channels-last tensors: more than half of the time of a product with the Hessian of a ResNet.

With x̂ = (x − μ)·r, r = 1/√(σ² + ε), means m over the N numbers of a channel and
``P(u) = u − m(u) − x̂·m(u·x̂)``, the gradient is ``γr·P(g)``, ``Σ g·x̂`` and ``Σ g`` by x, γ and β.
Along (a, b, c) its derivative is, with ``A = ⟨g, P(a)⟩`` and ``h = g·(b − γr·m(ax̂)) − γr·m(gx̂)·a``,
``γr·P(a) + b·x̂ + c`` by g, ``r·P(h) − γr²·A·x̂/N`` by x and ``r·A`` by γ.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

KNOWN = (torch.float32, torch.float64)


@final
class LeanBatchNorm(TorchFunctionMode):
    """Inside, ``batch_norm`` over the batch is that of this file; all else is torch's."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, or ours in its place."""
        if func is not nn.functional.batch_norm:
            return func(*args, **(kwargs or {}))
        given = signature(func).bind(*args, **(kwargs or {}))
        given.apply_defaults()
        x, mean, variance, weight, bias, training, momentum, eps = given.args
        if not training or x.dtype not in KNOWN:
            return func(*given.args)
        weight = x.new_ones(x.shape[1]) if weight is None else weight
        bias = torch.zeros_like(weight) if bias is None else bias
        return _Norm.apply(x, weight, bias, mean, variance, momentum, eps)


@final
class _Norm(Function):
    """γ·x̂ + β."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x, weight, bias, mean, variance, momentum, eps = given
        found, own_mean, inverse = torch.native_batch_norm(
            x, weight, bias, mean, variance, True, momentum, eps
        )
        ctx.save_for_backward(x, weight, own_mean, inverse)
        ctx.eps = eps
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return *_Gradient.apply(*gradients, *ctx.saved_tensors, ctx.eps), None, None, None, None


@final
class _Gradient(Function):
    """The gradient of :class:`_Norm` by x, γ and β."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, ...]:
        g, x, weight, mean, inverse, eps = given
        found = torch.ops.aten.native_batch_norm_backward(
            g, x, weight, None, None, mean, inverse, True, eps, [True, True, True]
        )
        ctx.save_for_backward(g, x, weight, mean, inverse, *found[1:])
        return found

    @staticmethod
    def backward(ctx: Any, *vectors: Any) -> Any:
        return _derivative(ctx, *vectors)


@once_differentiable
def _derivative(ctx: Any, a: Tensor, b: Tensor, c: Tensor) -> Any:
    g, x, weight, mean, inverse, sum_gx, sum_g = ctx.saved_tensors
    shape = (1, -1, *(1,) * (x.dim() - 2))
    count = x.numel() // len(mean)
    centred = x - mean.view(shape)  # x̂ is this times r
    m_g, m_gx = sum_g / count, sum_gx / count
    m_a = _sums(a) / count
    m_ax = _sums(a * centred) * inverse / count
    outer = weight * inverse
    along = _sums(a * g) - count * (m_g * m_a + m_gx * m_ax)
    of_g, of_a = b - outer * m_ax, -outer * m_gx
    m_h, m_hx = of_g * m_g + of_a * m_a, of_g * m_gx + of_a * m_ax
    by_g = (c - outer * m_a).view(shape).addcmul(a, outer.view(shape))
    by_g.addcmul_(centred, (of_g * inverse).view(shape))
    by_x = (-inverse * m_h).view(shape).addcmul(g, (inverse * of_g).view(shape))
    by_x.addcmul_(a, (inverse * of_a).view(shape))
    by_x.addcmul_(centred, -(inverse**2 * (m_hx + outer * along / count)).view(shape))
    return by_g, by_x, inverse * along, None, None, None


def _sums(states: Tensor) -> Tensor:
    """Sum over all axes but the channels; by a product where they lie beside each other."""
    if states.dim() > 2 and states.is_contiguous():
        return states.sum([0, *range(2, states.dim())])
    rows = states.movedim(1, -1).reshape(-1, states.shape[1])
    return rows.t() @ rows.new_ones(len(rows))
