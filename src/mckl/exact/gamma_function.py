"""Differences of the gamma function's logarithm and derivatives, without loss of digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.exact.moments import EPS, Bounded
from mckl.exact.remainders import log_quotient, x_minus_log1p

_TERMS = 12
_LARGE, _STIRLING = 16.0, 7  # from _LARGE on, _STIRLING terms of his series are exact
_HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)
_FAR = 9.0  # from here on Stirling's series of _TERMS terms is exact to rounding


@cache
def _bernoulli() -> Vector:
    return np.asarray(scipy.special.bernoulli(2 * _TERMS)[2::2])


def log_gamma_rise(a: float, h: float, b: float | None = None) -> float:
    """The difference log Gamma(b) - log Gamma(a), where b = a + h.

    Its error is at most that of `log_gamma_rest` plus 2 EPS abs(h log a). `b` is needed where a + h
    rounds, as with a = 1e12 and b = 1e-3.
    """
    return log_gamma_rest(a, h, b).value + h * math.log(a)


def log_gamma_rest(a: float, h: float, b: float | None = None) -> Bounded:
    """The difference log Gamma(b) - log Gamma(a) - h log a, where b = a + h.

    It is about h (h - 1) / (2 a) where a is large, and keeps its digits however large a is. By
    Stirling's formula, log Gamma(x) = x log x - x - log(x) / 2 + a series in 1 / x. Below `_FAR`,
    log Gamma(x) = log Gamma(x + n) - sum over k < n of log(x + k).
    """
    b = a + h if b is None else b
    count = max(0, math.ceil(_FAR - min(a, b)))
    steps = np.append(np.arange(count), count)
    logs = log_quotient(b + steps, a + steps, h)  # log((b + k) / (a + k))
    a_far, b_far, log_far = a + count, b + count, float(logs[-1])
    u = h / a_far
    # b log(b / a) - h, as a (u^2 - (1 + u) (u - log(1 + u))) where u is small
    near = a_far * (u * u - (1.0 + u) * float(x_minus_log1p(u))) if abs(u) < 0.5 else 0.0
    far = [] if abs(u) < 0.5 else [b_far * log_far, -h]
    k = np.arange(1, _TERMS + 1)
    powers = np.expm1((1 - 2 * k) * log_far) * a_far ** (1.0 - 2 * k)
    series = _bernoulli() / (2 * k * (2 * k - 1)) * powers
    shift = h * math.log1p(count / a)  # h log((a + n) / a)
    terms = np.array([near, *far, -0.5 * log_far, *series, shift, *-logs[:-1]])
    return Bounded(math.fsum(terms), 4.0 * EPS * float(np.abs(terms).sum()))


@lru_cache(maxsize=1024)
def stirling_rest(a: float) -> Bounded:
    """The rest of Stirling's formula, log Gamma(a) - (a - 1/2) log a + a - log(2 pi) / 2."""
    if a >= _LARGE:
        return _bounded(_stirling_terms(a))
    return _bounded([float(scipy.special.gammaln(a)), -(a - 0.5) * math.log(a), a, -_HALF_LOG_2_PI])


@lru_cache(maxsize=1024)
def stirling_rise(a: float, b: float, h: float | None = None) -> Bounded:
    """The difference stirling_rest(b) - stirling_rest(a), to full accuracy for b near a.

    `h` is b - a, if it is known to more digits than a subtraction gives.
    """
    h = b - a if h is None else h
    step = float(log_quotient(b, a, h))
    if min(a, b) >= _LARGE:
        terms = enumerate(_stirling_terms(a))
        return _bounded([term * math.expm1(-(2 * k + 1) * step) for k, term in terms])
    value, error = log_gamma_rest(a, h, b)
    rise = _bounded([value, -(b - 0.5) * step, h])
    return Bounded(rise.value, rise.error + error)


def _bounded(terms: Sequence[float]) -> Bounded:
    """The sum of terms that are each right to a few roundings of itself."""
    return Bounded(math.fsum(terms), 4.0 * EPS * math.fsum(map(abs, terms)))


def _stirling_terms(a: float) -> list[float]:
    return [
        float(b) / (2 * k * (2 * k - 1) * a ** (2 * k - 1))
        for k, b in enumerate(_bernoulli()[:_STIRLING], start=1)
    ]


@lru_cache(maxsize=1024)
def half_rise(a: float, b: float = math.inf) -> float:
    """C(a) - C(b) with C(x) = log Gamma(x + 1/2) - log Gamma(x) - log(x) / 2, which tends to 0.

    C(x) - C(x + 1) is half of log(1 - 1 / (2 x + 1)^2), so that all terms have the same sign. For
    large x, C(x) is stirling_rest(2 x) - 2 stirling_rest(x).
    """
    if a > b:
        return -half_rise(b, a)
    steps = np.arange(max(0.0, math.ceil(_LARGE - a)))
    low, high = a + steps, b + steps
    share = 0.25 if math.isinf(b) else 0.25 * (b - a) * (low + high + 1.0) / (high + 0.5) ** 2
    near = -0.5 * float(np.log1p(share / (low * (low + 1.0))).sum())
    step, a = math.log1p((b - a) / (a + steps.size)), a + steps.size
    terms = enumerate(_stirling_terms(a))
    far = [
        (0.5 ** (2 * k + 1) - 2.0) * -math.expm1(-(2 * k + 1) * step) * coefficient
        for k, coefficient in terms
    ]
    return near + math.fsum(far)


def gamma_ratio_at_mean(a: float, b: float, c: Vector, slope: Vector) -> tuple[Vector, ...]:
    """Terms of log q - log p at the mean of q, for gamma laws of shapes a and b and rates 1 and c.

    `slope` is a c - b, the slope of log q - log p in log x there, to full accuracy. The large terms
    of the two log densities differ by b (y - log(1 + y)), 1 + y = a c / b. Beyond rounding of the
    terms, the error is that of `stirling_rise(a, b)`.
    """
    y = slope / b
    far = np.abs(y) > 0.5
    gap = np.where(far, y - np.log(a * c / b), x_minus_log1p(np.where(far, 0.0, y)))
    return b * gap, np.asarray(-0.5 * log_quotient(b, a)), np.asarray(stirling_rise(a, b).value)


def zeta_rest(m: int, a: Vector) -> Vector:
    """The Hurwitz zeta function less its leading term, zeta(m, a) - a^(1 - m) / (m - 1).

    zeta(m, a) = sum_n (a + n)^-m is scipy.special.zeta. Where a is large, the Euler-Maclaurin
    formula gives the rest without a subtraction.
    """
    near = a < 10.0 + m
    if near.all():
        return np.asarray(_zeta_rest_near(m, a))
    large = np.where(near, 10.0 + m, a)
    total, term = 0.5 * np.ones_like(large), m / large  # in units of a^-m
    for k, b in enumerate(_bernoulli(), start=1):
        total = total + b / math.factorial(2 * k) * term
        term = term * (m + 2 * k - 1) * (m + 2 * k) / (large * large)
    out = np.asarray(total * large ** (-float(m)))
    if near.any():
        out[near] = _zeta_rest_near(m, a[near])
    return out


def _zeta_rest_near(m: int, a: Vector) -> Vector:
    return np.asarray(scipy.special.zeta(m, a) - a ** (1.0 - m) / (m - 1.0))


def zeta_error(m: int, a: Vector) -> Vector:
    """A bound on the relative error of `zeta_rest`, whose two terms cancel where a is not small."""
    return np.asarray(EPS * (6.0 + m + 8.0 * np.minimum(a, 10.0 + m) / (m - 1.0)))
