"""Differences of the gamma function's logarithm and derivatives, without loss of digits."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.exact.integrands import x_minus_log1p

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)
_TERMS = 12
_LARGE, _STIRLING = 16.0, 7  # from this number on, so many terms of Stirling's series are exact
_HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


@cache
def _bernoulli() -> Vector:
    return np.asarray(scipy.special.bernoulli(2 * _TERMS)[2::2])


def log_gamma_rise(a: float, h: float) -> float:
    """The difference log Gamma(a + h) - log Gamma(a), to full accuracy for small h."""
    if abs(h) > 0.5 * a:
        return float(scipy.special.gammaln(a + h) - scipy.special.gammaln(a))
    return 0.5 * h * float(_WEIGHTS @ scipy.special.psi(a + 0.5 * h * (1.0 + _NODES)))


def stirling_rest(a: float) -> float:
    """The rest of Stirling's formula, log Gamma(a) - (a - 1/2) log a + a - log(2 pi) / 2."""
    if a < _LARGE:
        return float(scipy.special.gammaln(a)) - (a - 0.5) * math.log(a) + a - _HALF_LOG_2_PI
    return math.fsum(_stirling_terms(a))


def stirling_rise(a: float, h: float) -> float:
    """The difference stirling_rest(a + h) - stirling_rest(a), to full accuracy for small h."""
    if min(a, a + h) < _LARGE:
        log_ratio = math.log1p(h / a) if abs(h) < 0.5 * a else math.log((a + h) / a)
        leading = h * (math.log(a) - 1.0) + (a + h - 0.5) * log_ratio
        return log_gamma_rise(a, h) - leading
    step = math.log1p(h / a)
    terms = enumerate(_stirling_terms(a))
    return math.fsum(term * math.expm1(-(2 * k + 1) * step) for k, term in terms)


def _stirling_terms(a: float) -> list[float]:
    return [
        float(b) / (2 * k * (2 * k - 1) * a ** (2 * k - 1))
        for k, b in enumerate(_bernoulli()[:_STIRLING], start=1)
    ]


def gamma_ratio_at_mean(a: float, b: float, c: Vector, slope: Vector) -> Vector:
    """log q - log p at the mean of q, for gamma laws of the shapes a and b and the rates 1 and c.

    `slope` is a c - b, the slope of log q - log p in log x there, to full accuracy. The large terms
    of the two log densities differ by b (y - log(1 + y)), 1 + y = a c / b.
    """
    y = slope / b
    far = np.abs(y) > 0.5
    gap = np.where(far, y - np.log(a * c / b), x_minus_log1p(np.where(far, 0.0, y)))
    apart = math.log1p((a - b) / b) if abs(a - b) < 0.5 * b else math.log(a / b)
    return np.asarray(b * gap + 0.5 * apart + stirling_rise(a, b - a))


def zeta_rest(m: int, a: Vector) -> Vector:
    """The Hurwitz zeta function less its leading term, zeta(m, a) - a^(1 - m) / (m - 1).

    zeta(m, a) = sum_n (a + n)^-m is scipy.special.zeta. Where a is large, the Euler-Maclaurin
    formula gives the rest without a subtraction.
    """
    near = a < 10.0 + m
    small, large = np.where(near, a, 1.0), np.where(near, 10.0 + m, a)
    total, term = 0.5 * np.ones_like(large), m / large  # in units of a^-m
    for k, b in enumerate(_bernoulli(), start=1):
        total = total + b / math.factorial(2 * k) * term
        term = term * (m + 2 * k - 1) * (m + 2 * k) / (large * large)
    exact = scipy.special.zeta(m, small) - small ** (1.0 - m) / (m - 1.0)
    return np.where(near, exact, total * large ** (-float(m)))
