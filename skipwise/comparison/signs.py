"""The sign-flip test of paired differences, and the interval that follows from it.

If two arms are the same, the two runs of a pair could have changed places, so every difference
d_i could have had the other sign: all 2ⁿ choices of signs are equally likely, and the p-value is
the share of them whose sum is at least as far from 0 as the sum that was seen. Nothing is assumed
of the distribution of the noise, and the test is exact for every n.

It needs no signs at all: a flip of the signs within a set S of pairs gives a sum at least as large
as the one seen if and only if the sum over S is not positive. Moved by δ, it is so if and only if
the *mean over S* is at most δ. The interval of all δ that the test does not reject therefore lies
between two order statistics of the means over all non-empty sets, the *typical values* of Hartigan.

Sources: Fisher (1935), The Design of Experiments, §21; Hartigan (1969), "Using subsample values as
typical values"; Hodges and Lehmann (1963), "Estimates of location based on rank tests". Differs:
above 16 pairs the sets are drawn, 99,999 of them, the same for every question.
"""

from functools import lru_cache

import numpy as np
from scipy.special import ndtri, stdtrit

EXACT_PAIRS = 16  # up to here every set of pairs is looked at
DRAWN_SETS = 99_999  # above, so many that are drawn at random
POWER = 0.8
STUDIES = 4_000  # that calibrate the smallest difference
MOST_SEEDS = 1_000  # no estimate of further seeds goes beyond

Floats = np.ndarray


@lru_cache(maxsize=4)
def sets_of_pairs(pairs: int) -> Floats:
    """Give sets of pairs as rows of zeros and ones, shape ``(sets, pairs)``; none is empty.

    All 2ⁿ − 1 up to 16 pairs, else 99,999 drawn at random, always the same.
    """
    if pairs <= EXACT_PAIRS:
        counts = np.arange(1, 2**pairs)[:, None]
        return ((counts >> np.arange(pairs)) & 1).astype(np.float64)
    drawn = np.random.default_rng(pairs).integers(0, 2, (DRAWN_SETS, pairs))
    drawn[drawn.sum(1) == 0] = 1
    return drawn.astype(np.float64)


def sign_flip_p(differences: Floats) -> Floats:
    """Give the two-sided p-value of no difference.

    ``p = min(1, 2·min(1 + #{S: Σ_S d ≤ 0}, 1 + #{S: Σ_S d ≥ 0}) / (sets + 1))``, which for all sets
    is the share of the 2ⁿ choices of signs with ``|Σ ±d_i| ≥ |Σ d_i|``. Sums that differ by less
    than 10⁻¹² of ``Σ|d_i|`` count as equal, so that rounding breaks no tie.

    Args:
        differences: Shape ``(*studies, pairs)``.

    Returns:
        Shape ``(*studies,)``.
    """
    differences = np.asarray(differences, np.float64)
    sets = sets_of_pairs(differences.shape[-1])
    sums = differences @ sets.T
    equal = 1e-12 * np.abs(differences).sum(-1, keepdims=True)
    low = 1 + (sums <= equal).sum(-1)
    high = 1 + (sums >= -equal).sum(-1)
    return np.minimum(2 * np.minimum(low, high) / (len(sets) + 1), 1.0)


def sign_flip_interval(differences: Floats, level: float) -> tuple[Floats, Floats]:
    """Give the ends of the interval of differences that the test does not reject at this level.

    With N sets and ``c = ⌊level·(N + 1)/2⌋`` they are the c-th smallest and the c-th largest of the
    means over sets; the true centre of symmetric noise lies between them with probability
    ``1 − 2c/(N + 1)``, at least ``1 − level``. With c = 0 there are too few pairs, and they are
    infinite.

    Args:
        differences: Shape ``(*studies, pairs)``.
        level: Probability to miss the truth, for example 0.05.

    Returns:
        Low and high, each of shape ``(*studies,)``.
    """
    differences = np.asarray(differences, np.float64)
    sets = sets_of_pairs(differences.shape[-1])
    rank = _rank(level, len(sets) + 1)
    if rank < 1:
        unbounded = np.full(differences.shape[:-1], np.inf)
        return -unbounded, unbounded
    means = differences @ (sets / sets.sum(1, keepdims=True)).T
    ordered = np.partition(means, (rank - 1, len(sets) - rank), axis=-1)
    return ordered[..., rank - 1], ordered[..., len(sets) - rank]


