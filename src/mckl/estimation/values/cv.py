"""The estimator cv: the mean of l with the control variate r - 1, whose exact mean is 0.

The coefficient is fitted on the same samples (`mckl.estimation.values.regression`).
"""

from __future__ import annotations

import math

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.values import regression
from mckl.exact import joint
from mckl.exact.law import Law, add, constant, multiply, over_unit

_ORDER = 5


def _moments(law: Law, paired: bool) -> Vector:
    """The joint central moments of (l, r - 1), shape (order + 1, order + 1)."""
    x = over_unit(law.ratio_minus_one, paired)
    y = add(over_unit(law.ell, paired), constant(law.kl), -1.0)
    if law.expectation(multiply(y, y)) == 0.0:  # l is constant
        return np.zeros((_ORDER + 1, _ORDER + 1))
    if (0, 0) in x and len(x) == 1:  # x is a Taylor polynomial, so l is small: use k3 for l
        y = add(y, x)
    powers = [[constant(1.0)], [constant(1.0)]]
    for known, f in zip(powers, (y, x), strict=True):
        for _ in range(_ORDER):
            known.append(multiply(known[-1], f))
    mu = np.full((_ORDER + 1, _ORDER + 1), math.nan)
    for i, j in joint.indices(2, _ORDER):
        # Of the fifth order only E u^4 e is needed.
        if i + j < _ORDER or i < 2:
            mu[i, j] = law.expectation(multiply(powers[0][i], powers[1][j]))
    return mu


CV = regression.estimator("cv", regression.Control("ratio", "k3"), _moments)
