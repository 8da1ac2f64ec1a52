"""Differences of the gamma function's logarithm and derivatives, without loss of digits."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bernoulli, gammaln, psi, zeta

from mckl.arrays import Vector

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)
_TERMS = 12
_BERNOULLI = bernoulli(2 * _TERMS)[2::2]


def log_gamma_rise(a: float, h: float) -> float:
    """The difference log Gamma(a + h) - log Gamma(a), to full accuracy for small h."""
    if abs(h) > 0.5 * a:
        return float(gammaln(a + h) - gammaln(a))
    return 0.5 * h * float(_WEIGHTS @ psi(a + 0.5 * h * (1.0 + _NODES)))


def zeta_rest(m: int, a: Vector) -> Vector:
    """zeta(m, a) - a^(1 - m) / (m - 1), without the difference where a is large.

    zeta(m, a) = sum_n (a + n)^-m; the Euler-Maclaurin formula.
    """
    near = a < 10.0 + m
    small, large = np.where(near, a, 1.0), np.where(near, 10.0 + m, a)
    total, term = 0.5 * np.ones_like(large), m / large  # in units of a^-m
    for k, b in enumerate(_BERNOULLI, start=1):
        total = total + b / math.factorial(2 * k) * term
        term = term * (m + 2 * k - 1) * (m + 2 * k) / (large * large)
    exact = zeta(m, small) - small ** (1.0 - m) / (m - 1.0)
    return np.where(near, exact, total * large ** (-float(m)))
