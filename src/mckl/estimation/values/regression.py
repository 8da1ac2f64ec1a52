"""The intercept of the regression of l on a control variate x, whose exact mean is 0.

The coefficient is fitted on the same samples by least squares. So the estimate is the intercept,
and its standard error is that of the intercept (Owen, "Monte Carlo theory, methods and examples",
2013, chapter 8). x is r - 1, and l + x is k3's integrand; or both are sums over factors. l and
l + x have the same intercept, so the one that varies less is used, and the residual loses no
digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.running import RunningMoments
from mckl.estimation.values.base import (
    DIVERGENT,
    NO_MEAN,
    POWERS,
    TOO_LARGE,
    Estimator,
    UnitTheory,
    is_nothing,
    normal_from_moments,
    unknown,
)
from mckl.exact.law import Law
from mckl.exact.moments import LARGEST_ERROR, Bounded, Moments

# The leading order is used if the absolute values of the next terms add up to at most this share
# of it. theory.md, section 3, says how large its error then is.
_MOST_NEXT_ORDER = 0.2
TWO_VALUES = (
    "l is a linear function of p/q, as where it has two values: the estimate is KL once both have "
    "been drawn, and may be anything before"
)
_SLOWLY = "E r^4 is infinite: the leading order holds in the end, but too late to say when"
# A bias of 0.22 standard errors costs a 95 % interval 0.006 of its coverage.
_SQUARED_BIASES = 20.0
# A function (law, paired, order, slope, 1 - slope) -> the joint central moments of one unit: entry
# [i, j] is that of x^i y^j, where y is k3 less slope x, less its mean.
JointMoments = Callable[[Law, bool, int, float, float], Moments]


class Control(NamedTuple):
    """The names of the integrands x and l + x."""

    x: str
    sum_with_x: str


def products(control: Control) -> tuple[tuple[str, str], ...]:
    """The products of integrands that `estimate` needs."""
    x, sum_with_x = control
    return (("ell", "ell"), (sum_with_x, sum_with_x), (x, x), ("ell", x), (sum_with_x, x))


def estimate(moments: RunningMoments, control: Control) -> tuple[Vector, Vector]:
    """The intercept, in nats, and its estimated variance, both of shape (rows,)."""
    x, sum_with_x = control
    steadier = moments.comoment(sum_with_x, sum_with_x) < moments.comoment("ell", "ell")
    mean = np.where(steadier, moments.mean(sum_with_x), moments.mean("ell"))
    total = np.where(
        steadier, moments.comoment(sum_with_x, sum_with_x), moments.comoment("ell", "ell")
    )
    cross = np.where(steadier, moments.comoment(sum_with_x, x), moments.comoment("ell", x))
    spread = moments.comoment(x, x)
    # If x is constant (one unit, or every r underflows), nothing can be fitted, and k1 is used.
    fits = spread > 0
    slope = np.divide(cross, spread, out=np.zeros_like(cross), where=fits)
    mean_x = moments.mean(x)
    intercept = np.where(fits, mean - slope * mean_x, moments.mean("ell"))
    degrees = moments.units - 2
    residual = np.maximum(total - slope * cross, 0.0) / np.where(
        np.greater(degrees, 0), degrees, math.nan
    )
    leverage = np.divide(mean_x**2, spread, out=np.zeros_like(spread), where=fits)
    return intercept, residual * (1.0 / moments.units + leverage)


def summand(moments: RunningMoments, control: Control) -> Mapping[str, float]:
    """The coefficients of l, or of l + x, and x in the residual, chosen as in `estimate`."""
    x, sum_with_x = control
    steadier = moments.comoment(sum_with_x, sum_with_x)[0] < moments.comoment("ell", "ell")[0]
    integrand, spread = sum_with_x if steadier else "ell", moments.comoment(x, x)[0]
    slope = moments.comoment(integrand, x)[0] / spread if spread > 0 else 0.0
    return {integrand: 1.0, x: -float(slope)}


class Residual:
    """The joint moments of u = x / sd(x) and of the residual e of l regressed on x.

    With y = k3 - x, which is l less its mean, 1 - slope is -E x y / E x^2, and the slope of k3 on x
    is that of k3 itself: no digit of either is lost. Then e is averaged as k3 less slope x.

    Parameters
    ----------
    law, paired
        The law of l, and whether units are antithetic pairs.
    moments
        The joint moments of one unit.
    """

    slope: float
    rest: float

    def __init__(self, law: Law, paired: bool, moments: JointMoments) -> None:
        whole, less = (moments(law, paired, 2, slope, 1.0 - slope) for slope in (0.0, 1.0))
        self.total: Bounded = whole.at(0, 2)
        self.spread: Bounded = whole.at(2, 0)
        self.slope, self.rest = 0.0, 1.0
        spread = self.spread.value
        if math.isfinite(spread) and spread > 0.0:
            ways = whole.at(1, 1), less.at(1, 1)
            rest = -ways[1].value / spread
            slope = ways[0].value / spread
            if abs(slope) > abs(rest):
                self.slope, self.rest = 1.0 - rest, rest
            else:
                self.slope, self.rest = slope, 1.0 - slope
        self._moments = moments(law, paired, 4, self.slope, self.rest)

    def __call__(self, i: int, j: int) -> float:
        """E u^i e^j; inf where it is infinite, NaN where it is not known."""
        return self._of_units(float(self._moments.value[i, j]), i)

    def bound(self, i: int, j: int) -> float:
        """A bound on the error of E u^i e^j."""
        share = 0.5 * i * self.spread.relative * abs(float(self._moments.value[i, j]))
        return self._of_units(float(self._moments.error[i, j]) + share, i)

    def _of_units(self, value: float, power: int) -> float:
        """A value over a power of sd(x), step by step, since the power may overflow."""
        sd = math.sqrt(self.spread.value)
        for _ in range(power):
            value = value / sd if sd else math.nan
        return value

    @property
    def variance(self) -> Bounded:
        """Var e, or 0 where l is a linear function of r up to rounding."""
        second = self._moments.at(0, 2)
        nothing = is_nothing(second, math.sqrt(max(self.total.value, 0.0)))
        return Bounded(0.0, 0.0) if nothing else second


@np.errstate(over="ignore", invalid="ignore")
def theory(law: Law, paired: bool, moments: JointMoments) -> UnitTheory:
    """The variance per unit, Var e, the bias -E[u^2 e] / N, and the N from which on they hold.

    The next terms of the estimate's expansion in 1/N (theory.md, section 3) are

        variance  -E u^2 e^2 + 3 (E u^2 e)^2 + 2 Var e + 2 E u^3 E u e^2,  over N^2
        bias      E u^4 e - (E u^4 + 3) E u^2 e - 2 E u^3 E u^3 e,         over N^2

    and the expansion needs the sample variance of u close to 1: its variance is (E u^4 - 1) / N.
    """
    if law.is_finite(0, 2) and law.ell(2, paired).value[2] == 0.0:
        return UnitTheory(0.0, 0.0, 0.0, 0.0)  # every unit is KL, and so is the intercept
    if law.missed_mass:
        return unknown(
            f"q is 0 where p has a probability of {law.missed_mass:.6g}, so that E r is not 1: "
            "r - 1 is no control variate, and biases the estimate"
        )
    if not law.is_finite(0, 2):
        return unknown(POWERS)
    if not law.ratio_variance_finite:
        # The coefficient tends to 0 and the variance to that of k1, but so slowly that this limit
        # says nothing about any number of samples that one can draw.
        return unknown(DIVERGENT)
    residual = Residual(law, paired, moments)
    if math.isnan(residual.spread.value):
        known = math.isfinite(law.kl_error)
        return unknown(f"the variance of p/q is {TOO_LARGE}" if known else NO_MEAN)
    variance = residual.variance
    if variance.value == 0.0:  # the next orders vanish as well, and what is left is not in 1/N
        return unknown(TWO_VALUES)
    if not variance.relative <= LARGEST_ERROR:
        return unknown(
            f"the integral of the variance is only known to {variance.relative:.1g} of it"
        )
    var_e, u2e, third, fourth = variance.value, residual(2, 1), residual(3, 0), residual(4, 0)
    of_bias_error = residual.bound(2, 1) / math.hypot(math.sqrt(var_e), u2e)
    if not of_bias_error <= LARGEST_ERROR:
        u2e = math.nan
    of_variance = (
        residual(2, 2), 3.0 * u2e * u2e, 2.0 * var_e, 2.0 * third * residual(1, 2),
        (fourth - 1.0) * var_e,
    )  # fmt: skip
    # Instead of E u^4 e, which may vanish by chance though later terms do not, a bound of its size.
    size = fourth * math.sqrt(max(residual(2, 2), 0.0))
    of_bias = (
        size,
        (fourth + 3.0) * u2e,
        2.0 * third * residual(3, 1),
    )
    least = _settled(of_variance, var_e)
    return UnitTheory(
        0.0,
        var_e,
        math.nan,
        math.nan,
        bias_times_n=-u2e if math.isfinite(u2e) else math.nan,
        kind="asymptotic",
        reason=None if law.is_finite(-4) else _SLOWLY,
        least_units=least,
        least_units_of_bias=max(least, _settled(of_bias, u2e)),
        relative_error=max(variance.relative, of_bias_error if math.isfinite(u2e) else 0.0),
    )


def _settled(following: tuple[float, ...], leading: float) -> float:
    """The number of units from which on the next order is small relative to the leading one."""
    total = sum(abs(term) for term in following)
    if not (math.isfinite(total) and leading != 0.0):
        return math.inf
    return total / (_MOST_NEXT_ORDER * abs(leading))


@np.errstate(over="ignore", invalid="ignore")
def normal_from(law: Law, paired: bool, unit: UnitTheory, moments: JointMoments) -> float:
    """`Estimator.normal_from`, by the skewness of the residual and the bias in standard errors."""
    if unit.kind == "none" or unit.variance == 0.0:
        return math.inf if unit.kind == "none" else 0.0
    residual = Residual(law, paired, moments)
    third, fourth = residual(0, 3), residual(0, 4)
    biases = unit.bias_times_n / math.sqrt(unit.variance)
    if not math.isfinite(third) or not math.isfinite(biases):
        return math.inf
    sd = math.sqrt(unit.variance)  # one by one, since a power of it may overflow
    skewness = third / unit.variance / sd
    kurtosis = fourth / unit.variance / unit.variance - 3.0
    least = normal_from_moments(skewness, kurtosis) + _SQUARED_BIASES * biases * biases
    return max(least, unit.least_units)


def estimator(name: str, control: Control, moments: JointMoments, **properties: Any) -> Estimator:
    """The estimator that is this intercept; `properties` are further fields."""
    return Estimator(
        name=name,
        products=products(control),
        estimate=partial(estimate, control=control),
        parameters=2,
        theory=partial(theory, moments=moments),
        summand=partial(summand, control=control),
        normal_from=partial(normal_from, moments=moments),
        uses_ratio=True,
        weakness="fits its coefficient on a heavy tail",
        **properties,
    )
