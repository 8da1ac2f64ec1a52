"""Counts how often values recur in a stream, in constant memory."""

from __future__ import annotations

import numpy as np

from mckl.arrays import Vector

_MOST = 2**15  # distinct values that are counted
_FEWEST = 20  # distinct values below which recurrence proves nothing
_MIXER = np.uint64(0x9E3779B97F4A7C15)


class Copies:
    """The numbers of times that some of the values occur, chosen by a hash of the value."""

    def __init__(self) -> None:
        self._keys, self._counts = np.empty(0, np.uint64), np.empty(0, np.int64)
        self._limit = 2**64 - 1

    def update(self, values: Vector) -> None:
        """Add more values, shape (n,)."""
        keys = np.ascontiguousarray(values, np.float64).view(np.uint64) * _MIXER
        keys ^= keys >> np.uint64(29)
        keys *= _MIXER
        keys, counts = np.unique(keys[keys <= self._limit], return_counts=True)
        both, places = np.unique(np.append(self._keys, keys), return_inverse=True)
        self._counts = np.bincount(places, np.append(self._counts, counts)).astype(np.int64)
        self._keys = both
        while self._keys.size > _MOST:
            self._limit //= 2
            kept = self._keys <= self._limit
            self._keys, self._counts = self._keys[kept], self._counts[kept]

    def number(self) -> int:
        """The number that divides how often each value occurs; 1 with fewer than 20 values."""
        return int(np.gcd.reduce(self._counts)) if self._keys.size >= _FEWEST else 1

    def share(self) -> float:
        """The share of values that occurred before."""
        total = int(self._counts.sum())
        return 1.0 - self._keys.size / total if total else 0.0
