"""Joint cumulants and joint central moments of several random variables, from each other.

Both are arrays whose entry [i, j, ...] belongs to so many factors of each variable; axes behind the
first `variables` hold several laws side by side. Entries beyond the total order len - 1 are 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from mckl.arrays import Vector


def indices(variables: int, order: int) -> Iterator[tuple[int, ...]]:
    """Every index of total order 0 to `order`, those of a lower order first."""
    every = itertools.product(range(order + 1), repeat=variables)
    yield from sorted((i for i in every if sum(i) <= order), key=sum)


def cumulants(moments: Vector, variables: int) -> Vector:
    """Joint cumulants from order 2 on, from joint central moments; those of order 1 are 0.

    With one chosen variable taken out, it stands in a cumulant with some of the others, and the
    rest is a moment of a lower order:

        moment[I + e] = sum over J <= I of binomial(I, J) cumulant[J + e] moment[I - J].
    """
    return _solved(moments, variables, to_moments=False)


def central_moments(kappa: Vector, variables: int) -> Vector:
    """Joint central moments from joint cumulants, whose means do not count."""
    return _solved(kappa, variables, to_moments=True)


def _solved(given: Vector, variables: int, to_moments: bool) -> Vector:
    order = len(given) - 1
    kappa, mu = np.zeros_like(given), np.zeros_like(given)
    mu[(0,) * variables] = 1.0
    known = kappa if to_moments else mu
    with np.errstate(invalid="ignore", over="ignore"):
        for index in indices(variables, order):
            if sum(index) < 2:
                continue
            known[index] = given[index]
            axis = next(i for i, power in enumerate(index) if power)
            chosen = tuple(power - (i == axis) for i, power in enumerate(index))
            lower = np.zeros_like(given[index])
            for part in itertools.product(*(range(power + 1) for power in chosen)):
                # Cumulants and moments of order 1 are 0.
                if 1 <= sum(part) <= sum(chosen) - 2:
                    rest = tuple(a - b for a, b in zip(chosen, part, strict=True))
                    with_chosen = tuple(a + (i == axis) for i, a in enumerate(part))
                    times = math.prod(map(math.comb, chosen, part))
                    lower = lower + times * kappa[with_chosen] * mu[rest]
            if to_moments:
                mu[index] = given[index] + lower
            else:
                kappa[index] = given[index] - lower
    return mu if to_moments else kappa
