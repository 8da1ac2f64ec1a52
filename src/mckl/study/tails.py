"""P-values of the statistics in verification, by their exact laws.

A gamma law with the same mean, variance and skewness is used where it is accurate far out in the
tails. Elsewhere the p-values are inequalities that hold for every law (theory.md, section 7).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector

# A tail that is heavier than the gamma's is not extrapolated beyond this z.
_FARTHEST = 10.0


def gamma_p_value(z: Vector, skewness: Vector, excess: Vector | float = 0.0) -> Vector:
    """The two-sided p-value of z under a standardised gamma (Pearson type III) law.

    It is twice the smaller tail; at skewness 0 the law is normal. An excess kurtosis beyond the
    gamma's makes a tail e^(excess z^4 / 24) times as heavy, to first order.
    """
    flip = np.where(skewness < 0, -1.0, 1.0)
    x, g = z * flip, np.abs(skewness)
    bent = g > 1e-3
    shape = 4.0 / np.where(bent, g, 1.0) ** 2
    point = np.maximum(shape + x * np.sqrt(shape), 0.0)
    tail = np.minimum(scipy.special.gammainc(shape, point), scipy.special.gammaincc(shape, point))
    heavier = np.exp(np.maximum(excess, 0.0) * np.minimum(np.abs(z), _FARTHEST) ** 4 / 24.0)
    return np.asarray(
        np.minimum(2.0 * heavier * np.where(bent, tail, scipy.special.ndtr(-np.abs(x))), 1.0)
    )


def gamma_bounds(p_value: float, skewness: Vector, excess: Vector) -> tuple[Vector, Vector]:
    """The z on either side with this `gamma_p_value`; approximate if there is an excess."""
    usual = float(-scipy.special.ndtri(0.5 * p_value)) + 1.0
    p = p_value * np.exp(-np.maximum(excess, 0.0) * usual**4 / 24.0)
    flip, g = skewness < 0, np.abs(skewness)
    bent = g > 1e-3
    shape = 4.0 / np.where(bent, g, 1.0) ** 2
    normal = -scipy.special.ndtri(0.5 * p)
    low = np.where(
        bent, (scipy.special.gammaincinv(shape, 0.5 * p) - shape) / np.sqrt(shape), -normal
    )
    high = np.where(
        bent, (scipy.special.gammainccinv(shape, 0.5 * p) - shape) / np.sqrt(shape), normal
    )
    return np.where(flip, -high, low), np.where(flip, -low, high)


def chebyshev_p_value(z: Vector) -> Vector:
    """Chebyshev's bound 1/z^2 on the two-sided p-value, which holds for every law."""
    with np.errstate(divide="ignore"):
        return np.minimum(1.0 / z**2, 1.0)


def shortfall_p_value(relative: Vector, sd: Vector, part: Vector) -> Vector:
    """A bound on the two-sided p-value of a mean of squares that holds for every law.

    Above the expectation it is Cantelli's inequality. Below it is that of Bennett, "Probability
    inequalities for the sum of independent random variables" (1962), since a square is at most its
    whole expectation below it.

    relative  (measured - exact) / exact
    sd        the standard deviation of measured / exact
    part      the largest share of one independent square in the mean
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = relative / sd
        u = part * np.maximum(-relative, 0.0) / sd**2
        rate = (1.0 + u) * np.log1p(u) - u
        below = np.exp(-((sd / part) ** 2) * rate)
        tail = np.minimum(1.0 / (1.0 + z * z), np.where(relative < 0, below, 1.0))
    return np.asarray(np.minimum(2.0 * tail, 1.0))


def bennett_p_value(off: Vector, variance: Vector, farthest: Vector, count: int) -> Vector:
    """A bound on the two-sided p-value of a mean of `count` independent numbers with one law.

    It is that of Bennett, "Probability inequalities for the sum of independent random variables"
    (1962), or Chebyshev's if this is smaller.

    off       the mean less its expectation
    variance  the variance of one number
    farthest  the largest distance of a number from its expectation
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        u = farthest * np.abs(off) / variance
        rate = (1.0 + u) * np.log1p(u) - u
        bennett = 2.0 * np.exp(-count * variance / farthest**2 * rate)
        chebyshev = variance / (count * off**2)
    return np.asarray(np.where(off == 0, 1.0, np.minimum(np.minimum(bennett, chebyshev), 1.0)))


def chernoff_p_value(share: Vector, count: Vector, low: Vector, high: Vector) -> Vector:
    """A bound on the two-sided p-value of a mean of `count` independent numbers in [0, 1].

    Their expectation is between `low` and `high`. The bound is theorem 1 of Hoeffding, "Probability
    inequalities for sums of bounded random variables" (1963).
    """
    p = np.clip(share, low, high)  # the most favourable expectation
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = scipy.special.xlogy(share, share / p) + scipy.special.xlogy(
            1.0 - share, (1.0 - share) / (1.0 - p)
        )
    return np.asarray(np.minimum(2.0 * np.exp(-count * np.maximum(divergence, 0.0)), 1.0))


# The shares of the stake that are bet on each replicate. The capital is the mean over all of them.
_STAKES = np.array([0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 0.7])
_PRICES = -np.log1p(-_STAKES) - _STAKES