def _rank(level: float, choices: int) -> int:
    """Give c; a level that is c of the choices but for rounding counts as such."""
    return int(level * choices / 2 + 1e-9)


def hodges_lehmann(differences: Floats) -> Floats:
    """Give the median of the means of all two differences, each also with itself.

    The centre of symmetric noise, which a few wild values hardly move.

    Args:
        differences: Shape ``(*studies, pairs)``.
    """
    differences = np.asarray(differences, np.float64)
    first, second = np.triu_indices(differences.shape[-1])
    return np.median((differences[..., first] + differences[..., second]) / 2, axis=-1)


def least_p(pairs: int) -> float:
    """Give the least two-sided p-value that so many pairs can have: 2/2ⁿ."""
    return min(2.0 / (1 + (2**pairs - 1 if pairs <= EXACT_PAIRS else DRAWN_SETS)), 1.0)


def smallest_difference(differences: Floats, level: float) -> Floats:
    """Give the smallest true difference that such a study finds with 80 % probability.

    ``k·s`` with s the standard deviation of the differences and k of :func:`detectable_factor`:
    another study of the same size and noise, with this true difference, rejects at ``level`` in the
    right direction in 80 of 100 cases, the uncertainty of s included.

    Args:
        differences: Shape ``(*studies, pairs)``.
        level: The corrected level of one comparison.

    Returns:
        Shape ``(*studies,)``; infinite where no difference, however large, could be found.
    """
    differences = np.asarray(differences, np.float64)
    pairs = differences.shape[-1]
    if least_p(pairs) > level * (1 + 1e-9) or pairs < 2:
        return np.full(differences.shape[:-1], np.inf)
    return detectable_factor(pairs, level) * differences.std(-1, ddof=1)


@lru_cache(maxsize=64)
def detectable_factor(pairs: int, level: float) -> float:
    """Give k, the smallest difference in standard deviations of the differences.

    A study with noise e and true difference δ rejects if the lower end ℓ(e) of the interval of its
    noise is above −δ. With δ = k·s(e′), s measured in another study, it does so with probability
    ``P(−ℓ(e)/s(e′) < k)``, so k is the 80 % quantile of this ratio. It is found from 4,000
    simulated studies each for differences that are normal, Laplace (those of exponential noise)
    and Student's t with 3 degrees of freedom, and the largest counts. From 13 pairs on, ℓ is that of the normal approximation of the sign-flip
    test, ``ē − t·s/√n`` with ``t = z·√((n − 1)/(n − z²))``.
    """
    random = np.random.default_rng(pairs)
    found = []
    for noise in (
        random.standard_normal((STUDIES, pairs)),
        random.laplace(size=(STUDIES, pairs)),
        random.standard_t(3, (STUDIES, pairs)),
    ):
        ends, spread = _lower_ends(noise, level), noise.std(-1, ddof=1)
        ratios = np.stack([-np.roll(ends, shift) / spread for shift in range(1, 9)])
        found.append(float(np.quantile(ratios, POWER)))
    return max(found)


def _lower_ends(noise: Floats, level: float) -> Floats:
    pairs = noise.shape[-1]
    if pairs > 12:
        z = float(ndtri(1 - level / 2))
        t = z * np.sqrt((pairs - 1) / max(pairs - z**2, 1e-9))
        return noise.mean(-1) - t * noise.std(-1, ddof=1) / np.sqrt(pairs)
    blocks = np.array_split(noise, max(2 ** (pairs - 8), 1))
    return np.concatenate([sign_flip_interval(block, level)[0] for block in blocks])


def seeds_to_see(difference: float, deviation: float, level: float) -> int | None:
    """Estimate how many pairs find a true difference of this size with 80 % probability.

    The smallest n with ``(t(1 − level/2) + t(0.8))·s/√n ≤ |difference|``, t with n − 1 degrees of
    freedom, and with 2/2ⁿ ≤ level.

    Returns:
        None if it is more than 1,000.
    """
    pairs = np.arange(2, MOST_SEEDS + 1)
    width = stdtrit(pairs - 1, 1 - level / 2) + stdtrit(pairs - 1, POWER)
    enough = width * deviation / np.sqrt(pairs) <= abs(difference)
    enough &= 2.0 ** (1 - pairs) <= level
    return int(pairs[enough.argmax()]) if difference and enough.any() else None
