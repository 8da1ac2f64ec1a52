"""Walker's alias tables: a draw from a discrete law takes one uniform number and two look-ups.

All cells are equally likely. In cell i the value i is drawn with a probability that the table
holds, and another value, its alias, otherwise (Walker, "An efficient method for generating discrete
random variables with general distributions", 1977).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector


class Alias(NamedTuple):
    """The tables of several laws over the same values, one row a law.

    fraction  the probability in each cell of its own value, shape (laws, values)
    other     the alias of each cell, shape (laws, values)
    """

    fraction: Vector
    other: NDArray[np.intp]


def alias_tables(probabilities: Vector) -> Alias:
    """The alias tables of the laws with these probabilities, shape (laws, values).

    They are exact to rounding, and a value of probability 0 is never drawn. All rows are worked on
    at once. In each step a cell that is less than full is filled up from one that is more than
    full. If the latter becomes less than full, it is the next to be filled, else the next cell that
    was less than full from the start.
    """
    laws, values = probabilities.shape
    rows = np.arange(laws)
    fraction = probabilities / probabilities.sum(axis=1, keepdims=True) * values
    other = np.tile(np.arange(values), (laws, 1))
    full = fraction >= 1.0
    # In every row, first the cells that are less than full, then the others.
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
    # The cells that rounding leaves over are full, or belong to a value of probability 0.
    left = ~done
    likely = np.broadcast_to(probabilities.argmax(axis=1)[:, None], left.shape)
    fraction[left] = probabilities[left] > 0
    other[left] = likely[left]
    return Alias(fraction, other)