def nonnegative_p_value(relative: Vector, square: Vector, count: Vector) -> Vector:
    """A bound on the p-value of a mean that is too large, of independent numbers >= 0.

    For x >= 0 with mean 1 and every t in (0, 1), E exp(t (x - 1) - (-log(1 - t) - t) (x - 1)^2) is
    at most 1 (Fan, Grama & Liu, "Exponential inequalities for martingales with applications",
    2015), so a product over replicates is at least 1 / p with a probability of at most p. No
    variance is needed.

    relative  mean / expectation - 1
    square    the mean of (x / expectation - 1)^2
    count     the number of independent numbers
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        gain = np.multiply.outer(relative, _STAKES) - np.multiply.outer(square, _PRICES)
        capital = np.exp(np.asarray(count)[..., None] * gain).mean(axis=-1)
        p = np.minimum(1.0 / capital, 1.0)
    return np.asarray(np.where(np.isnan(relative), 0.0, p))


def nonnegative_bound(p_value: float, spread: Vector, count: Vector) -> Vector:
    """The relative excess of the mean with this `nonnegative_p_value`, about; inf if there is none.

    `spread` is the variance of one number, relative to the square of the expectation.
    """
    bound = math.log(_STAKES.size / p_value) / np.asarray(count)[..., None]
    with np.errstate(invalid="ignore"):
        room = _STAKES**2 - 4.0 * _PRICES * (_PRICES * np.asarray(spread)[..., None] + bound)
        excess = (_STAKES - np.sqrt(room)) / (2.0 * _PRICES)
    return np.asarray(np.where(np.isnan(excess), np.inf, excess).min(axis=-1))


def median_p_value(ratio: Vector, count: Vector) -> Vector:
    """A bound on the p-value of the median of `count` squares, divided by their expectation.

    Each square exceeds c times its expectation with a probability of at most 1 / c (Markov), and at
    least half of them do if their median does.
    """
    half = np.ceil(count / 2.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = scipy.special.betainc(half, count - half + 1.0, np.minimum(1.0 / ratio, 1.0))
    return np.asarray(np.where(np.isnan(ratio), 0.0, p))


def median_bound(p_value: float, count: Vector) -> Vector:
    """The ratio with this `median_p_value`."""
    half = np.ceil(count / 2.0)
    return np.asarray(1.0 / scipy.special.betaincinv(half, count - half + 1.0, p_value))


# Fisher's transform of a correlation has this many times its standard deviation for normal numbers:
# room for numbers that are only nearly normal.
_WIDER = 1.25


def correlation_score(measured: Vector, exact: Vector, count: Vector) -> Vector:
    """The difference of two correlations in standard deviations, by Fisher's transform.

    `measured` is that of `count` pairs of nearly normal numbers (Fisher 1921).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.arctanh(np.clip(measured, -1.0, 1.0)) - np.arctanh(exact)
        return np.asarray(off * np.sqrt(count - 3.0) / _WIDER)


def correlation_bound(exact: Vector, z: float, count: Vector) -> Vector:
    """The larger of the two errors of a correlation that have this `correlation_score`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, width = np.arctanh(exact), z * _WIDER / np.sqrt(count - 3.0)
        ends = (np.abs(np.tanh(middle + sign * width) - exact) for sign in (1.0, -1.0))
        return np.asarray(np.maximum(*ends))


# The y below, relative to the exact variance. A smaller y makes the bound tighter for large
# deviations and looser for small ones.
_MIXED = 0.1


def self_normalised_p_value(total: Vector, squares: Vector, variance: Vector) -> Vector:
    """A bound on the two-sided p-value of a sum of independent numbers with mean 0, for every law.

    With A = squares / 3 + 2 variance / 3, E exp(t total - t^2 A / 2) <= 1 for every t (Delyon,
    "Exponential inequalities for sums of weakly dependent variables", 2009), so also over normal t
    of variance 1 / y (de la Pena, Klass and Lai, "Self-normalized processes", 2004): the inverse of
    that mean is a p-value. Rare large numbers raise the squares where they occur, and the variance
    where they do not, so that neither makes a false alarm.

    total     the sum
    squares   the sum of the squares
    variance  the exact variance of the sum, or an upper bound
    """
    a, y = squares / 3.0 + 2.0 * variance / 3.0, _MIXED * variance
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bound = np.sqrt((a + y) / y) * np.exp(-total * (total / (2.0 * (a + y))))
    return np.asarray(np.minimum(np.where(total == 0, 1.0, bound), 1.0))


def self_normalised_bound(p_value: float) -> float:
    """The z above which `self_normalised_p_value` is below `p_value`, for the expected squares."""
    room = (1.0 + _MIXED) / _MIXED
    return float(np.sqrt(2.0 * (1.0 + _MIXED) * np.log(np.sqrt(room) / p_value)))


class Square(NamedTuple):
    """The cumulants of y = x^2, where x has mean 0 and variance 1; so the mean of y is 1."""

    variance: Vector
    third: Vector
    fourth: Vector


def square(skewness: Vector, excess_kurtosis: Vector) -> Square:
    """The cumulants of x^2 for an x with this skewness and excess kurtosis.

    The variance is exact. For the third and fourth cumulant, the higher cumulants of x are those of
    the gamma law with the same excess kurtosis, so the result is exact for normal and gamma x.
    """
    kurtosis = np.maximum(excess_kurtosis, -2.0)
    theta = np.maximum(kurtosis, 0.0) / 6.0  # 1 / shape
    third = 8.0 + 12.0 * kurtosis + 10.0 * skewness**2 + 120.0 * theta**2
    fourth = 48.0 + 1824.0 * theta + 6720.0 * theta**2 + 5040.0 * theta**3
    return Square(2.0 + kurtosis, np.maximum(third, 0.0), fourth)


def near_gamma(skewness: Vector, excess_kurtosis: Vector) -> NDArray[np.bool_]:
    """Whether a law's fourth cumulant is close to that of the gamma law with its skewness."""
    gap = np.abs(excess_kurtosis - 1.5 * skewness**2)
    return np.asarray(gap <= np.maximum(0.25 * np.abs(excess_kurtosis), 0.1))
