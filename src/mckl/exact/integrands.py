"""Functions of the log density ratio l of a sample, or of the l_i of one of its factors.

Their sums over a sample's factors have the same names (`mckl.exact.law.Law.sums`). Each function
keeps full relative accuracy where l is small, and takes arrays of any shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mckl.arrays import Vector

_SMALL = 1e-3  # for smaller |l|, r - 1 and l cancel, so the series is used


def half_square(ell: Vector) -> Vector:
    """Half of l squared."""
    return 0.5 * ell * ell


def ratio(ell: Vector) -> Vector:
    """The ratio less one, r - 1 = e^{-l} - 1."""
    return np.expm1(-ell)


def k3(ell: Vector, ratio_minus_one: Vector | None = None) -> Vector:
    """The sum r - 1 + l >= 0; `ratio_minus_one` is r - 1, if it has been computed already."""
    value = (ratio(ell) if ratio_minus_one is None else ratio_minus_one) + ell
    small = np.abs(ell) < _SMALL
    count = np.count_nonzero(small)
    if 8 * count > small.size:  # the series of all values takes less time than picking these
        np.copyto(value, _k3_series(ell), where=small)
    elif count:
        places = np.flatnonzero(small)
        # With the default mode, `put` would copy the whole array.
        value.put(places, _k3_series(ell.take(places)), mode="clip")
    return value


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
    series = np.zeros_like(s)
    for k in range(17, 0, -1):
        series = series * s2 + 1.0 / (2 * k + 1)
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


def _k3_series(x: Vector) -> Vector:
    return np.asarray(x * x * (0.5 - x * (1 / 6 - x * (1 / 24 - x * (1 / 120)))))


# The sums over factors that all pairs with known factors offer. A family may offer more.
SUMS: Mapping[str, Callable[[Vector], Vector]] = {
    "half_square": half_square,
    "ratio": ratio,
    "k3": k3,
}


def sums_over(ell: Vector, names: Sequence[str]) -> Vector:
    """The sums of the named functions of l_i over the last axis, shape (names, *other axes)."""
    known = {"ratio": ratio(ell)} if {"ratio", "k3"} & {*names} else {}
    if "k3" in names:
        known["k3"] = k3(ell, known["ratio"])
    out = np.empty((len(names), *ell.shape[:-1]))
    for row, name in zip(out, names, strict=True):
        values = known[name] if name in known else SUMS[name](ell)
        np.sum(values, axis=-1, out=row)
    return out
