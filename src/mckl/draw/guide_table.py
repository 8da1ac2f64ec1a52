"""In which cells of (0, 1) uniform numbers are, by a guide table.

The table of Chen & Asau, "On generating random variates from an empirical distribution" (1974),
has the first cell of each of many equal intervals. Most intervals have one end of a cell at most,
so that one comparison is enough, however many cells there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector

_INTERVALS_A_CELL = 8
_FEW_ENDS = 4  # so few are compared with every number


class GuideTable:
    """Cells of (0, 1), one after the other, of the given probabilities."""

    def __init__(self, probabilities: Vector) -> None:
        self._ends = np.cumsum(probabilities)[:-1]
        # A power of two, so that u times it is exact.
        self._intervals = 2 ** (_INTERVALS_A_CELL * len(probabilities) - 1).bit_length()
        edges = np.arange(self._intervals + 1) / self._intervals
        first = np.searchsorted(self._ends, edges, side="right")
        self._first, self._many = first[:-1], np.diff(first) > 1
        self._next_end = np.append(self._ends, np.inf)[self._first]

    def of(self, u: Vector) -> NDArray[np.intp]:
        """The number of the cell of each u in [0, 1)."""
        out: NDArray[np.intp]
        if self._ends.size <= _FEW_ENDS:
            out = np.zeros(u.shape, dtype=np.intp)
            for end in self._ends:
                out += u >= end
            return out
        interval = (u * self._intervals).astype(np.intp)
        out = self._first.take(interval) + (self._next_end.take(interval) <= u)
        if self._many.any() and (some := self._many.take(interval)).any():
            out[some] = np.searchsorted(self._ends, u[some], side="right")
        return out
