"""What e^x and log(1 + x) leave after their first terms, without cancellation.

Each function takes arrays of any shape.
"""

from __future__ import annotations

import math

import numpy as np

from mckl.arrays import Vector

ELL_OF_LARGE_RATIO = -50.0  # r exceeds 1e21 where l is below this
# 1 / x - 1 / (e^x - 1) is 1/2 less x times the series in x^2 with these coefficients.
_SERIES = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160)
# For |x| below each border, e^x - 1 and x cancel, and this number of terms is enough.
_BORDERS = {len(_SERIES): 0.25, (FEW_TERMS := 2): 2.0**-7}
# The |x| up to which these coefficients, those of (e^x - 1 - x) / x^2, are enough.
LARGEST_OF_TAYLOR_SERIES = 0.1
_TAYLOR_SERIES = [1.0 / math.factorial(k + 2) for k in range(10)]


def phi(x: Vector) -> Vector:
    """The function e^x - 1 - x, whose relative error is at most 8 EPS."""
    return phi_of_minus(-x)


def phi_of_minus(
    ell: Vector, ratio_minus_one: Vector | None = None, terms: int = len(_SERIES)
) -> Vector:
    """The same function at -l, which is r - 1 + l.

    ell              l.
    ratio_minus_one  r - 1 = e^-l - 1, if it has been computed already.
    terms            The terms of the series that is used where l is small. With `FEW_TERMS`, as
                     samples have it for speed, the relative error is at most 256 EPS.
    """
    if ratio_minus_one is None:
        with np.errstate(over="ignore"):
            ratio_minus_one = np.expm1(-ell)
    value = np.asarray(ratio_minus_one + ell)
    small = np.abs(ell) < _BORDERS[terms]
    count = np.count_nonzero(small)
    if 8 * count > small.size:  # the series of all values takes less time than picking these
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(value, _product(ell, ratio_minus_one, terms), where=small)
    elif count:
        places = np.flatnonzero(small)
        some = _product(ell.take(places), ratio_minus_one.take(places), terms)
        # With the default mode, `put` would copy the whole array.
        value.put(places, some, mode="clip")
    return value


def weighted_phi(q: Vector, q_r: Vector, ell: Vector) -> tuple[Vector, Vector]:
    """q (r - 1 + l) and q |r - 1| for weights q, where q r is `q_r`.

    r may overflow, and q be rounded to 0, where q r is neither.
    """
    large = ell < ELL_OF_LARGE_RATIO
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.where(large, q_r + q * (ell - 1.0), q * phi_of_minus(ell))
        return value, np.where(large, q_r, q * np.abs(np.expm1(-ell)))


def _product(ell: Vector, ratio_minus_one: Vector, terms: int) -> Vector:
    """r - 1 + l for small l, as l (1 - r) times the difference of their reciprocals."""
    square = ell * ell
    series = _SERIES[terms - 1] * square
    for coefficient in _SERIES[terms - 2 : 0 : -1]:
        series += coefficient
        series *= square
    series += _SERIES[0]
    series *= ell
    series += 0.5
    series *= ratio_minus_one
    series *= ell
    return np.negative(series, out=series)


def phi_over_x(x: Vector) -> Vector:
    """(e^x - 1 - x) / x for |x| <= `LARGEST_OF_TAYLOR_SERIES`, without an exponential."""
    series = _TAYLOR_SERIES[-1] * x
    for coefficient in _TAYLOR_SERIES[-2:0:-1]:
        series += coefficient
        series *= x
    series += _TAYLOR_SERIES[0]
    series *= x
    return np.asarray(series)


def x_minus_log1p(x: Vector | float) -> Vector:
    """``x - log(1 + x)`` to full relative accuracy for every x > -1.

    The two terms agree to first order, so near 0 their difference has no correct digit left.
    There log(1 + x) = 2 artanh(s) with s = x / (2 + x) gives a quotient without cancellation plus
    a short series.
    """
    x = np.asarray(x, dtype=np.float64)
    near = np.abs(x) < 0.5
    small = np.where(near, x, 0.0)
    s = small / (2.0 + small)
    s2 = s * s
    series = np.full_like(s, 1.0 / 35.0)
    for k in range(16, 0, -1):
        series *= s2
        series += 1.0 / (2 * k + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        far = x - np.log1p(np.where(near, 0.0, x))
    return np.where(near, small * small / (2.0 + small) - 2.0 * s * s2 * series, far)


def log_quotient(
    v: Vector | float, w: Vector | float, apart: Vector | float | None = None
) -> Vector:
    """log(v / w) for positive v and w, to full relative accuracy where they are close.

    `apart` is v - w, if it is known to more digits than a subtraction gives.
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        share = np.asarray((np.subtract(v, w) if apart is None else apart) / np.asarray(w))
        quotient = np.divide(v, w)
        near, usual = np.abs(share) < 0.5, (quotient > 1e-300) & (quotient < 1e300)
        far = np.where(usual, np.log(quotient), np.log(v) - np.log(w))
    return np.asarray(np.where(near, np.log1p(np.where(near, share, 0.0)), far))
