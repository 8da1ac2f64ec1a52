"""The exact theory of k2, the mean of l^2 / 2.

With c = l - KL, the square less its mean is KL c + (c^2 - Var l) / 2, so that nothing cancels where
KL is large.
"""

import itertools
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.estimation.values.base import POWERS, UnitTheory, exact_theory
from mckl.exact import joint
from mckl.exact.law import Law
from mckl.exact.moments import EPS, Bounded, Moments, settled


def k2_theory(law: Law, paired: bool) -> UnitTheory:
    """The theory of the mean of l^2 / 2 over samples or antithetic pairs."""
    # An antithetic pair averages the squares of KL + Q + L and KL + Q - L: (KL + Q)^2 + L^2.
    if paired:
        moments = joint.central_moments(law.parts(8), 2)
        squares: tuple[joint.Index, ...] = ((2, 0), (0, 2))
    else:
        moments, squares = joint.central_moments(law.ell(8), 1), ((2,),)
    variance = Bounded(0.0, 0.0)
    for square in squares:
        value, error = moments.at(*square)
        variance = Bounded(variance.value + value, variance.error + error)
    mean = 0.5 * (variance.value + law.kl * law.kl)  # inf where a power would raise
    error = 0.5 * variance.error + law.kl * law.kl_error + 4.0 * EPS * mean
    bias = Bounded(mean - law.kl, error + law.kl_error)
    first, constant = (
        tuple(int(k == 0) for k in range(moments.value.ndim)),
        (0,) * moments.value.ndim,
    )
    polynomial = {first: law.kl, constant: -0.5 * variance.value, **dict.fromkeys(squares, 0.5)}
    relative = {first: law.kl_error, constant: 0.5 * variance.error}
    return exact_theory(bias, mean, _moments(polynomial, relative, moments), POWERS)


@np.errstate(over="ignore", invalid="ignore")
def _moments(
    polynomial: dict[joint.Index, float], errors: dict[joint.Index, float], moments: Moments
) -> Moments:
    """The moments to the fourth order of a polynomial whose mean is 0, from joint moments."""
    value, error, infinite = np.zeros(5), np.zeros(5), np.zeros(5, bool)
    exponents = np.array([*polynomial], dtype=np.intp)
    coefficients = np.array([*polynomial.values()])
    of_terms = np.array([errors.get(term, 0.0) for term in polynomial])
    for power in (2, 3, 4):
        terms, times = _products(len(polynomial), power)
        sizes = np.abs(coefficients[terms])
        factor = times * coefficients[terms].prod(axis=1)
        spread = times * sum(
            of_terms[terms[:, i]] * np.delete(sizes, i, axis=1).prod(axis=1) for i in range(power)
        )
        at = tuple(exponents[terms].sum(axis=1).T)
        moment, moment_error = moments.value[at], moments.error[at]
        finite = ~np.isinf(moment)
        infinite[power] = bool((factor[~finite] != 0.0).any())
        factor, spread, moment = factor[finite], spread[finite], moment[finite]
        size = np.abs(moment)
        value[power] = (factor * moment).sum()
        error[power] = (np.abs(factor) * (moment_error[finite] + 8.0 * EPS * size)).sum()
        error[power] += (spread * size).sum()
    return settled(value, error, infinite)


@lru_cache(maxsize=16)
def _products(terms: int, power: int) -> tuple[NDArray[np.intp], Vector]:
    """The products in a power of a sum, by the numbers of their terms, and how often each is."""
    products = [*itertools.combinations_with_replacement(range(terms), power)]
    repeats = (math.prod(math.factorial(p.count(i)) for i in set(p)) for p in products)
    times = np.array([math.factorial(power) / r for r in repeats])
    return np.array(products, dtype=np.intp), times
