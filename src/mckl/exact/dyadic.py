"""Sums over equal strata of functions of one uniform number, at one cost for every n = 2^m.

Over balanced Sobol' points the mean of f(u) has the variance n^-2 sum Var(f | stratum)
(theory.md, section 6). A stratum is a dyadic interval, so the unit interval is cut in halves,
and these again, until an interval is one stratum, or has many strata and f is smooth on it. There
the sum over its m strata is c / m (1 + d / m^2 + e / m^4 + ...), and the first coefficients follow
from 16 to 128 strata (Richardson's extrapolation). So each interval is integrated once for every n.

Where f is smooth it is a polynomial up to rounding, so that its values at a few of Chebyshev's
points give it everywhere (Trefethen, "Approximation theory and approximation practice", 2013).
Where it is not, panels become smaller towards the singular points, and where the last coefficients
of Legendre's polynomials on a panel are not small.

The bounds follow from a bound e on the error of f at each point. With f less its mean within the
stratum, d, the variance within the stratum changes by about 2 E|d| e.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact.moments import EPS, Moments

_MANY = 128  # strata of an interval that are integrated one by one
_DEEPEST = 7  # next to a singular point, strata of higher levels are merged from this level's
_DEEPEST_AT_ENDS = 10  # the same next to an end, whose strata `means` needs at this level
_SHRINKS, _SHRINKS_INSIDE = 20, 48  # panels shrink by eights towards an end, and by halves within
_DEEPER = 64.0  # how much they shrink further towards an end, if f grows like a power of u there
_LEAST = 1e-200  # where these end
_AT_END = _LEAST * np.array([1.0, 16.0])
_NOTHING = 1e-17  # of the fourth moment: what may be left out above `_LEAST`
_LOST = 1e-13  # of mean and variance: what may be left out below `_LEAST`
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_WIDE = 1e-11  # panels are halved while their error is more than this share of the spread
_MOST_HALVINGS, _MOST_PANELS = 40, 4_000
_NARROW = 2.0**-7
_NOISE = 64.0  # last coefficients up to this multiple of the bound on rounding may be noise
_ROUNDING = 1e-12  # of the sums: rounding of quantiles and of the sums themselves

# The matrix from values at the nodes to the last coefficients of Legendre's polynomials.
_LAST = 3
_DEGREE = np.arange(_NODES.size)
_LAST_LEGENDRE = (
    np.polynomial.legendre.legvander(_NODES, _NODES.size - 1) * _WEIGHTS[:, None] * (_DEGREE + 0.5)
)[:, -_LAST:]
# Chebyshev's points in (0, 1), and the matrix from values there to the coefficients of Chebyshev's
# polynomials.
_DEGREES = np.arange(24)
_POINTS = 0.5 - 0.5 * np.cos(math.pi * (_DEGREES + 0.5) / _DEGREES.size)
_COEFFICIENTS = np.polynomial.chebyshev.chebvander(2.0 * _POINTS - 1.0, _DEGREES.size - 1)
_COEFFICIENTS *= np.where(_DEGREES > 0, 2.0, 1.0) / _DEGREES.size
# The matrix from these coefficients to those of the second derivative.
_SAME = np.eye(_DEGREES.size)
_SECOND = np.pad(np.polynomial.chebyshev.chebder(_SAME, 2, axis=1), ((0, 0), (0, 2)))
# f counts as such a polynomial if its last coefficients are at most these multiples of the
# variation of f and of its rounding error.
_OF_VARIATION, _OF_ROUNDING = 1e-14, 3.0
# The places around a singular point at which this is checked, in widths of the interval.
_AROUND = np.concatenate(([0.0], *(sign * 4.0 ** -np.arange(1.0, 14.0) for sign in (1.0, -1.0))))
# The widths of intervals that are evaluated at once next to the ends.
_WIDTHS = 2.0 ** -np.arange(2.0, 11.0)
# Within one of its 128 strata it is nearly a straight line.
_FEW_NODES, _FEW_WEIGHTS = np.polynomial.legendre.leggauss(6)
# There polynomials through this many of Chebyshev's points, in (-1, 1), are right to rounding: what
# they leave of a polynomial is less than its rounding on an interval 128 times as wide.
_LOCAL = -np.cos(math.pi * (np.arange(8) + 0.5) / 8)


class Dyadic:
    """The strata of functions of u in (0, 1).

    functions  (u, upper) -> the functions at u, or at 1 - u if `upper` is true, so that u keeps its
               digits at both ends, and bounds on their rounding errors; shape (2, functions,
               *u.shape).
    singular   The points (u, 1 - u) in (0, 1) near which a function may not be smooth; both ends
               always count as such.
    """

    def __init__(
        self,
        functions: Callable[[Vector, bool], Vector],
        singular: Sequence[tuple[float, float]] = (),
    ) -> None:
        self._f = functions
        # The singular points of each half, from its own end: u below 1/2, 1 - u above.
        self._singular = {
            False: np.unique([0.0, *(u for u, rest in singular if u <= rest)]),
            True: np.unique([0.0, *(rest for u, rest in singular if u >= rest)]),
        }
        self._levels: list[_Level] = []
        self._few_strata: dict[int, tuple[Vector, Vector]] = {}
        self._tables: dict[int, Vector] = {}
        self._sums: dict[int, Moments] = {}

    @np.errstate(over="ignore", invalid="ignore")  # of infinite moments
    def moments(self) -> tuple[Vector, Vector]:
        """Means and variances; NaN where they are infinite, or too nearly so."""
        mean, variance = self._whole[-1][:, :2, 0].T
        lost_mean, lost_variance = self._lost([1, 2]).T
        certain = (lost_variance <= _LOST * variance) & (variance < math.inf)
        return (
            np.where(lost_mean <= _LOST * np.abs(mean), mean, math.nan),
            np.where(certain, variance, math.nan),
        )

    @np.errstate(over="ignore", invalid="ignore")  # of infinite moments
    def sums(self, n: int) -> Moments:
        """The sums over n = 2^m strata of the second to fourth cumulants within each stratum.

        Shape (functions, 3). Those that are infinite have infinite bounds.
        """
        if n not in self._sums:
            value, error = self._sums_over(n)
            error = error + n * self._lost([2, 3, 4])
            certain = np.isfinite(value) & np.isfinite(error)
            self._sums[n] = Moments(
                np.where(certain, value, math.nan), np.where(certain, error, math.inf)
            )
        return self._sums[n]

    @np.errstate(over="ignore", invalid="ignore")  # of infinite values
    def means(self, n: int, row: int) -> Vector:
        """The means of one of the functions over n = 2^m cells."""
        if n <= 2 * _MANY:
            return np.asarray(self._whole[-n.bit_length()][row, 0])
        halves = np.empty((2, n // 2))
        deepest = (n // _MANY).bit_length() - 1
        for level in range(1, deepest + 1):
            cells_of_level, cells = self._level(level), n >> level
            last = level == deepest
            some = np.ones_like(cells_of_level.smooth) if last else cells_of_level.smooth
            part = (
                self._table(level)[row, 0]
                if last
                else cells_of_level.polynomials.means(row, some, cells)
            )
            for i, cell in enumerate(np.flatnonzero(some)):
                start = int(cells_of_level.k[cell]) * cells
                halves[int(cells_of_level.upper[cell]), start : start + cells] = part[i]
        return np.concatenate((halves[0], halves[1, ::-1]))

    def _sums_over(self, n: int) -> tuple[Vector, Vector]:
        """The sums over n strata, and bounds on their errors, shape (functions, 3)."""
        if n <= 2 * _MANY:
            return _cumulants(self._whole[-n.bit_length()])
        deepest = (n // _MANY).bit_length() - 1
        total, bounds = _cumulants(self._table(deepest))
        for level in range(2, deepest):
            more, bound = self._extrapolated(level, n >> level)
            total, bounds = total + more, bounds + bound
        return total, bounds

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

        They are means and second to fourth central moments, and the means of e, |d| e, d^2 e and
        |d|^3 e, of shape (functions, 8, intervals, 128).
        """
        if level not in self._tables:
            cells = self._level(level)
            some = cells.polynomials.moments(cells.smooth)
            out = np.empty((*some.shape[:2], cells.smooth.size, _MANY))
            out[:, :, cells.smooth] = some
            if self._is_merged(level):
                halves = self._table(level + 1).reshape(*some.shape[:2], -1, 2 * _MANY)
                out[:, :, ~cells.smooth] = _merged(halves)
            else:
                for i in np.flatnonzero(~cells.smooth):
                    out[:, :, i] = self._moments(cells, int(i))
            self._tables[level] = out
        return self._tables[level]

    def _is_merged(self, level: int) -> bool:
        """Whether strata of a level's intervals that are not smooth are merged from the next's."""
        if not _DEEPEST <= level < _DEEPEST_AT_ENDS:
            return level < _DEEPEST
        cells, halves = self._level(level), self._level(level + 1)
        only_ends = (cells.k[~cells.smooth] == 0.0).all()
        return bool(only_ends and halves.polynomials.good[halves.smooth].all())

    def _extrapolated(self, level: int, strata: int) -> tuple[Vector, Vector]:
        """The sums over `strata` strata of a level's smooth intervals, and bounds on their errors.

        Shape (functions, 3).
        """
        if level not in self._few_strata:
            cells = self._level(level)
            tables = [cells.polynomials.moments(cells.smooth)]
            for _ in range(3):
                tables.append(_merged(tables[-1]))
            sums, bounds = zip(*map(_cumulants, tables), strict=True)
            scales = [float(table.shape[-1]) ** _POWER for table in tables]
            all_scaled = np.stack([s * scale for s, scale in zip(sums, scales, strict=True)])
            self._few_strata[level] = all_scaled, bounds[0] * scales[0]
        # Polynomials in t = (128 / strata)^2 through the sums at t = 1, 4, 16 and, of degree 3, 64.
        scaled, bound = self._few_strata[level]
        t = (_MANY / strata) ** 2
        parabola, cubic = (np.tensordot(_lagrange(t, k), scaled[:k], axes=1) for k in (3, 4))
        scale = float(strata) ** _POWER
        return np.asarray(cubic / scale), (np.abs(cubic - parabola) + 2.0 * bound) / scale

    def _level(self, level: int) -> _Level:
        while len(self._levels) < level:
            upper, k = np.array([False, True]), np.zeros(2)
            if self._levels:
                above = self._levels[-1]
                upper = np.repeat(above.upper[~above.smooth], 2)
                k = (2.0 * above.k[~above.smooth, None] + [0.0, 1.0]).ravel()
            width = 2.0 ** -(len(self._levels) + 1)
            # At an end, where k is 0, no function counts as a polynomial.
            values = np.full((2, self._end.shape[1], k.size, _POINTS.size), math.nan)
            for side in (False, True):
                beside, others = ((upper == side) & size for size in (k == 1.0, k > 1.0))
                if width in _WIDTHS:
                    values[:, :, beside] = self._beside_ends[side][:, :, width == _WIDTHS]
                else:
                    others |= beside
                if others.any():
                    values[:, :, others] = self._f(width * (k[others, None] + _POINTS), side)
            polynomials = _Polynomials(values[0], values[1], k)
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

        They are if they are polynomials there up to rounding. If a singular point is within the
        interval's width, they must also equal them at points ever closer to the singular point.
        Next to an end of (0, 1) they never count as smooth.
        """
        near = self._singular[upper] / width - k
        near = near[(near > -1.0) & (near < 2.0)]
        if not near.size or k == 0.0 or not polynomials.good[i]:
            # Narrow ones count as smooth in any case, with what is left in the bound: where noise
            # exceeds its own bound, halving would never end.
            narrow = not near.size and width < _NARROW
            return k > 0.0 and (narrow or bool(polynomials.good[i]))
        x = (near[:, None] + _AROUND).ravel()
        x = x[(x > 0.0) & (x < 1.0)]
        return polynomials.agree(i, x, self._f(width * (k + x), upper)[0])

    def _moments(self, cells: _Level, i: int) -> Vector:
        """The moments within the 128 strata of the i-th interval of a level, by quadrature."""
        upper, edges = (
            bool(cells.upper[i]),
            cells.width * (cells.k[i] + np.arange(_MANY + 1) / _MANY),
        )
        cuts = edges
        if edges[0] == 0.0:  # panels become smaller towards the end, where f may be unbounded
            eighths = edges[1] * 8.0 ** np.arange(-_SHRINKS, 0.0)
            cuts = np.concatenate((self._deeper(upper, eighths), eighths, edges[1:]))
        near = 2.0 ** -np.arange(1.0, _SHRINKS_INSIDE)
        around = [[s, *(s * (1.0 - near)), *(s * (1.0 + near))] for s in self._singular[upper]]
        inside = np.array(around).ravel()
        cuts = np.unique(np.concatenate((cuts, inside[(cuts[0] < inside) & (inside < cuts[-1])])))
        panels = _Panels.of(self._f, upper, cuts[:-1], cuts[1:])
        allowed = panels.allowed()
        for _ in range(_MOST_HALVINGS):
            wide = panels.too_wide(allowed)
            if not wide.any() or panels.low.size > _MOST_PANELS:
                break
            low, high = panels.low[wide], panels.high[wide]
            middle = low * np.sqrt(high / low)
            halves = _Panels.of(
                self._f, upper, np.concatenate((low, middle)), np.concatenate((middle, high))
            )
            panels = panels.without(wide).joined(halves)
        return panels.moments(edges)

    def _deeper(self, upper: bool, eighths: Vector) -> Vector:
        """Further cuts towards the end, the first of which is where u f^4 does not matter."""
        steps = math.ceil(math.log(eighths[0] / _LEAST, _DEEPER))
        further = eighths[0] * _DEEPER ** -np.arange(steps, 0.0, -1.0)
        cuts = np.concatenate((further, eighths))
        fourth = cuts * self._f(cuts, upper)[0] ** 4
        most = np.nanmax(fourth[:, steps:], axis=1, keepdims=True)
        matters = np.flatnonzero([*(fourth > _NOTHING * most).any(axis=0), True])
        return np.asarray(further[max(matters[0] - 1, 0) :])

    @cached_property
    def _beside_ends(self) -> list[Vector]:
        """The functions where k is 1, on the intervals of several levels at once."""
        return [self._f(_WIDTHS[:, None] * (1.0 + _POINTS), side) for side in (False, True)]

    @cached_property
    def _end(self) -> Vector:
        """The |f| at the points `_AT_END` from both ends, shape (2, functions, 2)."""
        return np.abs([self._f(_AT_END, upper)[0] for upper in (False, True)])

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _lost(self, orders: Sequence[int]) -> Vector:
        """The contribution of u below `_LEAST` to moments of |f|, as u |f|^k is a power of u there.

        Shape (functions, orders).
        """
        at_end = _AT_END[:, None] * self._end[..., None] ** np.array(orders, float)
        power = np.log(at_end[:, :, 1] / at_end[:, :, 0]) / np.log(_AT_END[1] / _AT_END[0])
        least = at_end[:, :, 0]
        lost = np.where(power > 0.0, least / power, math.inf)
        return np.asarray(np.where(least == 0.0, 0.0, lost).sum(axis=0))


class _Panels(NamedTuple):
    """Functions at the nodes of panels between `low` and `high`.

    Nodes are those of Legendre's polynomials in log u, in which powers and logarithms of u are
    smooth.

    weights  shape (panels, nodes)
    values   shape (functions, panels, nodes)
    error    what rounding may change in the values, and the last coefficients of Legendre's
             polynomials, shape (2, functions, panels)
    """

    low: Vector
    high: Vector
    weights: Vector
    values: Vector
    error: Vector

    @staticmethod
    def of(f: Callable[[Vector, bool], Vector], upper: bool, low: Vector, high: Vector) -> _Panels:
        length = np.log1p((high - low) / low)
        u = low[:, None] + low[:, None] * np.expm1(0.5 * length[:, None] * (1.0 + _NODES))
        values, rounding = f(u, upper)
        spread = np.ptp(values, axis=-1)
        last = np.abs((values - values[..., :1]) @ _LAST_LEGENDRE).max(axis=-1)
        moved = EPS * (2.0 + length) / length * spread  # as u itself is rounded
        error = np.stack((rounding.max(axis=-1) + moved, last))
        return _Panels(low, high, 0.5 * length[:, None] * _WEIGHTS * u, values, error)

    def allowed(self) -> Vector:
        """The mean square error of the functions that does not count beside their spread."""
        mean = (self.weights * self.values).sum(axis=-1) / self.weights.sum(axis=-1)
        square = self.weights * (self.values - mean[..., None]) ** 2
        return np.asarray(_WIDE**2 * square.sum(axis=(1, 2))[:, None])

    def too_wide(self, allowed: Vector) -> NDArray[np.bool_]:
        """The panels whose error counts beside the allowed one."""
        width = self.high - self.low
        rounding, last = self.error
        counts = (last > _NOISE * rounding) & (width * last**2 * width.size > allowed)
        return np.asarray(counts.any(axis=0) & (width > 8.0 * EPS * self.high))

    def without(self, some: NDArray[np.bool_]) -> _Panels:
        rest = ~some
        return _Panels(
            self.low[rest], self.high[rest], self.weights[rest], self.values[:, rest],
            self.error[:, :, rest],
        )  # fmt: skip

    def joined(self, others: _Panels) -> _Panels:
        axes = (0, 0, 0, 1, 2)
        return _Panels(*map(np.concatenate, zip(self, others, strict=True), axes))

    def moments(self, edges: Vector) -> Vector:
        """The moments within the strata between edges, shape (functions, 8, strata)."""
        order = np.argsort(self.low)
        first = np.searchsorted(edges, self.low[order], side="right") - 1  # the stratum of a panel
        starts = np.searchsorted(first, np.arange(edges.size - 1)) * _NODES.size
        stratum = np.repeat(first, _NODES.size)
        weight = self.weights[order].ravel()
        weight /= np.add.reduceat(weight, starts)[stratum]
        f = self.values[:, order].reshape(len(self.values), -1)
        mean = np.add.reduceat(weight * f, starts, axis=1)
        d = f - mean[:, stratum]
        e = np.repeat(self.error.sum(axis=0)[:, order], _NODES.size, axis=1)
        square, size = d * d, np.abs(d)  # products take less time than powers
        terms = (square, square * d, square * square, e, size * e, square * e, square * size * e)
        return np.stack(
            (mean, *(np.add.reduceat(weight * x, starts, axis=1) for x in terms)), axis=1
        )


class _Polynomials:
    """Functions on the intervals of a level, from their values at Chebyshev's points there.

    `values` and their rounding errors have the shape (functions, intervals, points), and interval i
    starts `k[i]` widths from 0. `good` is true for the intervals on which all functions are
    polynomials up to rounding.
    """

    def __init__(self, values: Vector, rounding: Vector, k: Vector) -> None:
        # Each function less one of its own values keeps the digits by which it varies.
        self._middle = values[:, :, _POINTS.size // 2, None]
        self._apart = values - self._middle
        variation = np.abs(self._apart).max(axis=-1)
        # As u itself is rounded, the variation is too.
        noise = rounding.max(axis=-1) + 2.0 * EPS * (1.0 + k) * variation
        self._room = _OF_VARIATION * variation + _OF_ROUNDING * noise
        last = np.abs(self._apart @ _COEFFICIENTS[:, -_LAST:]).max(axis=-1)
        self.good = (last <= self._room).all(axis=0)
        self._error = last + noise

    def agree(self, i: int, x: Vector, values: Vector) -> bool:
        """Whether the polynomials of interval i have these values at points x in (0, 1) of it."""
        off = np.abs(self._middle[:, i] + self._apart[:, i] @ _to(x) - values)
        return bool((off <= 10.0 * self._room[:, i, None]).all())

    def means(self, row: int, some: NDArray[np.bool_], cells: int) -> Vector:
        """Means of one function over cells of some intervals, shape (intervals, cells)."""
        # Over a cell of width h the mean is f + f'' h^2 / 24 + ... in its middle.
        of_mean = self._apart[row, some] @ _COEFFICIENTS @ (_SAME + _SECOND / (6.0 * cells**2))
        if cells < _MANY * _LOCAL.size:
            out = of_mean @ _in_middles(cells)
        else:  # through a few values in each of the 128 strata
            values = (of_mean @ _in_local_points()).reshape(-1, _LOCAL.size)
            out = (values @ _to_middles(cells // _MANY)).reshape(len(of_mean), cells)
        return np.asarray(self._middle[row, some] + out)

    def moments(self, some: NDArray[np.bool_]) -> Vector:
        """As `Dyadic._table`, for some intervals: shape (functions, 8, intervals, 128)."""
        f = self._apart[:, some] @ _to_strata()
        f = f.reshape(*f.shape[:2], _MANY, _FEW_NODES.size)
        weight = 0.5 * _FEW_WEIGHTS
        mean = f @ weight
        f -= mean[..., None]
        square = f * f
        second, third, fourth = square @ weight, (square * f) @ weight, (square * square) @ weight
        e = np.broadcast_to(self._error[:, some, None], mean.shape)
        errors = e, e * np.sqrt(second), e * second, e * fourth**0.75
        return np.stack((self._middle[:, some] + mean, second, third, fourth, *errors), axis=1)


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
    """The matrix that turns values at Chebyshev's points into values at points x in (0, 1)."""
    return np.asarray(
        _COEFFICIENTS @ np.polynomial.chebyshev.chebvander(2.0 * x - 1.0, _POINTS.size - 1).T
    )


