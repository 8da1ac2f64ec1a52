"""Sums over n = 2^m equal strata of a function of one uniform number, in the same time for every n.

Over balanced Sobol' points the mean of f(u) has the variance n^-2 sum Var(f | stratum)
(docs/theory.md, section 6). Strata are dyadic intervals. So the unit interval is halved, and its
halves again, until an interval has at most 128 strata, or lies away from every point where f is
singular. In the latter case the sum over its m strata is c / m (1 + d / m^2 + ...), where c and d
follow from 64 and 128 strata (Richardson extrapolation). An interval is integrated once for all n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector

_MANY = 128  # the most strata of an interval that are integrated one by one
_SHRINKS, _SHRINKS_INSIDE = 60, 12  # halvings of the panels towards an end, and a singular point
_LEAST = 1e-200  # the smallest u of a panel, for f that grows like a power of u at an end
_NOTHING = 1e-17  # the share of the fourth moment that may be left out above `_LEAST`
_LOST = 1e-13  # the share of mean and variance that may be left out below `_LEAST`
_SMALL = 1e-9  # the share of the sums that may be left out there
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


class Sums(NamedTuple):
    """The sums over n equal strata of the second to fourth cumulants of f within each stratum."""

    second: float
    third: float
    fourth: float


class Dyadic:
    """The sums over strata of a function f of u in (0, 1).

    Parameters
    ----------
    function
        A function (u, upper) -> f at u, or at 1 - u if `upper` is true. So both ends keep their
        digits.
    singular
        The points u in (0, 1) near which f is not smooth; both ends always count as such.
    """

    def __init__(
        self, function: Callable[[Vector, bool], Vector], singular: Sequence[float] = ()
    ) -> None:
        self._f = function
        # The distances from the nearer end: u in the lower half, 1 - u in the upper one.
        self._singular = {
            False: sorted({0.0, *(u for u in singular if u <= 0.5)}),
            True: sorted({0.0, *(1.0 - u for u in singular if u >= 0.5)}),
        }
        self._known: dict[tuple[bool, int, int], _Interval] = {}
        self._sums: dict[int, Sums] = {}

    @np.errstate(over="ignore", invalid="ignore")  # of infinite moments
    def moments(self) -> tuple[float, float]:
        """The mean and the variance of f(u); NaN where one is infinite or too close to it."""
        mean, variance, *_ = self._whole()[0]
        lost_mean, lost_variance = self._lost([1, 2])
        return (
            float(mean) if lost_mean <= _LOST * abs(mean) else math.nan,
            float(variance) if lost_variance <= _LOST * variance < math.inf else math.nan,
        )

    @np.errstate(over="ignore", invalid="ignore")  # of infinite moments
    def sums(self, n: int) -> Sums:
        """The sums over n = 2^m strata; NaN where one is infinite or too close to it."""
        if n not in self._sums:
            self._sums[n] = self._sums_over(n)
        return self._sums[n]

    def _sums_over(self, n: int) -> Sums:
        sums = _cumulants(self._whole()) if n == 1 else self._over(n)
        sizes = np.maximum(np.abs(sums), sums[0] ** np.array([1.0, 1.5, 2.0]))
        known = n * self._lost([2, 3, 4]) <= _SMALL * sizes
        return Sums(*np.where(known, sums, math.nan).tolist())

    def _over(self, n: int) -> Vector:
        total = np.zeros(3)
        for upper in (False, True):
            # An interval (level, k) starts at k 2^-level, measured from the end of this half.
            waiting = [(1, 0)]
            while waiting:
                level, k = waiting.pop()
                strata = n >> level
                if strata > _MANY and not self._smooth(upper, level, k):
                    waiting += [(level + 1, 2 * k), (level + 1, 2 * k + 1)]
                elif strata > _MANY:
                    total += self._interval(upper, level, k).extrapolated(strata)
                else:
                    total += self._interval(upper, level, k).cumulants[strata.bit_length() - 1]
        return total

    def _smooth(self, upper: bool, level: int, k: int) -> bool:
        """Whether the interval is at least its own width away from every singular point."""
        low, high = (k - 1) * 2.0**-level, (k + 2) * 2.0**-level
        return all(s <= low or s >= high for s in self._singular[upper])

    def _interval(self, upper: bool, level: int, k: int) -> _Interval:
        key = (upper, level, k)
        if key not in self._known:
            edges = 2.0**-level * (k + np.arange(_MANY + 1) / _MANY)
            tables = [self._moments(upper, edges)]
            while len(tables[-1]) > 1:
                tables.append(_merged(tables[-1]))
            self._known[key] = _Interval(tables[::-1])
        return self._known[key]

    def _moments(self, upper: bool, edges: Vector) -> Vector:
        """Mean and second to fourth central moments within strata, shape (strata, 4)."""
        cuts = edges
        if edges[0] == 0.0:  # panels become smaller towards the end, where f may be unbounded
            halvings = edges[1] * 2.0 ** np.arange(-_SHRINKS, 0.0)
            cuts = np.concatenate((self._deeper(upper, halvings), halvings, edges[1:]))
        near = 2.0 ** -np.arange(1.0, _SHRINKS_INSIDE)
        around = [[s, *(s * (1.0 - near)), *(s * (1.0 + near))] for s in self._singular[upper]]
        inside = np.array(around).ravel()
        cuts = np.unique(np.concatenate((cuts, inside[(cuts[0] < inside) & (inside < cuts[-1])])))
        half = 0.5 * np.diff(cuts)
        u = cuts[:-1, None] + half[:, None] * (1.0 + _NODES)
        first = np.searchsorted(edges, cuts[:-1], side="right") - 1  # the stratum of a panel
        starts = np.searchsorted(first, np.arange(len(edges) - 1)) * _NODES.size
        stratum = np.repeat(first, _NODES.size)
        weight = (half[:, None] * _WEIGHTS).ravel()
        weight /= np.add.reduceat(weight, starts)[stratum]
        f = self._f(u, upper).ravel()
        mean = np.add.reduceat(weight * f, starts)
        f = f - mean[stratum]
        powers = [np.add.reduceat(weight * f**k, starts) for k in (2, 3, 4)]
        return np.stack((mean, *powers), axis=1)

    def _deeper(self, upper: bool, halvings: Vector) -> Vector:
        """Further cuts towards the end, down to where u f^4 is negligible."""
        steps = math.floor(math.log(halvings[0] / _LEAST, 4.0))
        fours = halvings[0] * 4.0 ** -np.arange(steps, 0.0, -1.0)
        fourth = np.concatenate((fours, halvings))
        fourth *= self._f(fourth, upper) ** 4
        matters = np.flatnonzero(fourth[:steps] > _NOTHING * np.nanmax(fourth[steps:]))
        return np.asarray(fours[matters[0] :] if matters.size else fours[:0])

    def _whole(self) -> Vector:
        """Mean and central moments of f(u), shape (1, 4)."""
        return _merged(np.concatenate([self._interval(x, 1, 0).whole for x in (False, True)]))

    @cached_property
    def _end(self) -> float:
        """The largest |f| at the outermost points of the panels."""
        return float(max(abs(self._f(np.array([_LEAST]), upper)[0]) for upper in (False, True)))

    def _lost(self, orders: Sequence[int]) -> Vector:
        """The parts of moments of |f| that lie below `_LEAST`, to the order of magnitude."""
        return np.asarray(_LEAST * self._end ** np.array(orders, float))


def _merged(fine: Vector) -> Vector:
    """The moments within strata of twice the width, from those within two neighbours."""
    a, b = fine[0::2], fine[1::2]
    mean = 0.5 * (a[:, 0] + b[:, 0])
    out = np.zeros((len(a), 4))
    out[:, 0] = mean
    for side in (a, b):
        d = side[:, 0] - mean
        m2, m3, m4 = side[:, 1:].T
        out[:, 1] += 0.5 * (m2 + d**2)
        out[:, 2] += 0.5 * (m3 + 3.0 * m2 * d + d**3)
        out[:, 3] += 0.5 * (m4 + 4.0 * m3 * d + 6.0 * m2 * d**2 + d**4)
    return out


def _cumulants(table: Vector) -> Vector:
    """The sums over strata of the second to fourth cumulants, shape (3,)."""
    _, m2, m3, m4 = table.T
    return np.array([m2.sum(), m3.sum(), (m4 - 3.0 * m2**2).sum()])


class _Interval:
    """The moments of f over one interval, and its sums over strata.

    whole      the mean and the central moments of f over the interval, shape (1, 4)
    cumulants  the sums over 1, 2, 4, ... 128 equal strata of the interval, shape (levels, 3)
    """

    # Sums of variances fall like 1 / strata, sums of third and fourth cumulants like 1 / strata^3.
    _POWER = np.array([1.0, 3.0, 3.0])

    def __init__(self, tables: Sequence[Vector]) -> None:
        self.whole = tables[0]
        self.cumulants = np.array([_cumulants(t) for t in tables])

    @cached_property
    def _limit_and_bend(self) -> tuple[Vector, Vector]:
        half, full = (
            self.cumulants[i] * float(n) ** self._POWER for i, n in ((-2, _MANY // 2), (-1, _MANY))
        )
        return (4.0 * full - half) / 3.0, (full - half) / -3.0

    def extrapolated(self, strata: int) -> Vector:
        """The sums over so many strata of a smooth interval, from those over 64 and 128 strata."""
        limit, bend = self._limit_and_bend
        return np.asarray((limit + bend * (_MANY / strata) ** 2) / float(strata) ** self._POWER)
