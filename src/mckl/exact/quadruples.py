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

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from mckl.arrays import Vector
from mckl.exact.dyadic import Dyadic
from mckl.exact.moments import Bounded

# The numbers of positions within a stratum, and of Walsh functions of the position.
_LEAST_POSITIONS, _MOST_POSITIONS = 32, 1024
_STRATA = 2**12  # the most strata whose numbers are made together, from the means of the same cells

_KNOWN: WeakKeyDictionary[Dyadic, dict[tuple[int, ...], Bounded]] = WeakKeyDictionary()


def walsh_hadamard(x: Vector) -> Vector:
    """The Walsh-Hadamard transform along axis 0, whose length is a power of two."""
    n = x.shape[0]
    x = np.array(x.reshape(n, -1), order="C")  # a copy, which is transformed in place
    step = 1
    while step < n:
        y = x.reshape(n // (2 * step), 2, -1)
        first, second = y[:, 0], y[:, 1]
        difference = first - second
        first += second
        second[...] = difference
        step *= 2
    return x


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

    Both have the shape (strata, Walsh functions of the position). With the 0-th function they are
    those of the strata's means.
    """

    within: Vector
    over: Vector

    @staticmethod
    def of(dyadic: Dyadic, strata: int, row: int) -> _Coefficients:
        cells = dyadic.means(strata * _LEAST_POSITIONS, row).reshape(strata, _LEAST_POSITIONS)
        mean = cells.mean(axis=1)
        within = walsh_hadamard((cells - mean[:, None]).T).T / _LEAST_POSITIONS
        within[:, 0] = mean - mean.mean()
        return _Coefficients(within, walsh_hadamard(within))

    def halved(self) -> _Coefficients:
        """The coefficients within half as many strata, of as many cells in all or half as many."""
        within, over = self
        if within.shape[1] == _MOST_POSITIONS:  # the means over pairs of cells have half of them
            within, over = within[:, ::2], over[:, ::2]
        low, high = 0.5 * within[::2], 0.5 * within[1::2]
        within = np.concatenate((low + high, low - high), axis=1)
        return _Coefficients(within, 0.5 * over.reshape(within.shape))


def _numbers(dyadic: Dyadic, strata: int, rows: Sequence[int]) -> Iterator[tuple[int, Bounded]]:
    """The numbers of strata, each half of the one before it, with what `linked` returns."""
    # The functions are often the same; each is transformed once.
    of = {row: _Coefficients.of(dyadic, strata, row) for row in set(rows)}
    while strata >= 4:
        yield strata, _terms([of[row] for row in rows])
        of = {row: coefficients.halved() for row, coefficients in of.items()}
        strata //= 2


def _terms(each: Sequence[_Coefficients]) -> Bounded:
    n = len(each[0].within)
    products: dict[tuple[int, int], tuple[Vector, Vector]] = {}
    for i, j in itertools.combinations(range(4), 2):
        same = (k for k in products if each[k[0]] is each[i] and each[k[1]] is each[j])
        key = next(same, None)
        products[i, j] = (
            products[key] if key else (each[i].within * each[j].within, each[i].over * each[j].over)
        )
    # By Parseval's identity, sums over strata are those of the transforms divided by n.
    sums = {id(y): y.sum(axis=0) / n for _, y in products.values()}
    of = {key: sums[id(y)] for key, (_, y) in products.items()}
    pairs = of[0, 1] * of[2, 3] + of[0, 2] * of[1, 3] + of[0, 3] * of[1, 2]
    (first, first_over), (second, second_over) = products[0, 1], products[2, 3]
    every = np.einsum("ij,ij->j", first_over, second_over) / n
    terms = every - pairs + 2.0 * np.einsum("ij,ij->j", first, second)
    every, pairs, terms = (np.concatenate(([0.0], x[1:])) for x in (every, pairs, terms))
    return _limit(terms, 1e-12 * float(np.abs(every).sum() + np.abs(pairs).sum()))


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
