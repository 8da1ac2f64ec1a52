"""Differences of the gamma function's logarithm and derivatives, without loss of digits."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import scipy

from mckl.arrays import Vector

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)
_TERMS = 12


@cache
def _bernoulli() -> Vector:
    return np.asarray(scipy.special.bernoulli(2 * _TERMS)[2::2])


def log_gamma_rise(a: float, h: float) -> float:
    """The difference log Gamma(a + h) - log Gamma(a), to full accuracy for small h."""
    if abs(h) > 0.5 * a:
        return float(scipy.special.gammaln(a + h) - scipy.special.gammaln(a))
    return 0.5 * h * float(_WEIGHTS @ scipy.special.psi(a + 0.5 * h * (1.0 + _NODES)))


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
