"""How sure a number is."""

from math import sqrt

Z95 = 1.959964  # the normal distribution holds 95 % within so many standard deviations


def wilson(right: float, examples: int) -> tuple[float, float]:
    """Give the 95 % interval of a probability of which so many of so many examples tell.

    With p = right/n and z = 1.96: ``(p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n)``.

    >>> low, high = wilson(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)

    Args:
        right: How many were right.
        examples: n, at least 1.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    share, spread = right / examples, Z95**2 / examples
    middle = share + spread / 2
    half = Z95 * sqrt(max(share * (1 - share), 0.0) / examples + spread / (4 * examples))
    return max((middle - half) / (1 + spread), 0.0), min((middle + half) / (1 + spread), 1.0)


def of_mean(mean: float, deviation: float, examples: int) -> tuple[float, float]:
    """Give the 95 % interval of a mean, by the normal distribution: ``mean ± 1.96·s/√n``."""
    half = Z95 * deviation / sqrt(examples)
    return mean - half, mean + half


def of_difference(first: float, n_first: int, second: float, n_second: int) -> float:
    """Give half the width of the 95 % interval of the difference of two shares.

    By the normal distribution, as if they were of different examples. Of the same examples two
    networks err alike, and the true interval is narrower.
    """
    variance = first * (1 - first) / n_first + second * (1 - second) / n_second
    return Z95 * sqrt(max(variance, 0.0))
