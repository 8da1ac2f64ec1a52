"""What an estimator is: running moments of functions of l, and the theory of one unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.running import RunningMoments
from mckl.exact.law import Expression, Law, add, constant, multiply

DIVERGENT = "chi-square divergence is infinite: rho^2 <= 1/2 in a coordinate"
TOO_LARGE = "exceeds the largest float64"


class UnitTheory(NamedTuple):
    """The exact law of an estimator over N independent units, to the fourth order.

    A unit is one sample, or one antithetic pair. Over N units the estimate has bias
    ``bias + bias_times_n / N``, variance ``variance / N``, skewness ``skewness / sqrt(N)``
    and excess kurtosis ``excess_kurtosis / N``. NaN means not known, inf is a value;
    `reason` says why something is infinite. An asymptotic theory forecasts nothing over fewer
    than `least_units`, and no bias over fewer than `least_units_of_bias`.
    """

    bias: float
    variance: float
    skewness: float
    excess_kurtosis: float
    bias_times_n: float = 0.0
    kind: str = "exact"
    reason: str | None = None
    least_units: float = 1.0
    least_units_of_bias: float = 1.0


class Estimator(NamedTuple):
    """One way to turn samples of the log density ratio into an estimate of KL(q||p).

    name        as in the config
    products    pairs of integrands (names in `mckl.estimation.values.integrands.Integrands`) whose
                running co-moments are needed; their means come with them
    estimate    running moments -> (estimate, variance of the estimate), in nats; both of
                shape (rows,)
    parameters  how many numbers are fitted on the samples: a t interval over N units has
                N - parameters degrees of freedom
    theory      (law, paired) -> `UnitTheory`; `paired` for antithetic pairs
    summand     running moments -> the weights, by name of the integrand, of the linear
                combination whose mean the estimate is; what is fitted, as fitted so far
    normal_from (law, paired, theory of one unit) -> how many units it takes for Student's
                interval to cover; inf where no number is known
    linear      whether the estimate is a plain mean of l, so that it is additive over
                coordinates and the theory of stratified points applies
    """

    name: str
    products: tuple[tuple[str, str], ...]
    estimate: Callable[[RunningMoments], tuple[Vector, Vector]]
    parameters: int
    theory: Callable[[Law, bool], UnitTheory]
    summand: Callable[[RunningMoments], Mapping[str, float]]
    normal_from: Callable[[Law, bool, UnitTheory], float]
    linear: bool = False

    @property
    def uses_ratio(self) -> bool:
        """Whether the estimate depends on r, whose mean must then be near 1."""
        return any(name in ("ratio", "k3") for product in self.products for name in product)


def mean_of(integrand: str) -> Callable[[RunningMoments], tuple[Vector, Vector]]:
    """The plain mean of an integrand and s^2 / N, its estimated variance."""

    def estimate(moments: RunningMoments) -> tuple[Vector, Vector]:
        degrees = moments.units - 1
        variance = moments.comoment(integrand, integrand) / (
            degrees * moments.units if degrees else math.nan
        )
        return moments.mean(integrand), variance

    return estimate


# The share of 95 % intervals that cover falls with the skewness of one unit and, where its law
# is symmetric, with its kurtosis (docs/theory.md, section 8). Measured over normals of every
# scale: at these numbers of units it is still 0.94. The excess kurtosis of a quadratic form of
# normals is at most 12; for laws with one heavy tail, which reach more, the skewness suffices.
_PER_SQUARED_SKEWNESS, _PER_KURTOSIS, _MOST_KURTOSIS = 40.0, 25.0, 12.0


def normal_from_moments(skewness: float, excess_kurtosis: float) -> float:
    """How many units with these moments it takes for Student's interval to cover."""
    if not math.isfinite(skewness):
        return math.inf
    kurtosis = min(excess_kurtosis, _MOST_KURTOSIS)
    return max(_PER_SQUARED_SKEWNESS * skewness * skewness, _PER_KURTOSIS * kurtosis)


def mean_normal_from(law: Law, paired: bool, unit: UnitTheory) -> float:
    """`Estimator.normal_from` of a plain mean."""
    return normal_from_moments(unit.skewness, unit.excess_kurtosis)


def over_unit(f: Callable[[int], Expression], paired: bool) -> Expression:
    """The value of one unit: f(+1), or the mean of f(+1) and f(-1) over an antithetic pair."""
    if not paired:
        return f(1)
    return multiply(constant(0.5), add(f(1), f(-1)))


def theory_of_mean(
    function: Callable[[Law, int], Expression], *, unbiased: bool
) -> Callable[[Law, bool], UnitTheory]:
    """The theory of the plain mean of ``function(law, sign)`` over units.

    `unbiased` states that the function's mean is KL by construction, so that the bias is
    0 and not the rounding of 0.
    """

    @np.errstate(over="ignore", invalid="ignore")
    def theory(law: Law, paired: bool) -> UnitTheory:
        f = over_unit(lambda sign: function(law, sign), paired)
        mean = law.kl if unbiased else law.expectation(f)
        centred = add(f, constant(mean), -1.0)
        square = multiply(centred, centred)
        variance = max(law.expectation(square), 0.0)
        if not math.isfinite(variance):
            reason = TOO_LARGE if law.is_finite((-2, -2)) else DIVERGENT
            return UnitTheory(mean - law.kl, math.inf, math.nan, math.nan, reason=reason)
        if variance == 0.0:
            return UnitTheory(mean - law.kl, 0.0, 0.0, 0.0)
        third = law.expectation(multiply(square, centred))
        fourth = law.expectation(multiply(square, square))
        with np.errstate(over="ignore"):
            return UnitTheory(
                mean - law.kl,
                variance,
                float(np.divide(third, np.power(variance, 1.5))),
                float(np.divide(fourth, np.square(variance)) - 3.0),
            )

    return theory
