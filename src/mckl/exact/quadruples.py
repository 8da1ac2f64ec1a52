"""What quadruples of strata add to the fourth cumulant of a sum over balanced Sobol' points.

Under the linear scramble, if the bitwise sum x + y + z + w of four strata is 0, then the position
in stratum w is the bitwise sum of the positions in the other three (theory.md, section 6). So the
mean of the product of four functions there is the sum over Walsh functions k of the position of the
products of the four k-th coefficients. The sum over quadruples is one over Walsh functions of the
stratum.

Strata of 2 n are halves of those of n, so that the coefficients for n follow from those for 2 n by
sums and differences, and so do their transforms over strata without any: the numbers for all n up
to `_STRATA` take hardly longer than one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from mckl.arrays import Vector
from mckl.exact.dyadic import Dyadic
from mckl.exact.moments import Bounded

# The numbers of positions within a stratum, and of Walsh functions of the position.
_LEAST_POSITIONS, _MOST_POSITIONS = 32, 1024
_LARGEST_MATRIX = 16
_STRATA = 2**12  # the most strata whose numbers are made together, from the means of the same cells

_KNOWN: WeakKeyDictionary[Dyadic, dict[tuple[int, ...], Bounded]] = WeakKeyDictionary()


def walsh_hadamard(x: Vector) -> Vector:
    """The Walsh-Hadamard transform along axis 0, whose length is a power of two."""
    n, step = x.shape[0], 1
    while step < n:  # products with small matrices take less time than sums and differences
        size = min(_LARGEST_MATRIX, n // step)
        x = _matrix(size) @ x.reshape(n // (step * size), size, -1)
        step *= size
    return x.reshape(n, -1)


@lru_cache(maxsize=8)
def _matrix(size: int) -> Vector:
    """The matrix of the Walsh-Hadamard transform, which is symmetric."""
    half = _matrix(size // 2) if size > 1 else np.ones((1, 1))
    return np.block([[half, half], [half, -half]]) if size > 1 else half


def linked(dyadic: Dyadic, n: int, *rows: int) -> Bounded:
    """The terms of quadruples of strata with bitwise sum 0 in the mean of a product of four sums.

    The sums are over n strata of four functions of a `Dyadic`, given as its rows. Quadruples with
    equal strata are counted elsewhere.
    """
    if n < 4:
        return Bounded(0.0, 0.0)
    known = _KNOWN.setdefault(dyadic, {})
    if (n, *rows) not in known:
        for strata, number in _numbers(dyadic, max(n, _STRATA), rows):
            known[strata, *rows] = number
            if strata == n > _STRATA:
                break
    return known[n, *rows]


class _Coefficients(NamedTuple):
    """A function's Walsh coefficients within strata, and their transform over the strata.

    Both are multiplied by the number of cells in a stratum, and have the shape (strata, Walsh
    functions of the position). With the 0-th function they are those of the strata's means.
    """

    within: Vector
    over: Vector

    @staticmethod
    @lru_cache(maxsize=2)  # the two functions of one quadratic form are in several products
    def of(dyadic: Dyadic, strata: int, row: int) -> _Coefficients:
        cells = dyadic.means(strata * _LEAST_POSITIONS, row).reshape(strata, _LEAST_POSITIONS)
        mean = cells.mean(axis=1)
        within = (cells - mean[:, None]) @ _matrix(_LEAST_POSITIONS)
        within[:, 0] = _LEAST_POSITIONS * (mean - mean.mean())
        return _Coefficients(within, walsh_hadamard(within))

    def halved(self) -> _Coefficients:
        """The coefficients within half as many strata."""
        strata, positions = self.within.shape
        within = np.empty((strata // 2, 2 * positions))
        first, second = self.within[::2], self.within[1::2]
        np.add(first, second, out=within[:, :positions])
        np.subtract(first, second, out=within[:, positions:])
        return _Coefficients(within, self.over.reshape(within.shape))

    def coarser(self) -> _Coefficients:
        """Without the Walsh functions that differ within pairs of cells."""
        return _Coefficients(*(np.ascontiguousarray(x[:, ::2]) for x in self))


def _numbers(dyadic: Dyadic, strata: int, rows: Sequence[int]) -> Iterator[tuple[int, Bounded]]:
    """The numbers of strata, each half of the one before it, with what `linked` returns."""
    # The functions are often the same; each is transformed once.
    of = {row: _Coefficients.of(dyadic, strata, row) for row in set(rows)}
    sums, cells = _sums(of, rows), strata * _LEAST_POSITIONS
    while strata >= 4:
        yield strata, _terms([of[row].within for row in rows], sums, cells // strata)
        if next(iter(of.values())).within.shape[1] == _MOST_POSITIONS:
            of = {row: coefficients.coarser() for row, coefficients in of.items()}
            sums = _sums(of, rows)
        of = {row: coefficients.halved() for row, coefficients in of.items()}
        strata //= 2


# The three ways to make two pairs of four, one after the other.
_PAIRS = ((0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2))


def _sums(of: Mapping[int, _Coefficients], rows: Sequence[int]) -> Vector:
    """The sums over strata of the products of two functions, by pairs of pairs, and of all four.

    Shape (7, `_MOST_POSITIONS`), for the number of strata that have so many positions.
    """
    over = {row: coefficients.over.reshape(-1, _MOST_POSITIONS) for row, coefficients in of.items()}
    pairs = [(min(rows[i], rows[j]), max(rows[i], rows[j])) for i, j in _PAIRS]
    products = {(i, j): over[i] * over[j] for i, j in set(pairs)}
    sums = {pair: product.sum(axis=0) for pair, product in products.items()}
    every = np.einsum("ij,ij->j", products[pairs[0]], products[pairs[1]])
    return np.stack([*(sums[pair] for pair in pairs), every])


def _terms(within: Sequence[Vector], sums: Vector, cells: int) -> Bounded:
    """The number from the coefficients and from `_sums`, with so many cells in a stratum."""
    n, positions = within[0].shape
    # Sums over more strata are sums of those over fewer. By Parseval's identity, they are those of
    # the transforms divided by n.
    *pairs, every = sums.reshape(len(sums), -1, positions).sum(axis=1) / n
    of_pairs = pairs[0] * pairs[1] + pairs[2] * pairs[3] + pairs[4] * pairs[5]
    first = within[0] * within[1]
    second = first if within[2] is within[0] and within[3] is within[1] else within[2] * within[3]
    terms = every - of_pairs + 2.0 * np.einsum("ij,ij->j", first, second)
    every, of_pairs, terms = (
        np.concatenate(([0.0], x[1:])) / float(cells) ** 4 for x in (every, of_pairs, terms)
    )
    return _limit(terms, 1e-12 * float(np.abs(every).sum() + np.abs(of_pairs).sum()))


def _limit(terms: Vector, rounding: float) -> Bounded:
    """The sum over all Walsh functions of terms, of which the first 2^k are given.

    Every doubling of their number adds less, and nearly by a constant factor: 1/16 where functions
    are smooth within strata, and 1/8 where several are not. The bound is a quarter of what this
    leaves.
    """
    # Those that are constant on pairs of positions have even numbers, and so on.
    fine, middle, coarse = (float(terms[::step].sum()) for step in (1, 2, 4))
    added, before = fine - middle, middle - coarse
    factor = min(max(added / before, 1 / 16), 0.5) if before else 0.5
    left = added * factor / (1.0 - factor)
    return Bounded(fine + left, 0.25 * abs(left) + rounding)
