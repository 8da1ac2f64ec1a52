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
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.running import RunningMoments
from mckl.estimation.values.base import (
    Estimator,
    UnitTheory,
    normal_from_moments,
    why_infinite_sum,
)
from mckl.exact.law import Law

# Moments of r are exponentials of differences of terms as large as KL, which lose digits beyond.
_MOST_KL = 1e9
# The leading order is used if the absolute values of the next terms add up to at most this share
# of it. docs/theory.md, section 3, says how large its error then is.
_SETTLED = 0.2
_SLOWLY = "E r^4 is infinite: the leading order holds in the end, but too late to say when"
# A bias of 0.22 standard errors costs a 95 % interval 0.006 of its coverage.
_SQUARED_BIASES = 20.0
# A function (law, paired) -> the joint central moments of one unit. Entry [i, j] is that of
# y^i x^j, where y is l or l + x. NaN where a moment is not known, inf where it is infinite.
Moments = Callable[[Law, bool], Vector]


class Control(NamedTuple):
    """The names of the integrands x and l + x."""

    x: str
    sum_with_x: str


def products(of: Control) -> tuple[tuple[str, str], ...]:
    """The products of integrands that `estimate` needs."""
    x, sum_with_x = of
    return (("ell", "ell"), (sum_with_x, sum_with_x), (x, x), ("ell", x), (sum_with_x, x))


def estimate(moments: RunningMoments, of: Control) -> tuple[Vector, Vector]:
    """The intercept, in nats, and its estimated variance, both of shape (rows,)."""
    x, sum_with_x = of
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
    residual = np.maximum(total - slope * cross, 0.0) / (degrees if degrees > 0 else math.nan)
    leverage = np.divide(mean_x**2, spread, out=np.zeros_like(spread), where=fits)
    return intercept, residual * (1.0 / moments.units + leverage)


def summand(moments: RunningMoments, of: Control) -> Mapping[str, float]:
    """The coefficients of l, or of l + x, and x in the residual, chosen as in `estimate`."""
    x, sum_with_x = of
    steadier = moments.comoment(sum_with_x, sum_with_x)[0] < moments.comoment("ell", "ell")[0]
    integrand, spread = sum_with_x if steadier else "ell", moments.comoment(x, x)[0]
    slope = moments.comoment(integrand, x)[0] / spread if spread > 0 else 0.0
    return {integrand: 1.0, x: -float(slope)}


class Residual:
    """The joint moments of u = x / sd(x) and of the residual e of y regressed on x.

    Parameters
    ----------
    mu
        The joint central moments of (y, x) of one unit, as `Moments` defines them.
    """

    def __init__(self, mu: Vector) -> None:
        self._mu = mu
        self.spread = float(mu[0, 2])
        self.slope = float(mu[1, 1]) / self.spread

    def __call__(self, i: int, j: int) -> float:
        """E u^i e^j; inf where it is infinite, NaN where it is not known."""
        terms = [
            math.comb(j, k) * (-self.slope) ** k * float(self._mu[j - k, i + k])
            for k in range(j + 1)
        ]
        if any(math.isinf(term) for term in terms):
            return math.inf
        size = self.spread ** (0.5 * i)
        return float(sum(terms)) / size if size else math.nan  # NaN if the size underflows

    @cached_property
    def variance(self) -> float:
        """Var e."""
        return max(self(0, 2), 0.0)


