"""Functions of a log density ratio l, of a whole sample or of one of its factors.

Over a sample's factors they are summed under the same names (`mckl.exact.law.Law.sums`). Each keeps
full relative accuracy where l is small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mckl.arrays import Vector

_SMALL = 1e-3  # below, r - 1 and -l cancel


def half_square(ell: Vector) -> Vector:
    """Half of l squared."""
    return 0.5 * ell * ell


def ratio(ell: Vector) -> Vector:
    """The ratio less one, r - 1 = e^{-l} - 1."""
    return np.expm1(-ell)


def k3(ell: Vector, ratio_minus_one: Vector | None = None) -> Vector:
    """The sum r - 1 + l >= 0, by its series where l is small; r - 1 where it is known already."""
    value = (ratio(ell) if ratio_minus_one is None else ratio_minus_one) + ell
    small = np.abs(ell) < _SMALL
    count = np.count_nonzero(small)
    if 8 * count > small.size:  # the series of every value is faster than picking so many
        np.copyto(value, _k3_series(ell), where=small)
    elif count:
        places = np.flatnonzero(small)
        # Without a mode it would copy the whole array.
        value.put(places, _k3_series(ell.take(places)), mode="clip")
    return value


def x_minus_log1p(x: Vector | float) -> Vector:
    """``x - log(1 + x)`` to full relative accuracy for every x > -1.

    The two terms agree to first order, so near 0 the plain difference has no correct
    digit left; there log(1 + x) = 2 artanh(s) with s = x / (2 + x) gives a quotient
    without cancellation and a short series.
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


def _k3_series(x: Vector) -> Vector:
    return np.asarray(x * x * (0.5 - x * (1 / 6 - x * (1 / 24 - x * (1 / 120)))))


# The sums over factors that every pair offers whose factors are known; a family may have more.
SUMS: Mapping[str, Callable[[Vector], Vector]] = {
    "half_square": half_square,
    "ratio": ratio,
    "k3": k3,
}


def sums_over(ell: Vector, names: Sequence[str]) -> Vector:
    """Sums of functions of l_i over the last axis, shape (names, *others)."""
    known = {"ratio": ratio(ell)} if {"ratio", "k3"} & {*names} else {}
    if "k3" in names:
        known["k3"] = k3(ell, known["ratio"])
    out = np.empty((len(names), *ell.shape[:-1]))
    for row, name in zip(out, names, strict=True):
        values = known[name] if name in known else SUMS[name](ell)
        np.sum(values, axis=-1, out=row)
    return out
