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

    They are exact to rounding, and a value of probability 0 is never drawn.
    """
    each = [alias_table(row) for row in probabilities]
    return Alias(*(np.stack(column) for column in zip(*each, strict=True)))


def alias_table(probabilities: Vector) -> Alias:
    """The table of one law, as `alias_tables` has them, with arrays of shape (values,).

    One after the other, the cells that are less than full are filled up from those that are more
    than full. One of these that becomes less than full is filled up from the next. So sums of what
    cells lack and of what they can spare tell which fills which.
    """
    fraction = probabilities / probabilities.sum() * probabilities.size
    other = np.arange(fraction.size)
    full = fraction >= 1.0
    small, large = np.flatnonzero(~full), np.flatnonzero(full)
    lack, spare = np.cumsum(1.0 - fraction[small]), np.cumsum(fraction[large] - 1.0)
    fraction[large] = 1.0
    if not small.size:
        return Alias(fraction, other)
    last = large.size - 1
    from_large = np.searchsorted(spare, np.concatenate(([0.0], lack[:-1])), "right")
    other[small] = large[np.minimum(from_large, last)]
    emptied = np.searchsorted(lack, spare[:-1], "right")  # the small cell that empties each
    emptied = emptied[emptied < small.size]
    some = slice(emptied.size)
    fraction[large[some]] = np.maximum(1.0 - (lack[emptied] - spare[some]), 0.0)
    other[large[some]] = large[1:][some]
    return Alias(fraction, other)


class MergedAlias(NamedTuple):
    """The table of one law, for one look-up of a value.

    Cell i is from i to i + 1.

    ends    where each cell ends to have its own value, shape (values,)
    values  its values, in entries 2 i (the alias) and 2 i + 1
    """

    ends: Vector
    values: NDArray[np.intp]

    def samples(self, u: Vector) -> NDArray[np.intp]:
        """The values that follow from numbers u in [0, 1); u is overwritten."""
        u *= self.ends.size
        cell = u.astype(np.intp)
        own = u < self.ends.take(cell)
        cell += cell
        cell += own
        return self.values.take(cell)


def merged_alias(probabilities: Vector, first: int = 0) -> MergedAlias:
    """The cells of the law with these probabilities on the values from `first` on."""
    fraction, other = alias_table(probabilities)
    own = np.arange(other.size)
    return MergedAlias(own + fraction, np.stack((other, own), axis=1).ravel() + first)
