"""A number that was estimated, with its standard error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The mean of independent samples.

    ``error`` is its standard error ``s/√k``, with s over k − 1; NaN where there is one sample only,
    which says nothing of its own error.
    """

    value: float
    error: float
    samples: int

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.error:.2g}" if self.samples > 1 else f"{self.value:.6g}"


def mean_of(samples: Sequence[float]) -> Estimate:
    """Average samples.

    >>> print(mean_of([1.0, 2.0, 3.0]))
    2 ± 0.58

    Raises:
        ValueError: If there is none.
    """
    count = len(samples)
    if not count:
        raise ValueError("a mean needs at least one sample, got none; give a batch or a probe more")
    mean = math.fsum(samples) / count
    if count == 1:
        return Estimate(value=mean, error=math.nan, samples=1)
    spread = math.fsum((sample - mean) ** 2 for sample in samples) / (count - 1)
    return Estimate(value=mean, error=math.sqrt(spread / count), samples=count)


def jackknifed(whole: float, without: Sequence[float]) -> Estimate:
    """Give a quantity that is no mean its error, from its values with each sample left out.

    ``error² = (k − 1)/k · Σ (θ₍ᵢ₎ − mean θ₍.₎)²``.

    Args:
        whole: θ from all samples.
        without: θ₍ᵢ₎, from all but the i-th.

    Source: Tukey (1958), "Bias and confidence in not-quite large samples".
    """
    count = len(without)
    if count < 2 or not all(map(math.isfinite, without)):
        return Estimate(value=whole, error=math.nan, samples=count)
    mean = math.fsum(without) / count
    spread = math.fsum((value - mean) ** 2 for value in without)
    return Estimate(value=whole, error=math.sqrt(spread * (count - 1) / count), samples=count)
