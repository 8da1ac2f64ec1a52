"""Sums over equal strata of functions of one uniform number, at one cost for every n = 2^m.

Over balanced Sobol' points the mean of f(u) has the variance n^-2 sum Var(f | stratum)
(docs/theory.md, section 6). A stratum is a dyadic interval, so the unit interval is cut in halves,
and these again, until an interval is one stratum, or has many strata and f is smooth on it: there
the sum over its m strata is c / m (1 + d / m^2 + e / m^4 + ...), and c, d and e follow from 32, 64
and 128 strata (Richardson's extrapolation). What an interval holds is integrated once, for every n.

Where f is smooth it is a polynomial up to rounding, so that its values at a few of Chebyshev's
points give it everywhere (Trefethen, "Approximation theory and approximation practice", 2013).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector

_MANY = 128  # strata of an interval that are integrated one by one
_DEEPEST = 7  # level from which on they are integrated next to a singular point; above, merged
_SHRINKS, _SHRINKS_INSIDE = 60, 12  # halvings of the panels towards an end, and within
_LEAST = 1e-200  # where the panels end that shrink by fours, if f grows like a power of u there
_NOTHING = 1e-17  # of the fourth moment: what may be left out above `_LEAST`
_LOST = 1e-13  # of mean and variance: what may be left out below `_LEAST`
_SMALL = 1e-9  # of the sums: what may be
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_CELLS = 64  # of a grid next to a singular point, which are evaluated one by one

# Chebyshev's points in (0, 1), and the coefficients of his polynomials from values there.
_DEGREES = np.arange(24)
_POINTS = 0.5 - 0.5 * np.cos(math.pi * (_DEGREES + 0.5) / _DEGREES.size)
_COEFFICIENTS = np.polynomial.chebyshev.chebvander(2.0 * _POINTS - 1.0, _DEGREES.size - 1)
_COEFFICIENTS *= np.where(_DEGREES > 0, 2.0, 1.0) / _DEGREES.size
# f counts as a polynomial on an interval if the last coefficients are at most this share of f's
# variation there, plus this share of its size.
_LAST, _OF_VARIATION, _OF_SIZE = 3, 1e-14, 4e-16
# Distances from a singular point at which that is checked, in widths of the interval.
_AROUND = np.concatenate(([0.0], *(sign * 4.0 ** -np.arange(1.0, 14.0) for sign in (1.0, -1.0))))
# The intervals next to those at the ends are evaluated together for these widths.
_WIDTHS = 2.0 ** -np.arange(2.0, 11.0)
# Within one of the 128 strata of a smooth interval, f is nearly a straight line.
_FEW_NODES, _FEW_WEIGHTS = np.polynomial.legendre.leggauss(6)


class Sums(NamedTuple):
    """The sums over n equal strata of the second to fourth cumulants of f within each stratum."""

    second: float
    third: float
    fourth: float


class Dyadic:
    """The strata of functions of u in (0, 1).

    Parameters
    ----------
    functions
        (u, upper) -> the functions at u, or at 1 - u where `upper` is set, so that both ends keep
        their digits; shape (functions, *u.shape).
    singular
        The points u in (0, 1) near which a function may not be smooth; both ends always count as
        such.
    """

    def __init__(
        self, functions: Callable[[Vector, bool], Vector], singular: Sequence[float] = ()
    ) -> None:
        self._f = functions
        # Of each half, from its own end: u below 1/2, 1 - u above.
        self._singular = {
            False: np.unique([0.0, *(u for u in singular if u <= 0.5)]),
            True: np.unique([0.0, *(1.0 - u for u in singular if u >= 0.5)]),
        }
        self._levels: list[_Level] = []
        self._smooth: dict[int, Vector] = {}
        self._few_strata: dict[int, Vector] = {}
        self._tables: dict[int, Vector] = {}
        self._sums: dict[int, list[Sums]] = {}

    @np.errstate(over="ignore", invalid="ignore")  # of infinite moments
    def moments(self) -> tuple[Vector, Vector]:
        """Means and variances; NaN where they are infinite, or too nearly so."""
        mean, variance = self._whole[-1][:, :2, 0].T
        lost_mean, lost_variance = self._lost([1, 2]).T
        known = (lost_variance <= _LOST * variance) & (variance < math.inf)
        return (
            np.where(lost_mean <= _LOST * np.abs(mean), mean, math.nan),
            np.where(known, variance, math.nan),
        )

    @np.errstate(over="ignore", invalid="ignore")  # of infinite moments
    def sums(self, n: int) -> list[Sums]:
        """The sums of each function over n = 2^m strata; NaN if infinite, or too nearly so."""
        if n not in self._sums:
            sums = self._sums_over(n)
            sizes = np.maximum(np.abs(sums), sums[:, :1] ** np.array([1.0, 1.5, 2.0]))
            known = n * self._lost([2, 3, 4]) <= _SMALL * sizes
            self._sums[n] = [Sums(*of) for of in np.where(known, sums, math.nan).tolist()]
        return self._sums[n]

    @np.errstate(over="ignore", invalid="ignore")  # of infinite values
    def grid(self, n: int) -> Vector:
        """The functions in the middle of n = 2^m cells, shape (functions, n)."""
        halves = np.empty((2, self._end.size, n // 2))
        for level in itertools.count(1):
            of, cells = self._level(level), n >> level
            last = cells <= _CELLS
            values = of.polynomials.at_cells(of.smooth, cells)
            for i in np.flatnonzero(of.smooth | last):
                side, start = int(of.upper[i]), int(of.k[i]) * cells
                if of.smooth[i] and of.polynomials.good[i]:
                    part = values[:, np.count_nonzero(of.smooth[:i])]
                else:
                    part = self._f((start + np.arange(cells) + 0.5) / n, bool(side))
                halves[side, :, start : start + cells] = part
            if last:
                break
        return np.concatenate((halves[0], halves[1, :, ::-1]), axis=1)

    def _sums_over(self, n: int) -> Vector:
        """Shape (functions, 3)."""
        if n <= 2 * _MANY:
            return _cumulants(self._whole[-n.bit_length()])
        deepest = (n // _MANY).bit_length() - 1
        total = _cumulants(self._table(deepest))
        for level in range(2, deepest):
            total += self._extrapolated(level, n >> level)
        return total

    @cached_property
    def _whole(self) -> list[Vector]:
        """The moments within 256, 128, ... 1 strata of the unit interval."""
        table = self._table(1)
        tables = [table.reshape(*table.shape[:2], -1)]
        while tables[-1].shape[-1] > 1:
            tables.append(_merged(tables[-1]))
        return tables

    def _table(self, level: int) -> Vector:
        """The moments within the 128 strata of each interval of a level.

        Means and second to fourth central moments, shape (functions, 4, intervals, 128).
        """
        if level not in self._tables:
            smooth, table = self._level(level).smooth, self._smooth_table(level)
            out = np.empty((*table.shape[:2], smooth.size, _MANY))
            out[:, :, smooth] = table
            if level < _DEEPEST:
                halves = self._table(level + 1).reshape(*table.shape[:2], -1, 2 * _MANY)
                out[:, :, ~smooth] = _merged(halves)
            else:
                for i in np.flatnonzero(~smooth):
                    out[:, :, i] = self._moments(self._level(level), int(i))
            self._tables[level] = out
        return self._tables[level]

    def _smooth_table(self, level: int) -> Vector:
        """The same as `_table`, for the smooth intervals alone."""
        if level not in self._smooth:
            of = self._level(level)
            table = of.polynomials.moments(of.smooth)
            for j, i in enumerate(np.flatnonzero(of.smooth)):
                if not of.polynomials.good[i]:
                    table[:, :, j] = self._moments(of, int(i))
            self._smooth[level] = table
        return self._smooth[level]

    def _extrapolated(self, level: int, strata: int) -> Vector:
        """The sums over so many strata of each smooth interval of a level, shape (functions, 3)."""
        if level not in self._few_strata:
            tables = [self._smooth_table(level)]
            for _ in range(2):
                tables.append(_merged(tables[-1]))
            self._few_strata[level] = np.stack(
                [_cumulants(table) * float(table.shape[-1]) ** _POWER for table in tables]
            )
        # A parabola in t = (128 / strata)^2 through those of t = 1, 4 and 16.
        t = (_MANY / strata) ** 2
        weights = ((t - 4) * (t - 16) / 45, (t - 1) * (16 - t) / 36, (t - 1) * (t - 4) / 180)
        of_parabola = np.tensordot(weights, self._few_strata[level], axes=1)
        return np.asarray(of_parabola / float(strata) ** _POWER)

    def _level(self, level: int) -> _Level:
        while len(self._levels) < level:
            upper, k = np.array([False, True]), np.zeros(2)
            if self._levels:
                above = self._levels[-1]
                upper = np.repeat(above.upper[~above.smooth], 2)
                k = (2.0 * above.k[~above.smooth, None] + [0.0, 1.0]).ravel()
            width = 2.0 ** -(len(self._levels) + 1)
            # The intervals at the ends, where k is 0, keep NaN: there f is never a polynomial.
            values = np.full((self._end.size, k.size, _POINTS.size), math.nan)
            for side in (False, True):
                beside, others = ((upper == side) & of for of in (k == 1.0, k > 1.0))
                if width in _WIDTHS:
                    values[:, beside] = self._beside_ends[side][:, width == _WIDTHS]
                else:
                    others |= beside
                if others.any():
                    values[:, others] = self._f(width * (k[others, None] + _POINTS), side)
            polynomials = _Polynomials(values)
            smooth = [
                self._is_smooth(bool(side), float(j), width, polynomials, i)
                for i, (side, j) in enumerate(zip(upper, k, strict=True))
            ]
            self._levels.append(_Level(width, upper, k, polynomials, np.array(smooth)))
        return self._levels[level - 1]

    def _is_smooth(
        self, upper: bool, k: float, width: float, polynomials: _Polynomials, i: int
    ) -> bool:
        """Whether the functions are smooth on an interval, the i-th of its level.

        They are if every singular point is at least the interval's width away. If one is nearer,
        they are if they agree with their polynomials at points that approach it. On an interval
        at an end they never are.
        """
        near = self._singular[upper] / width - k
        near = near[(near > -1.0) & (near < 2.0)]
        if not near.size or k == 0.0 or not polynomials.good[i]:
            return not near.size
        x = (near[:, None] + _AROUND).ravel()
        x = x[(x > 0.0) & (x < 1.0)]
        return polynomials.agree(i, x, self._f(width * (k + x), upper))

    def _moments(self, of: _Level, i: int) -> Vector:
        """The moments within the 128 strata of the i-th interval of a level, by quadrature."""
        upper, edges = bool(of.upper[i]), of.width * (of.k[i] + np.arange(_MANY + 1) / _MANY)
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
        starts = np.searchsorted(first, np.arange(_MANY)) * _NODES.size
        stratum = np.repeat(first, _NODES.size)
        weight = (half[:, None] * _WEIGHTS).ravel()
        weight /= np.add.reduceat(weight, starts)[stratum]
        f = self._f(u.ravel(), upper)
        mean = np.add.reduceat(weight * f, starts, axis=1)
        f = f - mean[:, stratum]
        out, product = [mean], weight * f
        for _ in range(3):
            product = product * f
            out.append(np.add.reduceat(product, starts, axis=1))
        return np.stack(out, axis=1)

    def _deeper(self, upper: bool, halvings: Vector) -> Vector:
        """Further cuts towards the end, down to where u f^4 is negligible."""
        steps = math.floor(math.log(halvings[0] / _LEAST, 4.0))
        fours = halvings[0] * 4.0 ** -np.arange(steps, 0.0, -1.0)
        cuts = np.concatenate((fours, halvings))
        fourth = cuts * self._f(cuts, upper) ** 4
        most = np.nanmax(fourth[:, steps:], axis=1, keepdims=True)
        matters = np.flatnonzero((fourth[:, :steps] > _NOTHING * most).any(axis=0))
        return np.asarray(fours[matters[0] :] if matters.size else fours[:0])

    @cached_property
    def _beside_ends(self) -> list[Vector]:
        """The functions on the intervals with k = 1 of several levels, for each half."""
        return [self._f(_WIDTHS[:, None] * (1.0 + _POINTS), side) for side in (False, True)]

    @cached_property
    def _end(self) -> Vector:
        """How large the functions are at the ends of the panels."""
        ends = [np.abs(self._f(np.array([_LEAST]), upper)[:, 0]) for upper in (False, True)]
        return np.maximum(*ends)

    def _lost(self, orders: Sequence[int]) -> Vector:
        """What moments of |f| have below `_LEAST`, to the order of magnitude."""
        return np.asarray(_LEAST * self._end[:, None] ** np.array(orders, float))


class _Polynomials:
    """Functions on the intervals of a level, from their values at Chebyshev's points there.

    `values` has the shape (functions, intervals, points). `good` says on which intervals all
    functions are polynomials up to rounding.
    """

    def __init__(self, values: Vector) -> None:
        # One value is subtracted, so that what a function varies by keeps its digits.
        self._middle = values[:, :, _POINTS.size // 2, None]
        self._apart = values - self._middle
        self._room = _OF_VARIATION * np.abs(self._apart).max(axis=-1)
        self._room += _OF_SIZE * np.abs(values).max(axis=-1)
        last = np.abs(self._apart @ _COEFFICIENTS[:, -_LAST:]).max(axis=-1)
        self.good = (last <= self._room).all(axis=0)

    def agree(self, i: int, x: Vector, values: Vector) -> bool:
        """Whether the polynomials of the i-th interval have these values at x in (0, 1)."""
        off = np.abs(self._middle[:, i] + self._apart[:, i] @ _to(x) - values)
        return bool((off <= 10.0 * self._room[:, i, None]).all())

    def at_cells(self, some: NDArray[np.bool_], cells: int) -> Vector:
        """The functions in the middle of equal cells of some intervals.

        Shape (functions, intervals, cells).
        """
        if not some.any():
            return np.empty((len(self._middle), 0, cells))
        return np.asarray(self._middle[:, some] + self._apart[:, some] @ _to_cells(cells))

    def moments(self, some: NDArray[np.bool_]) -> Vector:
        """Moments within the 128 strata of some intervals, as in `Dyadic`.

        Shape (functions, 4, intervals, 128).
        """
        f = self._apart[:, some] @ _to_strata()
        f = f.reshape(*f.shape[:2], _MANY, _FEW_NODES.size)
        weight = 0.5 * _FEW_WEIGHTS
        mean = f @ weight
        f -= mean[..., None]
        square = f * f
        powers = (square @ weight, (square * f) @ weight, (square * square) @ weight)
        return np.stack((self._middle[:, some] + mean, *powers), axis=1)


class _Level(NamedTuple):
    """Intervals of one width: the halves of those of twice the width that are not smooth.

    The first are the halves of the unit interval. Each starts `k` widths from the end of its own
    half.
    """

    width: float
    upper: NDArray[np.bool_]
    k: Vector
    polynomials: _Polynomials
    smooth: NDArray[np.bool_]


def _to(x: Vector) -> Vector:
    """The matrix from values at Chebyshev's points to those at points x in (0, 1)."""
    return np.asarray(
        _COEFFICIENTS @ np.polynomial.chebyshev.chebvander(2.0 * x - 1.0, _POINTS.size - 1).T
    )


