"""The estimator cv-factor: the mean of l with the control variate sum (r_i - 1) over factors i.

One coefficient is fitted on the same samples (`mckl.estimation.values.regression`). The exact mean
of the sum is 0, as is that of r - 1 for the whole sample, but its variance does not explode.
"""

from __future__ import annotations

import math

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.values import regression
from mckl.estimation.values.base import Limit
from mckl.exact import joint
from mckl.exact.law import Law


def _moments(law: Law, paired: bool) -> Vector:
    """The joint central moments to the fourth order, as `regression.Moments` defines them."""
    of_ell, of_k3 = (law.sums((name, "ratio"), paired) for name in ("ell", "k3"))
    if of_ell[2, 0] == 0.0:  # l is constant
        return np.zeros((6, 6))
    kappa = of_k3 if of_k3[2, 0] < of_ell[2, 0] else of_ell
    mu = joint.central_moments(kappa, 2)
    mu[~np.isfinite(mu)] = math.inf
    out = np.full((6, 6), math.nan)
    out[:5, :5] = mu
    return out


def _limit(law: Law) -> Limit | None:
    """The estimate as a mean with the coefficient's limit."""
    mu = _moments(law, False)
    if law.missed_mass or not (math.isfinite(mu[2, 0]) and math.isfinite(mu[0, 4])):
        return None
    if mu[0, 2] == 0.0:
        return Limit("ell")
    of = regression.Residual(mu)
    ell, k3 = (law.sums((name,), False, 2)[2] for name in ("ell", "k3"))
    # Rounded so that it is equal in every dimension; fitted coefficients vary far more than that.
    slope = float(f"{of.slope:.9g}")
    return Limit("k3" if k3 < ell else "ell", slope, of(2, 2), of.spread, of(4, 0))


CV_FACTOR = regression.estimator(
    "cv-factor",
    regression.Control("factor_ratio", "factor_k3"),
    _moments,
    sums=("ratio", "k3"),
    limit=_limit,
)
