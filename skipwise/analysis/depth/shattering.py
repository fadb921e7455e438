"""Shattered gradients: how alike the gradients of two close inputs are, and what explains it.

In a plain network each ReLU layer lets through what is active for both inputs, so the gradients of
two inputs come apart with depth until they are like white noise; a skip carries a part past every
layer. The rule that a quarter of the units is active for both is not assumed: it is measured.
"""

import math
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skipwise.analysis.depth.boundaries import row_names
from skipwise.analysis.depth.meanfield import relu_correlation
from skipwise.analysis.depth.structure import structure_of
from skipwise.analysis.depth.theory.operations import strangers
from skipwise.analysis.depth.theory.reading import step_of, steps_of
from skipwise.analysis.depth.theory.stage import Step
from skipwise.analysis.forward import Pass, watched_pass
from skipwise.analysis.measurement import Measurement, Theory
from skipwise.analysis.problem import Loss, pose
from skipwise.analysis.reasons import described
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.untouched import untouched
from skipwise.randomness import generator

LAGS = 15
UNCUT = ("Sin", "Cos")  # they cut nothing off, so that what is co-active is all
RELUS = {torch.relu, torch.relu_, nn.functional.relu, Tensor.relu, Tensor.relu_}


def shattering(
    model: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    sites: Sites | str | None = None,
) -> Measurement:
    """Measure, at every block, the mean cosine of two examples' gradients and of their streams.

    Both inputs send the same vector back from the end of the last block, so the cosine is 1 there
    and what it loses is the network's doing. A plain ReLU layer multiplies it by ``2·P(both
    active)``, a block with skip and branch gain a by ``(1 + a·2P)/(1 + a)``. P is measured as the
    share of units that are active for both examples, over those active for one on average.

    Args:
        model: Any module whose examples do not meet: BatchNorm in evaluation mode.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; only its graph is used.
        sites: The blocks, or a pattern of their names; found if None.

    Returns:
        One row for each block's input, and one for the end.

    Source: Balduzzi et al. (2017), section 2 and theorem 1. Differs: co-activation is measured.
    """
    problem = pose(model, batch, loss)
    sites = as_sites(problem.model, sites)
    activations = _Activations()
    active = activations.found
    with untouched(problem.model):
        with activations:
            seen = watched_pass(problem, sites, lambda stream: (_cosine(stream), len(active)))
        end = seen.visits[-1].end
        points = [*(visit.start for visit in seen.visits), end]
        direction = torch.randn(end.shape[1:], generator=generator(0, "shattering"))
        vector = direction.to(end.device, end.dtype).expand(end.shape).contiguous()
        found = torch.autograd.grad(
            [end.edge],
            [p.edge for p in points[:-1]],
            grad_outputs=[vector],
            retain_graph=True,
            allow_unused=True,  # a block may lie beside the way to the last one
        )
        factors = [_factor(seen, number, active) for number in range(len(seen.visits))]
        steps = steps_of(seen.visits)
    beside = any(gradient is None for gradient in found)
    cosines = tuple(math.nan if g is None else _cosine(g) for g in (*found, vector))
    return _record(seen, cosines, factors, _theory_of(steps, factors, beside=beside))


def _record(
    seen: Pass, cosines: tuple[float, ...], factors: list[float], theory: Theory
) -> Measurement:
    looks = [*(visit.entering[0] for visit in seen.visits), seen.visits[-1].leaving[0]]
    return Measurement(
        name="Likeness of the gradients of two inputs",
        formula="cos(g_i, g_j) over pairs of examples; factor a block 2P, or (1 + a·2P)/(1 + a)",
        source="Balduzzi et al. (2017), section 2",
        rows=(*row_names(seen.visits), "end"),
        columns={
            "gradient cosine": cosines,
            "stream cosine": tuple(looks),
            "factor": (*factors, 1.0),
        },
        theories=(theory,),
        shown="gradient cosine",
    )


def _theory_of(steps: list[Step], factors: list[float], *, beside: bool) -> Theory:
    bends = [bend for step in steps for bend in step.bends if bend not in UNCUT]
    strange = [*(norm for step in steps for norm in step.other_norms), *bends]
    strange += ["BatchNorm" for step in steps if step.norms]
    strange += ["a block beside the way to the last one"] if beside else []
    unlike = strangers(["ReLU"], strange)
    return Theory(
        name="measured co-activation",
        column="gradient cosine",
        formula="Π 2P(both active), with skips Π (1 + a·2P)/(1 + a)",
        condition="wide ReLU layers with independent random weights, no norm, nothing after a sum"
        f"{unlike}",
        values=tuple(math.prod(factors[number:]) for number in range(len(factors) + 1)),
        holds=not unlike and not any(step.after for step in steps),
        source="Balduzzi et al. (2017), without the assumption P = 1/4",
    )


