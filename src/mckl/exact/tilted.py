"""Joint moments of r and k3 of whole samples from cumulants under laws tilted by powers of r.

With x = l - KL and m = E r, the variables of `mckl.exact.independent_blocks` are

    R = r - m,   y = x + (1 - slope) R,

or, for the values r and r' of an antithetic pair and x the mean of l - KL over it,

    M = (r + r') / 2 - m,   D = (r - r') / 2,   y = x + (1 - slope) M.

So their joint moments are sums of E r^a r'^b x^j, which is E r^a r'^b times a moment of x under the
law tilted by r^a r'^b. Where q is near p these terms nearly cancel, and the bounds say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mckl.exact import joint
from mckl.exact.moments import EPS, Bounded, Moments, moment_norm, settled


class Tilted(NamedTuple):
    """The law of x tilted by r^a r'^b.

    log        log E r^a r'^b; inf with a bound of 0 where that is infinite
    cumulants  of x under the tilted law, by order: entry 1 is its mean, and entry 0 is not used
    """

    log: Bounded
    cumulants: Moments

    def moments(self) -> Moments:
        """E r^a r'^b x^j for every order j."""
        (log, log_error), (kappa, kappa_error) = self
        if math.isinf(log) and log_error == 0.0:
            return Moments(np.full_like(kappa, math.inf), np.zeros_like(kappa))
        mu, error = joint.plain_moments(settled(kappa, kappa_error), 1)
        mass, relative = np.exp(log), np.expm1(log_error) + 2.0 * EPS
        return Moments(mass * mu, mass * (relative * np.abs(mu) + (1.0 + relative) * error))


class _Term(NamedTuple):
    """A multiple of r^a r'^b x^j (1 - slope)^rest m^mean."""

    times: float
    a: int
    b: int
    x: int
    rest: int
    mean: int


# Polynomials in r, r', x, 1 - slope and m, in the order of `_Term`.
_X: joint.Polynomial = {(0, 0, 1, 0, 0): 1.0}
_R: joint.Polynomial = {(1, 0, 0, 0, 0): 1.0, (0, 0, 0, 0, 1): -1.0}
_M: joint.Polynomial = {(1, 0, 0, 0, 0): 0.5, (0, 1, 0, 0, 0): 0.5, (0, 0, 0, 0, 1): -1.0}
_D: joint.Polynomial = {(1, 0, 0, 0, 0): 0.5, (0, 1, 0, 0, 0): -0.5}
_REST: joint.Polynomial = {(0, 0, 0, 1, 0): 1.0}


@lru_cache(maxsize=8)
def _terms(paired: bool, order: int) -> dict[joint.Index, list[_Term]]:
    """The terms of every moment from order 2 on that is not 0 by symmetry."""
    first = _M if paired else _R
    y = {**_X, **joint.polynomial_product(_REST, first)}
    variables = (first, _D, y) if paired else (first, y)
    constant = (0,) * len(variables)
    products: dict[joint.Index, joint.Polynomial] = {constant: {(0,) * 5: 1.0}}
    out = {}
    for index in joint.indices(len(variables), order):
        if index != constant:
            axis = next(i for i, power in enumerate(index) if power)
            lower = tuple(power - (i == axis) for i, power in enumerate(index))
            products[index] = joint.polynomial_product(products[lower], variables[axis])
        if sum(index) > 1 and not (paired and index[1] % 2):
            out[index] = [_Term(by, *powers) for powers, by in products[index].items() if by]
    return out


@np.errstate(over="ignore", invalid="ignore")
def joint_moments(
    laws: Mapping[tuple[int, int], Tilted], paired: bool, order: int, rest: float, mean: Bounded
) -> Moments:
    """The joint moments of (R, y), or of (M, D, y) if paired.

    laws    The law tilted by r^a r'^b, with cumulants up to the order - a - b at least, for all a
            and b with a + b <= order; b is 0 unless paired.
    paired  Whether they are moments of an antithetic pair.
    order   The largest total order.
    rest    1 - slope.
    mean    E r.
    """
    moments = {powers: law.moments() for powers, law in laws.items()}
    value, error = np.zeros((2,) + (order + 1,) * (3 if paired else 2))
    infinite = np.zeros(value.shape, bool)
    for index, terms in _terms(paired, order).items():
        for term in terms:
            times = term.times * rest**term.rest * mean.value**term.mean
            if times == 0.0:
                continue
            moment, bound = moments[term.a, term.b].at(term.x)
            infinite[index] |= math.isinf(moment) and bound == 0.0
            rounding = EPS * (4.0 + 0.5 * len(terms)) + term.mean * mean.relative
            value[index] += times * moment
            error[index] += abs(times) * (bound + rounding * abs(moment))
    value[(0,) * value.ndim] = 1.0
    return settled(value, error, infinite)


def is_coarse(moments: Moments, n: int, target: float) -> bool:
    """Whether joint moments of order n that do not overflow have larger bounds than `target`.

    Bounds are relative to the products of the sizes of the variables. D is only of use next to M,
    and counts as no smaller.
    """
    variables, order = moments.value.ndim, len(moments.value) - 1
    sizes = [moment_norm(moments.value[(0,) * k + (slice(None),) + (0,) * (variables - 1 - k)], n)
             for k in range(variables)]  # fmt: skip
    if variables == 3:
        sizes[1] = max(sizes[:2])
    return any(
        moments.error[index] > target * math.prod(s**i for s, i in zip(sizes, index, strict=True))
        for index in joint.indices(variables, order)
        if sum(index) == n
    )
