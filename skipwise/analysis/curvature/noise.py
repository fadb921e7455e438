"""How much of a gradient is signal: its noise scale, the ratio parameter by parameter, confusion.

All of it follows from the gradients of K batches of one size b at the same weights; the variance of
one example's gradient is b times that of a batch's. With BatchNorm in training mode an example's
gradient depends on its batch, and the figures speak of batches of this size.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skipwise.analysis.curvature.gradient import Objective, objective
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss
from skipwise.analysis.spectra import Estimate, jackknifed


def noise_scale(
    small_square: float, big_square: float, *, small: int, big: int
) -> tuple[float, float]:
    """Give unbiased estimates of ``‖G‖²`` and of S = tr Σ from squared norms at two batch sizes.

    ``‖G‖² = (B·‖G_B‖² − b·‖G_b‖²)/(B − b)`` and ``S = (‖G_b‖² − ‖G_B‖²)/(1/b − 1/B)``. Their ratio
    ``S/‖G‖²`` is the simple noise scale: near it a batch's noise is as large as its signal. To
    average over steps, average the two and divide then.

    Args:
        small_square: ``‖G_b‖²``, a mean over batches.
        big_square: ``‖G_B‖²``.
        small: b.
        big: B, larger than b.

    Raises:
        ValueError: If the sizes are not in order.

    Source: McCandlish et al. (2018), appendix A.1.
    """
    if not 0 < small < big:
        raise ValueError(f"the small batch must be smaller than the big one, got {small} and {big}")
    signal = (big * big_square - small * small_square) / (big - small)
    noise = (small_square - big_square) / (1 / small - 1 / big)
    return signal, noise


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Estimates from the products of batch gradients; ``scale`` is NaN below noise."""

    signal: Estimate
    noise: Estimate
    scale: Estimate
    confusion: float
    lowest_cosine: float


def noise_from_products(products: Float[Tensor, "batches batches"], size: int) -> Noise:
    """Estimate signal and noise from ``G_ij = ⟨g_i, g_j⟩`` of batches of ``size`` examples.

    The big batch is all of them together, the errors are jackknifed over batches. Confusion is the
    smallest c ≥ 0 with ``⟨g_i, g_j⟩ ≥ −c`` for all i ≠ j.

    Args:
        products: In float64, two batches at least.
        size: b.

    Raises:
        ValueError: If there is one batch only.

    Source: McCandlish et al. (2018); Sankararaman et al. (2019), definition 2.1.
    """
    count = len(products)
    if count < 2:
        raise ValueError("noise shows only between batches; give two or more of the same size")
    signal, noise = _two(products, size)
    left_out = [_two(_without(products, i), size) for i in range(count)] if count > 2 else []
    apart = products[~torch.eye(count, dtype=torch.bool)]
    lengths = products.diag().sqrt()
    cosines = (products / lengths.outer(lengths))[~torch.eye(count, dtype=torch.bool)]
    return Noise(
        signal=jackknifed(signal, [pair[0] for pair in left_out]),
        noise=jackknifed(noise, [pair[1] for pair in left_out]),
        scale=jackknifed(_ratio(signal, noise), [_ratio(*pair) for pair in left_out]),
        confusion=max(0.0, -apart.min().item()),
        lowest_cosine=cosines.min().item(),
    )


def _two(products: Tensor, size: int) -> tuple[float, float]:
    small, big = products.diag().mean().item(), products.mean().item()
    return noise_scale(small, big, small=size, big=size * len(products))


def _without(products: Tensor, index: int) -> Tensor:
    kept = torch.arange(len(products)) != index
    return products[kept][:, kept]


def _ratio(signal: float, noise: float) -> float:
    return noise / signal if signal > 0 else math.nan


