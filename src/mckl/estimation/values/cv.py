"""cv: l with the control variate r - 1, whose mean is known to be 0.

The coefficient is fitted on the same samples by least squares, so the estimate is the
intercept of the regression of l on r - 1, and its standard error is the intercept's
(Owen, "Monte Carlo theory, methods and examples", 2013, chapter 8).
"""

from __future__ import annotations

import math

import numpy as np

from mckl.estimation.running import RunningMoments
from mckl.estimation.values.base import (
    DIVERGENT,
    TOO_LARGE,
    Estimator,
    UnitTheory,
    normal_from_moments,
    over_unit,
)
from mckl.exact.law import LogRatioLaw, add, constant, multiply
from mckl.families.normal import Vector


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
def _theory(law: LogRatioLaw, paired: bool) -> UnitTheory:
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
        reason = TOO_LARGE if law.is_finite(-2) else DIVERGENT
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


def _summand(moments: RunningMoments) -> dict[str, float]:
    """The residual of the regression, with the integrand that varies less, as in `_estimate`."""
    steadier = moments.comoment("k3", "k3")[0] < moments.comoment("ell", "ell")[0]
    integrand, spread = "k3" if steadier else "ell", moments.comoment("ratio", "ratio")[0]
    slope = moments.comoment(integrand, "ratio")[0] / spread if spread > 0 else 0.0
    return {integrand: 1.0, "ratio": -float(slope)}


# A bias of 0.22 standard errors costs a 95 % interval 0.006 of its coverage.
_SQUARED_BIASES = 20.0


@np.errstate(over="ignore", invalid="ignore")
def _normal_from(law: LogRatioLaw, paired: bool, unit: UnitTheory) -> float:
    """By the skewness of the residual, and by the bias beside the standard error."""
    if unit.kind == "none" or unit.variance == 0.0:
        return math.inf if unit.kind == "none" else 0.0
    ratio = over_unit(law.ratio_minus_one, paired)
    centred = add(over_unit(law.ell, paired), constant(law.kl), -1.0)
    if (0, 0) in ratio and len(ratio) == 1:  # as in `_theory`
        centred = add(centred, ratio)
    slope = law.expectation(multiply(centred, ratio)) / law.expectation(multiply(ratio, ratio))
    residual = add(centred, ratio, -slope)
    square = multiply(residual, residual)
    third = law.expectation(multiply(square, residual))
    fourth = law.expectation(multiply(square, square))
    biases = unit.bias_times_n / math.sqrt(unit.variance)
    if not math.isfinite(third) or not math.isfinite(biases):
        return math.inf
    skewness = third / unit.variance**1.5
    kurtosis = fourth / unit.variance**2 - 3.0
    least = normal_from_moments(skewness, kurtosis) + _SQUARED_BIASES * biases * biases
    return max(least, unit.least_units)


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
    summand=_summand,
    normal_from=_normal_from,
)
