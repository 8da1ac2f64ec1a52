"""The law of a mean over balanced Sobol' points, where the integrand is a sum over coordinates.

The cumulants of the coordinates' sums over strata (`mckl.exact.dyadic`) add up. The functions of
l_i are named as in `mckl.exact.factor_sums`; ``ell`` is l_i itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.form import Stratified
from mckl.exact.dyadic import Dyadic
from mckl.exact.factor_sums import half_square, ratio
from mckl.exact.law import Law
from mckl.exact.moments import EPS, LARGEST_ERROR, Bounded, Function
from mckl.exact.quadruples import linked
from mckl.exact.remainders import phi_of_minus
from mckl.exact.strata import UNKNOWN, scaled

# A function (u, upper) -> l_i of one coordinate at u, or at 1 - u if `upper` is true, and a bound
# on its rounding error.
LogRatio = Callable[[Vector, bool], tuple[Vector, Vector]]


_MOST_STRATA = 2**14  # with more the fourth cumulant is not known
_NAMES = ("ell", "half_square", "ratio", "k3")


class Strata:
    """The sums over strata of functions of l_i in one coordinate.

    ell       l_i as a function of a uniform number.
    singular  The points (u, 1 - u) in (0, 1) near which l_i may not be smooth.
    """

    def __init__(self, ell: LogRatio, singular: Sequence[tuple[float, float]] = ()) -> None:
        def functions(u: Vector, upper: bool) -> Vector:
            x, error = ell(u, upper)
            r = ratio(x)
            values = np.stack((x, half_square(x), r, phi_of_minus(x, r)))
            slopes = np.stack((np.ones_like(x), np.abs(x), 1.0 + r, np.abs(r)))
            return np.stack((values, slopes * error + 4.0 * EPS * np.abs(values)))

        self._dyadic = Dyadic(functions, singular)
        self._cumulants: dict[tuple[int, str], tuple[Vector, Vector]] = {}

    def variance(self, n: int, integrand: str, slope: float = 0.0) -> Bounded:
        """The sum over n strata of the variances of a function of l_i less slope (r_i - 1).

        With a slope, the function must be l_i or its k3. Since k3 is l_i + (r_i - 1), the variances
        of the three give their covariances.
        """
        value, error = self._dyadic.sums(n)
        bounds = dict(zip(_NAMES, zip(value[:, 0], error[:, 0], strict=True), strict=True))
        weights = {integrand: 1.0}
        if slope:
            sign = 1.0 if integrand == "ell" else -1.0
            other = "k3" if integrand == "ell" else "ell"
            ratios = slope * slope + sign * slope
            weights = {integrand: 1.0 + sign * slope, other: -sign * slope, "ratio": ratios}
        return Bounded(
            float(sum(weight * bounds[name][0] for name, weight in weights.items())),
            float(sum(abs(weight) * bounds[name][1] for name, weight in weights.items())),
        )

    def cumulants(self, n: int, integrand: str) -> tuple[Vector, Vector]:
        """Sums over n strata of the second to fourth cumulants, and bounds on their errors."""
        if (n, integrand) not in self._cumulants:
            row = _NAMES.index(integrand)
            value, error = (sums[row].copy() for sums in self._dyadic.sums(n))
            quadruples = linked(self._dyadic, n, *[row] * 4) if n <= _MOST_STRATA else UNKNOWN
            value[2] += quadruples.value
            error[2] += quadruples.error
            self._cumulants[n, integrand] = value, error
        return self._cumulants[n, integrand]


@np.errstate(over="ignore", invalid="ignore")
def stratified_sum(
    strata: Iterable[Strata], counts: Sequence[float], n: int, law: Law, integrand: str
) -> Stratified:
    """The law of the mean of a sum over coordinates, without a slope, over n = 2^m points."""
    each = [coordinate.cumulants(n, integrand) for coordinate in strata]
    weights = np.array(counts, float)
    value, error = (weights @ np.array(column) for column in zip(*each, strict=True))
    infinite = _infinite(law, integrand)
    return scaled(n, np.where(infinite, math.inf, value), np.where(infinite, 0.0, error))


@lru_cache(maxsize=4)  # the same for every n
def _infinite(law: Law, integrand: str) -> NDArray[np.bool_]:
    """Which cumulants are infinite, and so also within the strata at the ends."""
    return np.isinf(law.sums((Function(integrand),), False, 4).value[2:])


def variance(
    strata: Iterable[Strata], counts: Sequence[float], n: int, integrand: str, slope: float
) -> float:
    """The variance of the same mean, also with a slope; it is cheap for every n.

    NaN if its bound exceeds `LARGEST_ERROR`.
    """
    each = [coordinate.variance(n, integrand, slope) for coordinate in strata]
    both = zip(*each, strict=True)
    total = Bounded(*(math.fsum(c * x for c, x in zip(counts, y, strict=True)) for y in both))
    return total.value / n**2 if total.relative <= LARGEST_ERROR else math.nan