@lru_cache(maxsize=1)
def _to_strata() -> Vector:
    return _to(((np.arange(_MANY)[:, None] + 0.5 + 0.5 * _FEW_NODES) / _MANY).ravel())


@lru_cache(maxsize=16)
def _to_cells(cells: int) -> Vector:
    return _to((np.arange(cells) + 0.5) / cells)


# Variances within strata go like 1 / strata, third and fourth cumulants like 1 / strata^3.
_POWER = np.array([1.0, 3.0, 3.0])


def _merged(fine: Vector) -> Vector:
    """The moments over pairs of neighbouring strata: shape (functions, 4, ..., strata)."""
    (a, a2, a3, a4), (b, b2, b3, b4) = (np.moveaxis(fine[..., start::2], 1, 0) for start in (0, 1))
    d = 0.5 * (a - b)
    square, second = d * d, a2 + b2
    return np.stack(
        (
            0.5 * (a + b),
            0.5 * second + square,
            0.5 * (a3 + b3) + 1.5 * d * (a2 - b2),
            0.5 * (a4 + b4) + 2.0 * d * (a3 - b3) + 3.0 * square * second + square * square,
        ),
        axis=1,
    )


def _cumulants(table: Vector) -> Vector:
    """Sums over all strata of the second to fourth cumulants, shape (functions, 3)."""
    _, m2, m3, m4 = np.moveaxis(table.reshape(*table.shape[:2], -1), 1, 0)
    return np.stack((m2.sum(axis=1), m3.sum(axis=1), (m4 - 3.0 * m2 * m2).sum(axis=1)), axis=1)
