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
from mckl.exact.dyadic import Dyadic
from mckl.exact.integrands import SUMS, ratio
from mckl.exact.law import Law
from mckl.exact.strata import Linked

# A function (u, upper) -> l_i of one coordinate at u, or at 1 - u if `upper` is true.
LogRatio = Callable[[Vector, bool], Vector]


class Strata:
    """The sums over strata of f(l_i) - slope (r_i - 1) in one coordinate.

    Parameters
    ----------
    ell
        l_i as a function of a uniform number.
    integrand
        The name of f.
    slope
        The multiple of r_i - 1 that is subtracted.
    singular
        The points u in (0, 1) near which l_i is not smooth.
    """

    def __init__(
        self, ell: LogRatio, integrand: str, slope: float, singular: Sequence[float] = ()
    ) -> None:
        def value(u: Vector, upper: bool) -> Vector:
            x = ell(u, upper)
            y = x if integrand == "ell" else SUMS[integrand](x.ravel()).reshape(x.shape)
            return y - slope * ratio(x) if slope else y

        def below(u: Vector) -> Vector:
            middle = u.size // 2
            return np.concatenate((value(u[:middle], False), value(1.0 - u[middle:], True)))

        self._dyadic = Dyadic(value, singular)
        self._below = below
        self._linked: Linked | None = None
        self._sums: dict[int, tuple[float, float, float]] = {}

    def variance(self, n: int) -> float:
        """The sum of the variances within n strata."""
        return self._dyadic.sums(n).second

    def cumulants(self, n: int) -> tuple[float, float, float]:
        """The sums over n strata of the second to fourth cumulants; NaN where one is not known."""
        if n not in self._sums:
            if self._linked is None:
                self._linked = Linked(self._below)
            second, third, fourth = self._dyadic.sums(n)
            linked = self._linked(n) if n <= Linked.MOST else math.nan
            self._sums[n] = second, third, fourth + linked
        return self._sums[n]


@np.errstate(over="ignore", invalid="ignore")
def stratified(
    strata: Iterable[Strata], counts: Sequence[float], n: int, law: Law, integrand: str
) -> Stratified:
    """The law of the mean over n = 2^m points of a sum over coordinates, for strata of slope 0.

    `counts` says how many coordinates have each of `strata`; `law` is the law of l, which decides
    which cumulants are finite.
    """
    sums = np.array([one.cumulants(n) for one in strata])
    second, third, fourth = np.array(counts, float) @ sums
    if second == 0.0:
        return Stratified(0.0, 0.0, 0.0)
    # A cumulant that is infinite is so within the strata at the ends, too.
    whole = law.sums((integrand,), False)
    third, fourth = (
        value if math.isfinite(of_one) else math.inf
        for value, of_one in ((third, whole[3]), (fourth, whole[4]))
    )
    return Stratified(second / n**2, third / second**1.5, fourth / second**2)


def variance(strata: Iterable[Strata], counts: Sequence[float], n: int) -> float:
    """The variance in `stratified`, which also allows a slope and takes little time for every n."""
    return math.fsum(c * s.variance(n) for c, s in zip(counts, strata, strict=True)) / n**2