@lru_cache(maxsize=1)
def _to_strata() -> Vector:
    return _to(((np.arange(_MANY)[:, None] + 0.5 + 0.5 * _FEW_NODES) / _MANY).ravel())


# Sums of variances within strata fall like 1 / strata, those of higher cumulants like 1 / strata^3.
_POWER = np.array([1.0, 3.0, 3.0])


def _lagrange(t: float, count: int) -> Vector:
    """The weights of values at 1, 4, 16, ... in the value at t of the polynomial through them."""
    nodes = 4.0 ** np.arange(count)
    return np.array([
        math.prod((t - nodes[j]) / (nodes[i] - nodes[j]) for j in range(count) if j != i)
        for i in range(count)
    ])  # fmt: skip


def _merged(fine: Vector) -> Vector:
    """The moments within pairs of neighbouring strata, shape (functions, 8, ..., strata)."""
    both = (np.moveaxis(fine[..., start::2], 1, 0) for start in (0, 1))
    (a, a2, a3, a4, *a_errors), (b, b2, b3, b4, *b_errors) = both
    d = 0.5 * (a - b)
    square, second, size = d * d, a2 + b2, np.abs(d)
    e, e1, e2, e3 = (0.5 * (x + y) for x, y in zip(a_errors, b_errors, strict=True))
    return np.stack(
        (
            0.5 * (a + b),
            0.5 * second + square,
            0.5 * (a3 + b3) + 1.5 * d * (a2 - b2),
            0.5 * (a4 + b4) + 2.0 * d * (a3 - b3) + 3.0 * square * second + square * square,
            e,
            e1 + size * e,
            e2 + 2.0 * size * e1 + square * e,
            e3 + 3.0 * size * e2 + 3.0 * square * e1 + size * square * e,
        ),
        axis=1,
    )


