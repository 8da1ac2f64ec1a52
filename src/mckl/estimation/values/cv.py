"""The joint moments of k3 and its control variate r - 1, or of their sums over factors.

`mckl.estimation.values.regression` fits the coefficient of the control variate.
"""

from __future__ import annotations

import math

from mckl.estimation.values import regression
from mckl.estimation.values.base import Limit
from mckl.exact import joint
from mckl.exact.law import Law
from mckl.exact.moments import ELL, K3, RATIO, Function, Moments


def moments(law: Law, paired: bool, order: int, slope: float, rest: float) -> Moments:
    """The joint central moments of r - 1 and k3 - slope (r - 1)."""
    block = law.block(paired, order, slope, rest)
    return Moments(block.value[:, 0], block.error[:, 0]) if paired else block


def moments_by_factor(law: Law, paired: bool, order: int, slope: float, rest: float) -> Moments:
    """The joint central moments of the sums of r_i - 1 and of k3_i - slope (r_i - 1)."""
    kappa = law.sums((RATIO, Function("k3", slope, rest)), paired, order)
    return joint.central_moments(kappa, 2)


def limit_by_factor(law: Law) -> Limit | None:
    """cv-factor's estimate as a mean with the coefficient's limit."""
    if law.missed_mass or not (law.is_finite(0, 2) and law.is_finite(-4)):
        return None
    residual = regression.Residual(law, False, moments_by_factor)
    if not math.isfinite(residual.spread.value):
        return None
    if residual.spread.value == 0.0:
        return Limit("ell")
    ell, k3 = (law.sums((function,), False, 2).at(2).value for function in (ELL, K3))
    slope = residual.slope if k3 < ell else -residual.rest
    # Rounded so that it is equal in every dimension; fitted coefficients vary far more than that.
    slope = float(f"{slope:.9g}")
    return Limit(
        "k3" if k3 < ell else "ell", slope, residual(2, 2), residual.spread.value, residual(4, 0)
    )
