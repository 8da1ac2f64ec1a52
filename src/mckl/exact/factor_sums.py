"""Functions of the log density ratio l of a sample, or of the l_i of one of its factors.

Their sums over a sample's factors have the same names (`mckl.exact.law.Law.sums`). Each function
keeps full relative accuracy where l is small, and takes arrays of any shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.exact.remainders import FEW_TERMS, phi_of_minus


def half_square(ell: Vector) -> Vector:
    """Half of l squared."""
    return 0.5 * ell * ell


def ratio(ell: Vector) -> Vector:
    """The ratio less one, r - 1 = e^{-l} - 1."""
    return np.expm1(-ell)


def k3(ell: Vector, ratio_minus_one: Vector | None = None) -> Vector:
    """The sum r - 1 + l >= 0; `ratio_minus_one` is r - 1, if it has been computed already."""
    return phi_of_minus(ell, ratio_minus_one, FEW_TERMS)


# The sums over factors that all pairs with known factors offer. A family may offer more.
SUMS: Mapping[str, Callable[[Vector], Vector]] = {
    "half_square": half_square,
    "ratio": ratio,
    "k3": k3,
}


def sums_over(ell: Vector, names: Sequence[str]) -> Vector:
    """The sums of the named functions of l_i over the last axis, shape (names, *other axes)."""
    values_of = {"ratio": ratio(ell)} if {"ratio", "k3"} & {*names} else {}
    if "k3" in names:
        values_of["k3"] = k3(ell, values_of["ratio"])
    out = np.empty((len(names), *ell.shape[:-1]))
    for row, name in zip(out, names, strict=True):
        values = values_of[name] if name in values_of else SUMS[name](ell)
        np.sum(values, axis=-1, out=row)
    return out
