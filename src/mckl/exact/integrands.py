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
    small = np.flatnonzero(np.abs(ell) < _SMALL)
    x = ell.take(small)
    value.put(small, x * x * (0.5 - x * (1 / 6 - x * (1 / 24 - x * (1 / 120)))))
    return value


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