def signal_to_noise(
    gradients: Float[Tensor, "batches parameters"], size: int
) -> Float[Tensor, " parameters"]:
    """Estimate ``E[g]² / Var g`` of one example, parameter by parameter.

    From K batch gradients with mean m and variance s²: ``((K−3)/(K−1)·m²/s² − 1/K)/b``, which has
    no bias where gradients are normal; it may be negative. NaN where nothing varies.

    Args:
        gradients: One row a batch, four at least.
        size: b.

    Raises:
        ValueError: If there are fewer than four batches.

    Source: Liu et al. (2020), "Understanding why neural networks generalize well through GSNR",
    definition 1. Differs: from batches, with the bias taken off.
    """
    count = len(gradients)
    if count < 4:
        raise ValueError(f"a ratio to the variance needs four batches or more, got {count}")
    variance, mean = torch.var_mean(gradients, 0)
    ratio = (count - 3) / (count - 1) * mean.square() / variance - 1 / count
    return torch.where(variance > 0, ratio / size, math.nan)


def gradient_noise(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    training: bool = True,
    seed: int = 0,
) -> Measurement:
    """Measure noise scale, signal-to-noise ratio and confusion of the gradient.

    Args:
        model: Any module.
        batches: Several pairs (inputs, targets) of one size, four at least; so many gradients are
            held in memory.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        training: In training mode, or in evaluation mode.
        seed: Of random layers.

    Returns:
        A row for each parameter tensor: ``‖mean gradient‖``, its own noise scale (NaN below noise),
        and the median over its numbers of the signal-to-noise ratio.

    Raises:
        ValueError: If there are fewer than four batches or their sizes differ, or see
            :func:`objective`.
    """
    with objective(model, batches, loss, training=training, seed=seed) as held:
        size = _common_size(held)
        gradients = torch.stack([held.gradient(i) for i in range(len(held.problems))])
        sizes = {name: parameter.numel() for name, parameter in held.parameters.items()}
    return _record(gradients, sizes, size)


def _record(gradients: Tensor, sizes: Mapping[str, int], size: int) -> Measurement:
    ratios = signal_to_noise(gradients, size)
    whole = noise_from_products(_products(gradients), size)
    parts = gradients.split(list(sizes.values()), dim=1)
    scales = [_ratio(*_two(_products(part), size)) for part in parts]
    medians = [part.nanmedian().item() for part in ratios.split(list(sizes.values()))]
    figures: Mapping[str, float] = {
        "noise scale": whole.scale.value,
        "standard error": whole.scale.error,
        "squared signal": whole.signal.value,
        "noise of one example": whole.noise.value,
        "confusion": whole.confusion,
        "lowest cosine": whole.lowest_cosine,
        "signal to noise, median": ratios.nanmedian().item(),
        "examples in a batch": float(size),
    }
    below = "below noise: the signal cannot be told from zero with these batches; give more of them"
    return Measurement(
        name="noise of the gradient",
        formula="S/‖G‖² with S = tr Σ of one example; E[g]²/Var g; −min ⟨gᵢ, gⱼ⟩",
        source="McCandlish et al. (2018); Liu et al. (2020); Sankararaman et al. (2019)",
        of="parameter",
        rows=tuple(sizes),
        columns={
            "gradient": tuple(torch.linalg.vector_norm(p.double().mean(0)).item() for p in parts),
            "noise scale": tuple(scales),
            "signal to noise": tuple(medians),
        },
        figures=figures,
        notes=(below,) if math.isnan(whole.scale.value) else (),
    )


def _products(gradients: Tensor) -> Tensor:
    wide = gradients.double()
    return (wide @ wide.mT).cpu()


def _common_size(held: Objective) -> int:
    if len(held.counts) < 4:
        raise ValueError(
            f"noise is measured between four batches or more, got {len(held.counts)}; give a list"
            " of pairs (inputs, targets)"
        )
    if len(set(held.counts)) > 1:
        raise ValueError("all batches must have one size; leave out the last, shorter one")
    return held.counts[0]