def plain_likeness(layers: int, cosine: float = 0.0) -> float:
    """Give ``Π_{l<L} (1 − θ_l/π)`` with θ_l = arccos c_l, for a plain He-ReLU network.

    >>> [round(plain_likeness(layers), 6) for layers in (1, 2, 3, 5)]
    [0.5, 0.301558, 0.200345, 0.104559]
    """
    product = 1.0
    for _ in range(layers):
        product *= 1 - math.acos(min(max(cosine, -1), 1)) / math.pi
        cosine = relu_correlation(cosine)
    return product


def residual_likeness(gains: list[float], both: float | None = None, cosine: float = 0.0) -> float:
    """Give ``Π (1 + a·2P)/(1 + a)``, with 2P = 1 − θ_l/π along the map, or fixed to ``2·both``.

    >>> round(residual_likeness([1.0] * 3, both=0.25), 6) == 0.75**3
    True
    """
    product = 1.0
    for gain in gains:
        twice = 1 - math.acos(min(max(cosine, -1), 1)) / math.pi if both is None else 2 * both
        product *= (1 + gain * twice) / (1 + gain)
        cosine = (cosine + gain * relu_correlation(cosine)) / (1 + gain)
    return product


def gradient_autocorrelation(
    model: nn.Module, first: Tensor, last: Tensor, *, points: int = 256
) -> Measurement:
    """Measure how the gradient of the summed output changes along an arc between two inputs.

    The autocorrelation at lag k is ``ACF(k) = Σ g_t·g_{t+k}/Σ g_t²`` with the mean over the arc
    taken off first where the gradient varies: 0 for white noise, near 1 − k/N for a random walk. A
    linear network has the same gradient everywhere, and then it is 1.

    Args:
        model: Any module whose examples do not meet.
        first: One input, without the axis of examples.
        last: Another of its shape.
        points: N, equally spaced on the arc cos(t)·first + sin(t)·last, t from 0 to π/2.

    Returns:
        One row for each lag from 0 to 15.

    Raises:
        ValueError: If there are fewer points than lags, or the inputs are unlike.

    Source: Balduzzi et al. (2017), section 1.1 and figure 1.
    """
    if points <= LAGS + 1:
        raise ValueError(f"points must be more than {LAGS + 1}, got {points}")
    if first.shape != last.shape or not first.is_floating_point():
        raise ValueError(
            "first and last must be two inputs of one shape, numbers with fractions, got"
            f" {described(first)} and {described(last)}"
        )
    angles = torch.linspace(0, math.pi / 2, points, device=first.device, dtype=first.dtype)
    spread = angles.reshape(-1, *[1] * first.dim())
    arc = spread.cos() * first + spread.sin() * last
    problem = pose(model, (arc, None), lambda output, _: output.sum())
    with untouched(problem.model):
        inputs = arc.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(problem.value({0: inputs}), inputs)
    values = gradient.flatten(1).double()
    middle = values - values.mean(0)
    varies = float(middle.square().sum()) > 1e-20 * float(values.square().sum())
    found = [_lagged(middle, lag) if varies else 1.0 for lag in range(LAGS + 1)]
    return Measurement(
        name="Autocorrelation of the gradient along an arc",
        formula="ACF(k) = Σ_t g_t·g_{t+k}/Σ_t g_t²",
        source="Balduzzi et al. (2017), section 1.1",
        of="lag",
        rows=tuple(map(str, range(LAGS + 1))),
        columns={"autocorrelation": tuple(found)},
        notes=() if varies else ("the gradient is the same everywhere: the model is linear here",),
    )


def _lagged(values: Tensor, lag: int) -> float:
    ahead, behind = values[lag:], values[: len(values) - lag]
    return float((ahead * behind).sum() / values.square().sum())


def _cosine(stream: Tensor) -> float:
    """Give the mean cosine over pairs of examples."""
    flat = stream.detach().double().flatten(1)
    unit = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-300)
    count = len(unit)
    if count < 2:
        return math.nan
    return float((unit.sum(0).square().sum() - unit.square().sum()) / (count * (count - 1)))


@final
class _Activations(TorchFunctionMode):
    """Notes, for every ReLU computed, the share of units active for two examples over one's."""

    def __init__(self):
        super().__init__()
        self.found: list[float] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in RELUS:
            self.found.append(_co_activation(result.detach() > 0))
        return result


def _co_activation(active: Tensor) -> float:
    """Give P(both active)/P(one active), which is 2·P(both) where half of the units are active."""
    flat = active.flatten(1).double()
    count = len(flat)
    one = float(flat.mean())
    if count < 2 or not one:
        return math.nan
    sums = flat.sum(0)
    both = float((sums * (sums - 1)).sum()) / (count * (count - 1) * flat.shape[1])
    return both / one


def _factor(seen: Pass, number: int, active: list[float]) -> float:
    """Give what one block leaves of the likeness."""
    visit = seen.visits[number]
    first, last = visit.entering[1], visit.leaving[1]
    if number + 1 < len(seen.visits):
        last = seen.visits[number + 1].entering[1]
    passed = math.prod(active[first:last])
    structure = structure_of(visit)
    if not structure.joins:
        return passed
    gain = step_of(visit, structure, visit.end).gain
    return (1 + gain * passed) / (1 + gain)
