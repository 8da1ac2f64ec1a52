"""The law of a mean over balanced Sobol' points, where the integrand is a sum over coordinates.

The cumulants of the coordinates' sums over strata (`mckl.exact.dyadic`) add up. The functions of
l_i are named as in `mckl.exact.integrands`; ``ell`` is l_i itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.draw.form import Stratified
from mckl.exact.dyadic import Dyadic, Sums
from mckl.exact.integrands import half_square, k3, ratio
from mckl.exact.law import Law
from mckl.exact.moments import Function
from mckl.exact.strata import Linked

# A function (u, upper) -> l_i of one coordinate at u, or at 1 - u if `upper` is true.
LogRatio = Callable[[Vector, bool], Vector]


_NAMES = ("ell", "half_square", "ratio", "k3")


class Strata:
    """The sums over strata of functions of l_i in one coordinate.

    Parameters
    ----------
    ell
        l_i as a function of a uniform number.
    singular
        The points u in (0, 1) near which l_i may not be smooth.
    """

    def __init__(self, ell: LogRatio, singular: Sequence[float] = ()) -> None:
        def values(u: Vector, upper: bool) -> Vector:
            x = ell(u, upper)
            return np.stack((x, half_square(x), ratio(x), k3(x)))

        self._dyadic = Dyadic(values, singular)
        self._linked: dict[str, Linked] = {}
        self._cumulants: dict[tuple[int, str], Sums] = {}

    def variance(self, n: int, integrand: str, slope: float = 0.0) -> float:
        """The sum over n strata of the variances of a function of l_i less slope (r_i - 1).

        With a slope, the function must be l_i or its k3. Since k3 is l_i + (r_i - 1), the variances
        of the three give their covariances.
        """
        sums = self._dyadic.sums(n)
        of = {name: own.second for name, own in zip(_NAMES, sums, strict=True)}
        if not slope:
            return of[integrand]
        sign = 1.0 if integrand == "ell" else -1.0
        other = of["k3" if integrand == "ell" else "ell"]
        twice_covariance = sign * (other - of[integrand] - of["ratio"])
        return of[integrand] - slope * twice_covariance + slope * slope * of["ratio"]

    def cumulants(self, n: int, integrand: str) -> Sums:
        """Sums over n strata of the second to fourth cumulants; NaN where one is not known."""
        if (n, integrand) not in self._cumulants:
            if not self._linked:
                grid = zip(_NAMES, self._dyadic.grid(Linked.CELLS), strict=True)
                self._linked = {name: Linked(values) for name, values in grid if name != "ratio"}
            sums = self._dyadic.sums(n)[_NAMES.index(integrand)]
            linked = self._linked[integrand](n) if n <= Linked.MOST else math.nan
            self._cumulants[n, integrand] = sums._replace(fourth=sums.fourth + linked)
        return self._cumulants[n, integrand]


@np.errstate(over="ignore", invalid="ignore")
def stratified(
    strata: Iterable[Strata], counts: Sequence[float], n: int, law: Law, integrand: str
) -> Stratified:
    """The law of the mean of a sum over coordinates, without a slope, over n = 2^m points."""
    sums = np.array([one.cumulants(n, integrand) for one in strata])
    second, third, fourth = np.array(counts, float) @ sums
    if second == 0.0:
        return Stratified(0.0, 0.0, 0.0)
    # A cumulant that is infinite is so within the strata at the ends, too.
    whole = law.sums((Function(integrand),), False).value
    third, fourth = (
        value if math.isfinite(of_one) else math.inf
        for value, of_one in ((third, whole[3]), (fourth, whole[4]))
    )
    return Stratified(second / n**2, third / second**1.5, fourth / second**2)


def variance(
    strata: Iterable[Strata], counts: Sequence[float], n: int, integrand: str, slope: float
) -> float:
    """The variance of the same mean, also with a slope; it is cheap for every n."""
    total = math.fsum(
        count * one.variance(n, integrand, slope) for count, one in zip(counts, strata, strict=True)
    )
    return total / n**2
