"""Converts joint cumulants of several random variables to joint moments, and back.

Both are `mckl.exact.moments.Moments`. Entries whose total order exceeds len - 1 are 0.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import add
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact.moments import EPS, Moments, settled

Index = tuple[int, ...]
Polynomial = Mapping[Index, float]  # the coefficient of each product of powers of the variables


@lru_cache(maxsize=64)
def indices(variables: int, order: int) -> Sequence[Index]:
    """All indices of total order 0 to `order`, in ascending order."""
    every = itertools.product(range(order + 1), repeat=variables)
    return tuple(sorted((i for i in every if sum(i) <= order), key=sum))


def firsts(variables: int) -> list[Index]:
    """The indices of order 1, one a variable."""
    return [tuple(int(k == axis) for k in range(variables)) for axis in range(variables)]


@lru_cache(maxsize=512)  # each product is that of one power less times a sum
def power_product(sums: tuple[tuple[Index, ...], ...], powers: Index) -> Polynomial:
    """The product of powers of sums of monomials in the same variables."""
    if not any(powers):
        return {(0,) * len(sums[0][0]): 1.0}
    last = max(i for i, power in enumerate(powers) if power)
    lower = tuple(power - (i == last) for i, power in enumerate(powers))
    return polynomial_product(power_product(sums, lower), dict.fromkeys(sums[last], 1.0))


def polynomial_product(f: Polynomial, g: Polynomial) -> Polynomial:
    """The product of two polynomials in the same variables."""
    out: defaultdict[Index, float] = defaultdict(float)
    for (i, times), (j, by) in itertools.product(f.items(), g.items()):
        out[tuple(map(add, i, j))] += times * by
    return out


def cumulants(moments: Moments, variables: int) -> Moments:
    """The joint cumulants from order 2 on, from joint central moments; those of order 1 are 0.

    One chosen variable e of a product is in a cumulant with some of the others, J, and the rest
    form a moment of a lower order:

        moment[I + e] = sum over J <= I of binomial(I, J) cumulant[J + e] moment[I - J].
    """
    return _solved(moments, variables, to_moments=False, centred=True)


def central_moments(kappa: Moments, variables: int) -> Moments:
    """The joint central moments from joint cumulants; cumulants of order 1 are not used."""
    return _solved(kappa, variables, to_moments=True, centred=True)


def centered(moments: Moments, variables: int) -> Moments:
    """The joint central moments from joint moments that are not central."""
    kappa = _solved(moments, variables, to_moments=False, centred=False)
    return central_moments(kappa, variables)


def plain_moments(kappa: Moments, variables: int) -> Moments:
    """The joint moments, not central ones, from joint cumulants; those of order 1 are the means."""
    return _solved(kappa, variables, to_moments=True, centred=False)


class _Formula(NamedTuple):
    """The lower terms of one moment or cumulant, by positions in flat arrays of these.

    position  that of the moment and of the cumulant itself
    kappa     those of the terms' cumulants
    mu        those of the terms' moments
    times     the terms' coefficients, shape (terms, 1)
    """

    position: int
    kappa: NDArray[np.intp]
    mu: NDArray[np.intp]
    times: Vector


@lru_cache(maxsize=64)
def _formulas(variables: int, order: int, centred: bool) -> list[_Formula]:
    """The formula of every index, in ascending order.

    If `centred`, terms with a cumulant or moment of order 1 are left out, as these are 0.
    """
    out, strides = [], (order + 1) ** np.arange(variables)[::-1]

    def positions(some: Sequence[Index]) -> NDArray[np.intp]:
        return np.array(some, dtype=np.intp).reshape(-1, variables) @ strides

    for index in indices(variables, order):
        if sum(index) < 1 + centred:
            continue
        axis = next(i for i, power in enumerate(index) if power)
        chosen = tuple(power - (i == axis) for i, power in enumerate(index))
        parts = [
            part
            for part in itertools.product(*(range(power + 1) for power in chosen))
            if centred <= sum(part) <= sum(chosen) - 1 - centred
        ]
        with_chosen = [tuple(a + (i == axis) for i, a in enumerate(part)) for part in parts]
        rests = [tuple(a - b for a, b in zip(chosen, part, strict=True)) for part in parts]
        times = np.array([float(math.prod(map(math.comb, chosen, part))) for part in parts])
        position = int(index @ strides)
        out.append(_Formula(position, positions(with_chosen), positions(rests), times[:, None]))
    return out


@np.errstate(invalid="ignore", over="ignore")
def _solved(given: Moments, variables: int, to_moments: bool, centred: bool) -> Moments:
    shape, order = given.value.shape, len(given.value) - 1
    known, known_error = (x.reshape((order + 1) ** variables, -1) for x in given)
    kappa, mu, kappa_error, mu_error = (np.zeros_like(known) for _ in range(4))
    mu[0] = 1.0
    for k, of_kappa, of_mu, times in _formulas(variables, order, centred):
        (kappa if to_moments else mu)[k] = known[k]
        (kappa_error if to_moments else mu_error)[k] = known_error[k]
        solved, error = known[k], known_error[k]
        if times.size:
            a, a_error = kappa[of_kappa], kappa_error[of_kappa]
            b, b_error = mu[of_mu], mu_error[of_mu]
            terms = times * a * b
            lower = terms.sum(axis=0)
            errors = np.abs(a) * b_error + a_error * (np.abs(b) + b_error)
            # Two products and the sum, whose roundings are at most half an EPS each.
            rounding = EPS * (1.5 + 0.5 * len(times)) * np.abs(terms)
            error = error + (times * errors + rounding).sum(axis=0)
            solved = solved + (lower if to_moments else -lower)
        (mu if to_moments else kappa)[k] = solved
        (mu_error if to_moments else kappa_error)[k] = error + EPS * np.abs(solved)
    value, error = (mu, mu_error) if to_moments else (kappa, kappa_error)
    return settled(value.reshape(shape), error.reshape(shape), np.isinf(given.value))
