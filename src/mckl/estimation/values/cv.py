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
from mckl.estimation.values.base import (
    Estimator,
    UnitTheory,
    normal_from_moments,
    over_unit,
    why_infinite,
)
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
# The leading order is given from where what follows it, signs aside, adds up to at most so much
# of it. How far off it then is, docs/theory.md, section 3, says.
_SETTLED = 0.2
_SLOWLY = "E r^4 is infinite: the leading order settles, but too slowly to say where"


@np.errstate(over="ignore", invalid="ignore")
def _theory(law: Law, paired: bool) -> UnitTheory:
    """Variance Var e per unit and bias -E[u^2 e] over N, and from which N they hold.

    Here x = r - 1, u = x / sd(x), and e is the residual of l regressed on x. Of the expansion of
    the estimate in 1/N (docs/theory.md, section 3) the next terms are

        variance  -E u^2 e^2 + 3 (E u^2 e)^2 + 2 Var e + 2 E u^3 E u e^2,  over N^2
        bias      E u^4 e - (E u^4 + 3) E u^2 e - 2 E u^3 E u^3 e,         over N^2

    and the expansion needs the sample variance of u close to 1: its variance is (E u^4 - 1) / N.
    """
    mean = law.expectation
    if law.missed_mass:
        return _unknown(
            f"q is 0 where p is not, so that E r is {1.0 - law.missed_mass:.6g} and not 1: "
            "r - 1 is no control variate, and biases the estimate"
        )
    ell = over_unit(law.ell, paired)
    ratio = over_unit(law.ratio_minus_one, paired)
    centred = add(ell, constant(law.kl), -1.0)
    variance = mean(multiply(centred, centred))
    if variance == 0.0:  # every unit is KL, and so is the intercept
        return UnitTheory(0.0, 0.0, 0.0, 0.0)
    if not math.isfinite(variance):
        return _unknown(why_infinite(law, multiply(centred, centred)))
    spread = mean(multiply(ratio, ratio))
    if not math.isfinite(spread):
        # The coefficient tends to 0 and the variance to k1's, but so slowly that this limit
        # forecasts nothing at any number of samples that one can draw.
        return _unknown(why_infinite(law, multiply(ratio, ratio)))
    if law.kl > _MOST_KL:
        return _unknown("KL is so large that rounding leaves no digits of the moments of r")
    if (0, 0) in ratio and len(ratio) == 1:  # a Taylor polynomial: l is small, start from k3
        centred = add(centred, ratio)
    slope = mean(multiply(centred, ratio)) / spread
    e = add(centred, ratio, -slope)
    u = multiply(constant(1.0 / math.sqrt(spread)), ratio)
    u2, ue, e2 = multiply(u, u), multiply(u, e), multiply(e, e)
    var_e, u2e = mean(e2), mean(multiply(u, ue))
    third, fourth = mean(multiply(u2, u)), mean(multiply(u2, u2))
    u2e2 = mean(multiply(u2, e2))
    of_variance = (
        u2e2, 3.0 * u2e * u2e, 2.0 * var_e, 2.0 * third * mean(multiply(u, e2)),
        (fourth - 1.0) * var_e,
    )  # fmt: skip
    # E u^4 e may vanish by chance although later terms do not: use a bound of its size.
    size = fourth * math.sqrt(max(u2e2, 0.0))
    of_bias = (
        max(abs(mean(multiply(multiply(u2, u), ue))), size),
        (fourth + 3.0) * u2e,
        2.0 * third * mean(multiply(u2, ue)),
    )
    least = _settled(of_variance, var_e)
    return UnitTheory(
        0.0,
        max(var_e, 0.0),
        math.nan,
        math.nan,
        bias_times_n=-u2e if math.isfinite(u2e) else math.nan,
        kind="asymptotic",
        reason=None if law.is_finite((-4, -4)) else _SLOWLY,
        least_units=least,
        least_units_of_bias=max(least, _settled(of_bias, u2e)),
    )


def _settled(following: tuple[float, ...], leading: float) -> float:
    """The number of units from which the following order is small beside the leading one."""
    total = sum(abs(term) for term in following)
    if not (math.isfinite(total) and leading != 0.0):
        return math.inf
    return total / (_SETTLED * abs(leading))


def _unknown(reason: str) -> UnitTheory:
    return UnitTheory(math.nan, math.nan, math.nan, math.nan, kind="none", reason=reason)


def _summand(moments: RunningMoments) -> dict[str, float]:
    """The residual of the regression, with the integrand that varies less, as in `_estimate`."""
    steadier = moments.comoment("k3", "k3")[0] < moments.comoment("ell", "ell")[0]
    integrand, spread = "k3" if steadier else "ell", moments.comoment("ratio", "ratio")[0]
    slope = moments.comoment(integrand, "ratio")[0] / spread if spread > 0 else 0.0
    return {integrand: 1.0, "ratio": -float(slope)}


# A bias of 0.22 standard errors costs a 95 % interval 0.006 of its coverage.
_SQUARED_BIASES = 20.0


@np.errstate(over="ignore", invalid="ignore")
def _normal_from(law: Law, paired: bool, unit: UnitTheory) -> float:
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
    uses_ratio=True,
    weakness="fits its coefficient on a heavy tail",
)
