"""Functions of a mixture's density at many points, of few components and points at a time.

In a window, a short stretch of neighbouring points, most of many components are negligible. Where
each falls on both sides of its peak, bounds in the window follow from the points nearest to the
peaks and from the window's ends. Components that together are less than `LEFT_OUT` of the sum at
every point of the window are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, Self, TypeVar

import numpy as np

from mckl.arrays import Vector

LEFT_OUT = 1e-30  # of the sum
_AT_ONCE = 2**15  # numbers of an array, one for each component and point; it fits into a cache
_MANY = 64  # components, and points, from which windows save time
_WINDOW = 256  # points
_BOUNDS_AT_ONCE = 2**18  # numbers of an array, one for each component and window


class Windowed(Protocol):
    """A mixture, or the ratio of two."""

    @property
    def columns(self) -> int:
        """How many numbers a point has."""

    @property
    def count(self) -> int:
        """How many components there are."""

    @property
    def peaked(self) -> bool:
        """Whether every component falls on both sides of its location."""

    def within(self, low: Vector, high: Vector) -> Iterator[Self]:
        """What it is without negligible components, for each window.

        low, high  the ends of the windows, shape (windows, 1)
        """


T = TypeVar("T", bound=Windowed)


def in_windows(whole: T, function: Callable[[T, Vector], Vector], x: Vector) -> Vector:
    """A function of points, which is evaluated without components that are negligible there."""
    if not whole.peaked or whole.count < _MANY or x.size < _MANY:
        return in_blocks(partial(function, whole), x, whole.columns, whole.count)
    points, out = x.reshape(-1, 1), []
    starts = np.arange(0, len(points), _WINDOW)
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    step = max(_BOUNDS_AT_ONCE // whole.count, 1)
    for group in (slice(i, i + step) for i in range(0, len(starts), step)):
        parts = whole.within(low[group], high[group])
        for start, part in zip(starts[group].tolist(), parts, strict=True):
            y = points[start : start + _WINDOW]
            out.append(in_blocks(partial(function, part), y, 1, part.count))
    return np.concatenate(out).reshape(x.shape)


def in_blocks(
    function: Callable[[Vector], Vector], x: Vector, columns: int, components: int
) -> Vector:
    """A function of x, as rows of shape (rows, columns), with few rows at a time."""
    rows = x.reshape(-1, columns)
    if rows.size == 1:
        # NumPy adds up the components of a single point in another order than those of several.
        return function(np.repeat(rows, 2, axis=0))[:1].reshape(x.shape)
    step = max(_AT_ONCE // (columns * components), 2)
    edges = [*range(0, max(len(rows) - 1, 1), step), len(rows)]  # no block of one row
    blocks = [function(rows[i:j]) for i, j in itertools.pairwise(edges)]
    return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks)).reshape(x.shape)