@np.errstate(over="ignore", invalid="ignore")
def theory(law: Law, paired: bool, moments: Moments) -> UnitTheory:
    """The variance per unit, Var e, the bias -E[u^2 e] / N, and the N from which on they hold.

    The next terms of the estimate's expansion in 1/N (docs/theory.md, section 3) are

        variance  -E u^2 e^2 + 3 (E u^2 e)^2 + 2 Var e + 2 E u^3 E u e^2,  over N^2
        bias      E u^4 e - (E u^4 + 3) E u^2 e - 2 E u^3 E u^3 e,         over N^2

    and the expansion needs the sample variance of u close to 1: its variance is (E u^4 - 1) / N.
    """
    if law.missed_mass:
        return _unknown(
            f"q is 0 where p is not, so that E r is {1.0 - law.missed_mass:.6g} and not 1: "
            "r - 1 is no control variate, and biases the estimate"
        )
    mu = moments(law, paired)
    if mu[2, 0] == 0.0:  # every unit is KL, and so the intercept is KL
        return UnitTheory(0.0, 0.0, 0.0, 0.0)
    if not math.isfinite(mu[2, 0]):
        return _unknown(why_infinite_sum(law, "ell"))
    if not math.isfinite(mu[0, 2]):
        # The coefficient tends to 0 and the variance to that of k1, but so slowly that this limit
        # says nothing about any number of samples that one can draw.
        return _unknown(why_infinite_sum(law, "ratio"))
    if law.kl > _MOST_KL:
        return _unknown("KL is so large that rounding leaves no digits of the moments of r")
    of = Residual(mu)
    var_e, u2e, third, fourth = of.variance, of(2, 1), of(3, 0), of(4, 0)
    of_variance = (
        of(2, 2), 3.0 * u2e * u2e, 2.0 * var_e, 2.0 * third * of(1, 2), (fourth - 1.0) * var_e,
    )  # fmt: skip
    # E u^4 e may vanish by chance though later terms do not, so a bound of its size is used.
    size = fourth * math.sqrt(max(of(2, 2), 0.0))
    of_bias = (
        float(np.fmax(abs(of(4, 1)), size)),  # NaN for sums over factors: fifth order not known
        (fourth + 3.0) * u2e,
        2.0 * third * of(3, 1),
    )
    least = _settled(of_variance, var_e)
    return UnitTheory(
        0.0,
        var_e,
        math.nan,
        math.nan,
        bias_times_n=-u2e if math.isfinite(u2e) else math.nan,
        kind="asymptotic",
        reason=None if law.is_finite((-4, -4)) else _SLOWLY,
        least_units=least,
        least_units_of_bias=max(least, _settled(of_bias, u2e)),
    )


def _settled(following: tuple[float, ...], leading: float) -> float:
    """The number of units from which on the next order is small relative to the leading one."""
    total = sum(abs(term) for term in following)
    if not (math.isfinite(total) and leading != 0.0):
        return math.inf
    return total / (_SETTLED * abs(leading))


def _unknown(reason: str) -> UnitTheory:
    return UnitTheory(math.nan, math.nan, math.nan, math.nan, kind="none", reason=reason)


@np.errstate(over="ignore", invalid="ignore")
def normal_from(law: Law, paired: bool, unit: UnitTheory, moments: Moments) -> float:
    """`Estimator.normal_from`, by the skewness of the residual and the bias in standard errors."""
    if unit.kind == "none" or unit.variance == 0.0:
        return math.inf if unit.kind == "none" else 0.0
    of = Residual(moments(law, paired))
    third, fourth = of(0, 3), of(0, 4)
    biases = unit.bias_times_n / math.sqrt(unit.variance)
    if not math.isfinite(third) or not math.isfinite(biases):
        return math.inf
    skewness = third / unit.variance**1.5
    kurtosis = fourth / unit.variance**2 - 3.0
    least = normal_from_moments(skewness, kurtosis) + _SQUARED_BIASES * biases * biases
    return max(least, unit.least_units)


def estimator(name: str, of: Control, moments: Moments, **properties: Any) -> Estimator:
    """The estimator that is this intercept; `properties` are further fields."""
    return Estimator(
        name=name,
        products=products(of),
        estimate=partial(estimate, of=of),
        parameters=2,
        theory=partial(theory, moments=moments),
        summand=partial(summand, of=of),
        normal_from=partial(normal_from, moments=moments),
        uses_ratio=True,
        weakness="fits its coefficient on a heavy tail",
        **properties,
    )
