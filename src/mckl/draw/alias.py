"""Walker's alias tables: a draw from a discrete law takes one uniform number and two look-ups.

Cell i holds the value i below a fraction and another one, its alias, above it; the cell is as
likely as any other (Walker, "An efficient method for generating discrete random variables with
general distributions", 1977).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector


class Alias(NamedTuple):
    """Tables of several laws over the same values, one a row.

    fraction  the share of each cell that its own value has, shape (laws, values)
    other     the value of the rest
    """

    fraction: Vector
    other: NDArray[np.intp]


def alias_tables(probabilities: Vector) -> Alias:
    """The tables of some laws, shape (laws, values); exact to rounding, and 0 stays 0.

    In all rows at once a cell that is less than full takes the rest from a fuller one; if that
    becomes less than full, it is next, and otherwise the next cell that is so from the start is.
    """
    laws, values = probabilities.shape
    rows = np.arange(laws)
    fraction = probabilities / probabilities.sum(axis=1, keepdims=True) * values
    other = np.tile(np.arange(values), (laws, 1))
    full = fraction >= 1.0
    # Of every row the cells that are less than full, then the fuller ones.
    order = np.argsort(full, axis=1, kind="stable")
    next_small, next_large = np.zeros(laws, dtype=np.intp), (~full).sum(axis=1)
    smalls = next_large.copy()
    done = np.zeros(probabilities.shape, dtype=bool)
    small, large = order[:, 0].copy(), order[rows, np.minimum(next_large, values - 1)]
    going = (smalls > 0) & (smalls < values)
    while going.any():
        r = rows[going]
        i, j = small[r], large[r]
        other[r, i] = j
        fraction[r, j] -= 1.0 - fraction[r, i]
        done[r, i] = True
        emptied = fraction[r, j] < 1.0
        next_large[r] += emptied
        next_small[r] += ~emptied
        small[r] = np.where(emptied, j, order[r, np.minimum(next_small[r], values - 1)])
        large[r] = order[r, np.minimum(next_large[r], values - 1)]
        going[r] = (next_large[r] < values) & (emptied | (next_small[r] < smalls[r]))
    # What rounding leaves over is a full cell, or one of a value that is never drawn.
    left = ~done
    likely = np.broadcast_to(probabilities.argmax(axis=1)[:, None], left.shape)
    fraction[left] = probabilities[left] > 0
    other[left] = likely[left]
    return Alias(fraction, other)
