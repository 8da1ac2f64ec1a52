"""cv: l with the control variate r - 1, whose mean is known to be 0.

The coefficient is fitted on the same samples by least squares, so the estimate is the
intercept of the regression of l on r - 1, and its standard error is the intercept's
(Owen, "Monte Carlo theory, methods and examples", 2013, chapter 8).
"""

from __future__ import annotations

import math

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.running import RunningMoments
from mckl.estimation.values.base import DIVERGENT, TOO_LARGE, Estimator, UnitTheory, over_unit
from mckl.exact.law import Law, add, constant, multiply


def _estimate(moments: RunningMoments) -> tuple[Vector, Vector]:
    # k1's and k3's integrands differ by r - 1 itself, so regressing either gives the same
    # intercept; the one that varies less leaves the residual without cancellation.
    steadier = moments.comoment("k3", "k3") < moments.comoment("ell", "ell")
    mean = np.where(steadier, moments.mean("k3"), moments.mean("ell"))
    total = np.where(steadier, moments.comoment("k3", "k3"), moments.comoment("ell", "ell"))
    cross = np.where(steadier, moments.comoment("k3", "ratio"), moments.comoment("ell", "ratio"))
    spread = moments.comoment("ratio", "ratio")
    # With no spread at all (one unit, or every r underflowed) nothing can be fitted: k1.
    fits = spread > 0
    slope = np.divide(cross, spread, out=np.zeros_like(cross), where=fits)
    mean_ratio = moments.mean("ratio")
    estimate = np.where(fits, mean - slope * mean_ratio, moments.mean("ell"))
    degrees = moments.units - 2
    residual = np.maximum(total - slope * cross, 0.0) / (degrees if degrees > 0 else math.nan)
    leverage = np.divide(mean_ratio**2, spread, out=np.zeros_like(spread), where=fits)
    return estimate, residual * (1.0 / moments.units + leverage)


# The moments of r are exponentials of differences of terms as large as KL.
_MOST_KL = 1e9


@np.errstate(over="ignore", invalid="ignore")
def _theory(law: Law, paired: bool) -> UnitTheory:
    """Variance V - Cov(l, r)^2 / Var r per unit, and the bias to first order in 1/N.

    The fitted slope errs by about sum (r - 1) e / (N Var r), with e the residual; times the
    mean of r - 1 that is a bias of -E[(r - 1)^2 e] / Var r, over N.
    """
    ell = over_unit(law.ell, paired)
    ratio = over_unit(law.ratio_minus_one, paired)
    centred = add(ell, constant(law.kl), -1.0)
    variance = law.expectation(multiply(centred, centred))
    spread = law.expectation(multiply(ratio, ratio))
    if variance == 0.0 and spread == 0.0:
        return UnitTheory(0.0, 0.0, 0.0, 0.0)
    if not math.isfinite(spread):
        # The coefficient tends to 0 and the variance to k1's, but so slowly that this limit
        # forecasts nothing at any number of samples that one can draw.
        reason = TOO_LARGE if law.is_finite((-2, -2)) else DIVERGENT
        return UnitTheory(math.nan, math.nan, math.nan, math.nan, kind="none", reason=reason)
    if law.kl > _MOST_KL:
        reason = "KL is so large that rounding leaves no digits of the moments of r"
        return UnitTheory(math.nan, math.nan, math.nan, math.nan, kind="none", reason=reason)
    if (0, 0) in ratio and len(ratio) == 1:  # a Taylor polynomial: l is small, start from k3
        centred = add(centred, ratio)
    slope = law.expectation(multiply(centred, ratio)) / spread
    residual = add(centred, ratio, -slope)
    bias = -law.expectation(multiply(multiply(ratio, ratio), residual)) / spread
    return UnitTheory(
        0.0,
        max(law.expectation(multiply(residual, residual)), 0.0),
        math.nan,
        math.nan,
        bias_times_n=bias if math.isfinite(bias) else math.nan,
        kind="asymptotic",
        least_units=max(spread, 64.0),  # where a mean of r - 1 is off by 1, nothing is fitted
    )


CV = Estimator(
    name="cv",
    products=(
        ("ell", "ell"),
        ("k3", "k3"),
        ("ratio", "ratio"),
        ("ell", "ratio"),
        ("k3", "ratio"),
    ),
    estimate=_estimate,
    parameters=2,
    theory=_theory,
)
