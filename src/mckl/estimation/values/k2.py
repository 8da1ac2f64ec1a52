"""The exact theory of k2, the mean of l^2 / 2.

With c = l - KL, the square less its mean is KL c + (c^2 - Var l) / 2, so that nothing cancels where
KL is large.
"""

import itertools
import math

import numpy as np

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
    mean = 0.5 * (variance.value + law.kl**2)
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
    for power in (2, 3, 4):
        for terms in itertools.combinations_with_replacement(polynomial, power):
            times = math.factorial(power)
            for term in set(terms):
                times //= math.factorial(terms.count(term))
            factor = times * math.prod(polynomial[term] for term in terms)
            spread = sum(
                times * errors.get(term, 0.0) * math.prod(
                    abs(polynomial[other]) for j, other in enumerate(terms) if j != i
                )
                for i, term in enumerate(terms)
            )  # fmt: skip
            moment = moments.at(*(sum(index) for index in zip(*terms, strict=True)))
            if math.isinf(moment.value):
                infinite[power] |= factor != 0.0
            else:
                value[power] += factor * moment.value
                error[power] += abs(factor) * (moment.error + 8.0 * EPS * abs(moment.value))
                error[power] += spread * abs(moment.value)
    return settled(value, error, infinite)
