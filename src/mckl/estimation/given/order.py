"""Tests whether units depend on earlier ones, by the drift of their mean and by autocorrelation."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.running import short_dot

_PER_BLOCK, _MOST_PIECES = 16, 4096


class Dependence(NamedTuple):
    """Signs that units are not independent; NaN where there are too few units.

    drift              the mean of the second half less that of the first, in standard errors
    autocorrelation    the correlation of neighbouring units
    autocorrelation_z  the same in standard errors, as for independent units
    """

    drift: float
    autocorrelation: float
    autocorrelation_z: float


UNKNOWN = Dependence(math.nan, math.nan, math.nan)


class Order:
    """Sums over a stream of roughly centred values: of pieces, and of products of neighbours.

    Values beyond ±`bound` count as the bound, since two rare large values may be neighbours by
    chance.
    """

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._pieces: list[tuple[int, float]] = []
        self._sum = self._square = self._neighbours = 0.0
        self._last: float | None = None
        self._first = 0.0
        self._count = 0

    def update(self, s: Vector) -> None:
        """Add more values, shape (n,)."""
        if not s.size:
            return
        s = np.clip(s, -self._bound, self._bound)
        if self._last is None:
            self._first = float(s[0])
        else:
            self._neighbours += self._last * float(s[0])
        self._neighbours += float(short_dot(s[1:], s[:-1]))
        self._last = float(s[-1])
        self._square += float(short_dot(s, s))
        size = max(1, s.size // _PER_BLOCK)
        starts = np.arange(0, s.size, size)
        sums = np.add.reduceat(s, starts)
        self._sum += float(sums.sum())
        self._count += s.size
        counts = np.diff(starts, append=s.size)
        self._pieces += zip(counts.tolist(), sums.tolist(), strict=True)
        while len(self._pieces) > _MOST_PIECES:
            p = self._pieces
            pairs = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(p[::2], p[1::2], strict=False)]
            self._pieces = pairs + ([p[-1]] if len(p) % 2 else [])

    def dependence(self) -> Dependence:
        """The dependence of all values so far."""
        n = self._count
        if n < 8:
            return UNKNOWN
        mean = self._sum / n
        variance = self._square / n - mean * mean
        if not (variance > 0 and math.isfinite(variance)):
            return UNKNOWN
        counts, sums = np.array(self._pieces).T
        done = np.cumsum(counts)
        half = int(np.argmin(np.abs(done - n / 2))) + 1
        n1 = float(done[half - 1])
        n2 = n - n1
        drift = math.nan
        if n1 > 0 and n2 > 0:
            gap = sums[half:].sum() / n2 - sums[:half].sum() / n1
            drift = float(gap) / math.sqrt(variance * (1 / n1 + 1 / n2))
        assert self._last is not None
        ends = mean * (self._first + self._last)
        covariance = (self._neighbours - 2 * mean * self._sum + ends) / (n - 1) + mean * mean
        correlation = covariance / variance
        # For independent units its mean is -1/(n - 1), and its standard deviation about 1/sqrt(n).
        z = (correlation + 1 / (n - 1)) * math.sqrt(n)
        return Dependence(drift, correlation, z)
