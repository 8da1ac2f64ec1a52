"""Samples of a law, each from one uniform number, by a table of trapezoids under its density.

The quantiles of some probabilities cut the line into cells. A uniform number falls into a cell with
the probability that the law has there, and where it is within the cell decides which part of the
density it draws from: a rectangle, for nearly all of them, a triangle upon it, or what is left
between this trapezoid and the density, where the sample follows from the distribution function. The
parts add up to the density. So samples have the law to rounding, however coarse the cells are. As
in the ziggurat (Marsaglia & Tsang 2000) most take no logarithm and no exponential, and unlike there
none is rejected, so that each takes one number.

With t the distance of the uniform number from the nearer of 0 and 1, the cells of each tail are
those floating-point numbers t that share their exponent and their first bits.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector


class Tabled(Protocol):
    """A law of one dimension whose density is continuous within its support."""

    @property
    def kind(self) -> str:
        """A text that says what is drawn."""

    @property
    def tensorflow(self) -> Any:
        """The law in TensorFlow Probability."""

    def log_density(self, x: Vector) -> Vector:
        """The log density at x."""

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        """The probability below x; with `upper`, the probability above x."""

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        """The point below which the probability is u; with `upper`, above which it is u."""


# Where a sample has numbers of more kinds of laws, a tile has so few of each that tables would take
# longer than NumPy's generators.
MOST_TABLES = 8
BITS = 8  # of the fraction of t; with more, the tables would leave the fastest cache
_OCTAVES = 64  # the exponents of t in [2^-54, 1/2] differ in their last 6 bits
_DEEP = 20  # the cells are those of t >= 2^-20; quantiles of smaller t take little time in all
_PLACES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
# How far a chord is above a density is seen at three places between its ends. In between it may be
# this many times as far, for a parabola, a cubic, or a kink.
_UNSEEN = 1.5
_ROUNDED = 1e-14  # of a density
_HALVINGS = 30  # of a cell in which about 1e-6 of its probability is left


class _Cells(NamedTuple):
    """Arrays with one entry for each cell: those of the lower tail by t, then of the upper tail.

    constant, linear  the probabilities of the rectangle and of the triangle; 0 where there is no
                      trapezoid, so that samples are quantiles
    limit             the t at which the rectangle's numbers end
    shift, slope      the sample in the rectangle is shift + slope v, with v = t or -t
    start, width      the outer end of the cell, and the inner end less this
    falls             1 where the density falls from the outer end to the inner one, else 0
    """

    constant: Vector
    linear: Vector
    limit: Vector
    shift: Vector
    slope: Vector
    start: Vector
    width: Vector
    falls: Vector


@np.errstate(all="ignore")
def _tail(law: Tabled, upper: bool, edges: Vector) -> _Cells:
    """The cells of one tail between the given t."""
    x, probability = law.quantile(edges, upper), np.diff(edges)
    start, width = x[:-1], np.diff(x)
    f = np.exp(law.log_density(start[:, None] + width[:, None] * _PLACES))
    rise, size = f[:, -1] - f[:, 0], np.abs(width)
    above = (f[:, :1] + rise[:, None] * _PLACES - f).max(axis=1)  # of the chord
    least = np.minimum(f[:, 0], f[:, -1]) - _UNSEEN * above - _ROUNDED * f.max(axis=1)
    constant = size * least
    linear = np.minimum(0.5 * size * np.abs(rise), probability - constant)
    known = (constant > 0.0) & (linear >= 0.0)  # not where a number is NaN, as an end is infinite
    slope = width / constant
    shift, limit = start - slope * edges[:-1], edges[:-1] + constant
    slope = -slope if upper else slope
    numbers = _Cells(constant, linear, limit, shift, slope, start, width, np.signbit(rise))
    return _Cells(*(np.where(known, column, 0.0) for column in numbers))


class DensityTable:
    """A law whose samples are drawn by a table, which is made when the first are."""

    def __init__(self, law: Tabled, bits: int = BITS) -> None:
        self._law, self._bits = law, bits
        self._side = _OCTAVES << bits  # the entries of one tail

    @property
    def kind(self) -> str:
        return self._law.kind

    @property
    def tensorflow(self) -> Any:
        return self._law.tensorflow

    @cached_property
    def _cells(self) -> _Cells:
        fractions = 1.0 + np.arange(1 << self._bits) / (1 << self._bits)
        edges = np.append(np.outer(2.0 ** np.arange(-_DEEP, -1), fractions), 0.5)
        cells = _Cells(*np.zeros((len(_Cells._fields), 2 * self._side)))
        first = (1023 - _DEEP) % _OCTAVES << self._bits  # 1023 is the exponent of 1 in float64
        for upper in (False, True):
            begin = first + upper * self._side
            for whole, tail in zip(cells, _tail(self._law, upper, edges), strict=True):
                whole[begin : begin + tail.size] = tail
        return cells

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Vector:
        """Independent samples, of the given shape."""
        return self.samples(generator.random(shape))

    def samples(self, u: Vector) -> Vector:
        """The samples that follow from numbers u in [0, 1); u is overwritten."""
        cells, v = self._cells, u.reshape(-1)
        v -= np.rint(v)
        v += 2.0**-54  # the middle of an interval of width 2^-53, so that 0 is avoided
        bits = v.view(np.int64)
        cell = bits >> (52 - self._bits)
        cell &= self._side - 1
        cell |= (bits >> 63) & self._side
        x = cells.slope.take(cell)
        x *= v
        x += cells.shift.take(cell)
        t = np.abs(v, out=v)
        over = t - cells.limit.take(cell)
        some = np.flatnonzero(over >= 0.0)
        x[some] = self._above_rectangles(t[some], over[some], cell[some])
        return x.reshape(u.shape)

    def _above_rectangles(self, t: Vector, over: Vector, cell: NDArray[np.int64]) -> Vector:
        """The samples of numbers t that are `over` the limits of their cells."""
        cells, linear = self._cells, self._cells.linear.take(cell)
        inside = over < linear
        y = np.sqrt(over / np.where(inside, linear, np.inf))
        falls = cells.falls.take(cell)
        x = cells.start.take(cell) + cells.width.take(cell) * np.abs(falls - y)
        if not inside.all():
            known = cells.constant.take(cell) > 0.0
            for upper in (False, True):
                left = ~inside & ((cell >= self._side) == upper)
                if (some := left & ~known).any():
                    x[some] = self._law.quantile(t[some], upper)
                if (some := left & known).any():
                    x[some] = self._above_trapezoids(t[some], cell[some], upper)
        return np.asarray(x)

    def _above_trapezoids(self, t: Vector, cell: NDArray[np.int64], upper: bool) -> Vector:
        """The samples of what the density is above its trapezoids, by halving their cells."""
        constant, linear, limit, _, _, start, width, falls = (a.take(cell) for a in self._cells)
        outside = limit - constant
        low, high = np.zeros(t.size), np.ones(t.size)
        for _ in range(_HALVINGS):
            y = 0.5 * (low + high)
            below = constant * y + linear * np.where(falls, y * (2.0 - y), y * y)
            rest = self._law.probability(start + width * y, upper) - outside - below
            enough = rest >= t - limit - linear
            low, high = np.where(enough, low, y), np.where(enough, y, high)
        return np.asarray(start + width * (0.5 * (low + high)))


@lru_cache(maxsize=64)
def density_table(law: Tabled) -> DensityTable:
    """The table of a law that compares by its parameters."""
    return DensityTable(law)