def _cumulants(table: Vector) -> tuple[Vector, Vector]:
    """Sums over all strata of the second to fourth cumulants, and bounds on their errors.

    Shape (functions, 3). The bounds are twice what the errors change to first order.
    """
    _, m2, m3, m4, e, e1, e2, e3 = np.moveaxis(table.reshape(*table.shape[:2], -1), 1, 0)
    cumulants, rounded = (m2, m3, m4 - 3.0 * m2 * m2), (m2, np.abs(m3) + m2**1.5, m4)
    changed = 2.0 * e1, 3.0 * (e2 + m2 * e), 4.0 * (e3 + np.abs(m3) * e) + 12.0 * m2 * e1
    value, rounding, bounds = (
        np.stack([x.sum(axis=1) for x in parts], axis=1) for parts in (cumulants, rounded, changed)
    )
    return value, 2.0 * bounds + _ROUNDING * rounding


@lru_cache(maxsize=16)
def _in_middles(cells: int) -> Vector:
    """Chebyshev's polynomials in the middles of the cells of an interval, (degrees, cells)."""
    middle = (2.0 * np.arange(cells) + 1.0) / cells - 1.0
    return np.asarray(np.polynomial.chebyshev.chebvander(middle, _DEGREES[-1]).T)


@lru_cache(maxsize=1)
def _in_local_points() -> Vector:
    """Chebyshev's polynomials at a few points of each of the 128 strata."""
    x = 2.0 * (np.arange(_MANY)[:, None] + 0.5 + 0.5 * _LOCAL).ravel() / _MANY - 1.0
    return np.asarray(np.polynomial.chebyshev.chebvander(x, _DEGREES[-1]).T)


@lru_cache(maxsize=16)
def _to_middles(cells: int) -> Vector:
    """The matrix from values at these points to those in the middles of a stratum's cells."""
    middle = (2.0 * np.arange(cells) + 1.0) / cells - 1.0
    degrees = np.arange(_LOCAL.size)
    from_values = np.polynomial.chebyshev.chebvander(_LOCAL, degrees[-1])
    from_values *= np.where(degrees > 0, 2.0, 1.0) / degrees.size
    return np.asarray(from_values @ np.polynomial.chebyshev.chebvander(middle, degrees[-1]).T)
