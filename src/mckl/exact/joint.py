"""Converts joint cumulants of several random variables to joint central moments, and back.

Both are arrays whose entry [i, j, ...] belongs to the product of the first variable i times, the
second j times, and so on. Axes after the first `variables` are for several laws at once. Entries
whose total order exceeds len - 1 are 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from mckl.arrays import Vector

Index = tuple[int, ...]


def indices(variables: int, order: int) -> Iterator[Index]:
    """All indices of total order 0 to `order`, in ascending order."""
    every = itertools.product(range(order + 1), repeat=variables)
    yield from sorted((i for i in every if sum(i) <= order), key=sum)


def cumulants(moments: Vector, variables: int) -> Vector:
    """The joint cumulants from order 2 on, from joint central moments; those of order 1 are 0.

    One chosen variable e of a product is in a cumulant with some of the others, J, and the rest
    form a moment of a lower order:

        moment[I + e] = sum over J <= I of binomial(I, J) cumulant[J + e] moment[I - J].
    """
    return _solved(moments, variables, to_moments=False)


def central_moments(kappa: Vector, variables: int) -> Vector:
    """The joint central moments from joint cumulants; cumulants of order 1 are not used."""
    return _solved(kappa, variables, to_moments=True)


@lru_cache(maxsize=64)
def _terms(variables: int, order: int) -> list[tuple[Index, list[tuple[int, Index, Index]]]]:
    """Every index with the formula's lower terms (coefficient, cumulant's index, moment's index).

    Terms with a cumulant or moment of order 1 are left out, as these are 0.
    """
    out = []
    for index in indices(variables, order):
        if sum(index) < 2:
            continue
        axis = next(i for i, power in enumerate(index) if power)
        chosen = tuple(power - (i == axis) for i, power in enumerate(index))
        lower = []
        for part in itertools.product(*(range(power + 1) for power in chosen)):
            if 1 <= sum(part) <= sum(chosen) - 2:
                rest = tuple(a - b for a, b in zip(chosen, part, strict=True))
                with_chosen = tuple(a + (i == axis) for i, a in enumerate(part))
                lower.append((math.prod(map(math.comb, chosen, part)), with_chosen, rest))
        out.append((index, lower))
    return out


def _solved(given: Vector, variables: int, to_moments: bool) -> Vector:
    kappa, mu = np.zeros_like(given), np.zeros_like(given)
    mu[(0,) * variables] = 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        for index, terms in _terms(variables, len(given) - 1):
            (kappa if to_moments else mu)[index] = given[index]
            lower = sum(times * kappa[i] * mu[j] for times, i, j in terms)
            if to_moments:
                mu[index] = given[index] + lower
            else:
                kappa[index] = given[index] - lower
    return mu if to_moments else kappa
