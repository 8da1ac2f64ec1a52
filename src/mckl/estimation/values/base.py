"""Estimators: how an estimate follows from moments of functions of l, and its exact theory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.running import RunningMoments
from mckl.estimation.values.integrands import RATIO_IN, Integrands
from mckl.exact import joint
from mckl.exact.law import Law
from mckl.exact.moments import EPS, LARGEST_ERROR, RATIO, Bounded, Function, Moments

DIVERGENT = "E r^2 is infinite: the tails of p are too heavy for q"
POWERS = "a power of l has no finite mean: the tails of q are too heavy for p"
TOO_LARGE = "larger than 10^308"
NO_MEAN = "not even its mean is known"
NOT_SETTLED = "the integral of the variance did not settle: it is only known to {:.1g} of itself"


class UnitTheory(NamedTuple):
    """The exact law of an estimator over N independent units, to the fourth order.

    A unit is one sample, or one antithetic pair. Over N units the estimate has the bias
    ``bias + bias_times_n / N`` in nats, the variance ``variance / N`` in nats squared, the skewness
    ``skewness / sqrt(N)`` and the excess kurtosis ``excess_kurtosis / N``. NaN means not known, and
    inf is a value; `reason` says why something is infinite or not known. An asymptotic theory
    (`kind`) says nothing about fewer than `least_units` units, nor about the bias over fewer than
    `least_units_of_bias`.

    `relative_error` is the largest bound on the error of these numbers: relative to the variance,
    to the RMSE of one unit for a bias, and to the number or 1, whichever is larger, for skewness
    and kurtosis. A number whose bound exceeds `LARGEST_ERROR` is NaN.
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
    relative_error: float = 0.0

    @property
    def heavy(self) -> bool:
        """Whether the fourth moment is infinite, though the variance is finite."""
        return self.excess_kurtosis == math.inf and math.isfinite(self.variance)


class Limit(NamedTuple):
    """An estimate that is, to leading order, a mean of y - slope x, where x = sum (r_i - 1).

    integrand    the name of y, which is l or a sum over factors
    slope        the coefficient of x
    mixed        E u^2 e^2 with u = x / sd(x) and e = y - slope x less its mean
    spread       Var x
    fourth       E u^4
    """

    integrand: str
    slope: float = 0.0
    mixed: float = 0.0
    spread: float = 0.0
    fourth: float = 1.0


class Estimator(NamedTuple):
    """One way to turn samples of the log density ratio into an estimate of KL(q||p).

    name        the name in the config
    products    pairs of integrands (names in `mckl.estimation.values.integrands.Integrands`) whose
                running co-moments are needed; the means of these integrands are kept too
    estimate    a function of running moments -> (estimate in nats, variance of the estimate in nats
                squared), both of shape (rows,)
    parameters  the number of parameters that are fitted on the samples: a t interval over N units
                has N - parameters degrees of freedom
    theory      a function (law, paired) -> `UnitTheory`; `paired` is for antithetic pairs
    summand     a function of running moments -> the coefficients, by name of the integrand, of the
                linear combination whose mean is the estimate; fitted ones as fitted so far
    normal_from a function (law, paired, theory of one unit) -> the number of units that Student's
                interval needs in order to cover; inf where no number is known
    integrands  the estimator's own integrands by name, each a function of those in `Integrands`
    ratio_in    the coefficient of r in each of its own integrands that contains r
    sums        the sums over a sample's factors that it needs (`mckl.families.base.Pair.sums`); the
                names of these integrands have the prefix ``factor_``
    whole       for an estimator by factor, the one that averages the same function of the whole l,
                which it equals if a sample has one factor; None if there is no such estimator
    additive    ``ell`` or one of `sums`, if the estimate is the mean of this sum over coordinates,
                so that the theory of stratified points applies; else None
    limit       a function law -> `Limit`, if the estimate is such a mean to leading order only;
                else None
    uses_ratio  whether the estimate depends on r or on the factors' r_i, so that the mean of these
                must be near 1
    consistent  whether the bias vanishes as n grows
    unbiased_twin
                for an estimator that is not consistent, an unbiased one: on given samples, whose KL
                is not known, the difference of the two shows the bias
    never_negative
                whether no estimate can be negative
    weakness    why its intervals fail to cover where they do, in the words of the figures
    """

    name: str
    products: tuple[tuple[str, str], ...]
    estimate: Callable[[RunningMoments], tuple[Vector, Vector]]
    parameters: int
    theory: Callable[[Law, bool], UnitTheory]
    summand: Callable[[RunningMoments], Mapping[str, float]]
    normal_from: Callable[[Law, bool, UnitTheory], float]
    integrands: Mapping[str, Callable[[Integrands], Vector]] = {}
    ratio_in: Mapping[str, float] = {}
    sums: tuple[str, ...] = ()
    whole: Estimator | None = None
    additive: str | None = None
    limit: Callable[[Law], Limit | None] | None = None
    uses_ratio: bool = False
    consistent: bool = True
    unbiased_twin: Estimator | None = None
    never_negative: bool = False
    weakness: str = ""

    @property
    def linear(self) -> bool:
        """Whether the estimate is a plain mean of l."""
        return self.additive == "ell"

    @property
    def ratio(self) -> str:
        """The name of the integrand r - 1, or of its sum over factors."""
        return "factor_ratio" if self.sums else "ratio"

    def ratio_weight(self, summand: Mapping[str, float]) -> float:
        """The coefficient of r, or of the sum of the r_i, in a linear combination of integrands."""
        coefficients = {**RATIO_IN, **self.ratio_in}
        return sum(weight * coefficients.get(name, 0.0) for name, weight in summand.items())


def mean_of(integrand: str) -> Callable[[RunningMoments], tuple[Vector, Vector]]:
    """The function that computes the mean of an integrand and its estimated variance, s^2 / N."""

    def estimate(moments: RunningMoments) -> tuple[Vector, Vector]:
        pairs = np.multiply(moments.units, moments.units - 1)  # units may be an array
        variance = moments.comoment(integrand, integrand) / np.where(pairs, pairs, math.nan)
        return moments.mean(integrand), variance

    return estimate


def plain_mean(
    name: str,
    integrand: str,
    theory: Callable[[Law, bool], UnitTheory],
    *,
    normal_from: Callable[[Law, bool, UnitTheory], float] | None = None,
    **properties: Any,
) -> Estimator:
    """The estimator that is the mean of an integrand; `properties` are further fields."""
    return Estimator(
        name=name,
        products=((integrand, integrand),),
        estimate=mean_of(integrand),
        parameters=1,
        theory=theory,
        summand=lambda moments: {integrand: 1.0},
        normal_from=normal_from or mean_normal_from,
        **properties,
    )


def plain_mean_of_sum(
    name: str, function: str, *, unbiased: bool = False, **properties: Any
) -> Estimator:
    """The estimator that is the mean of the sum of an integrand over a sample's factors.

    `function` names the sum, and `properties` are further fields. If the sum is `unbiased`, its
    bias is exactly 0, without rounding.
    """
    theory = partial(theory_of_sum, function=Function(function), unbiased=unbiased)
    return plain_mean(name, f"factor_{function}", theory, sums=(function,), **properties)


# The share of 95 % intervals that cover falls with the skewness of one unit and, if its law is
# symmetric, with its kurtosis (theory.md, section 8). With these numbers of units it is still
# 0.94, as measured over normal laws of every scale. The excess kurtosis of a quadratic form of
# normals is at most 12. Laws with one heavy tail have more, but for these the skewness is enough.
# Rare values on both sides of the mean do not show in the skewness. l itself may have such values,
# so for l the kurtosis counts in full where it is finite. Where it is infinite, the interval has
# the exact standard deviation and covers with any number of units (theory.md, section 8).
_PER_SQUARED_SKEWNESS, _PER_KURTOSIS, _MOST_KURTOSIS = 40.0, 25.0, 12.0


def normal_from_moments(
    skewness: float, excess_kurtosis: float, most_kurtosis: float = _MOST_KURTOSIS
) -> float:
    """The number of units with these moments that Student's interval needs in order to cover.

    An excess kurtosis above `most_kurtosis` counts as `most_kurtosis`.
    """
    if not math.isfinite(skewness):
        return math.inf
    kurtosis = min(excess_kurtosis, most_kurtosis)
    return max(_PER_SQUARED_SKEWNESS * skewness * skewness, _PER_KURTOSIS * kurtosis)


def mean_normal_from(law: Law, paired: bool, unit: UnitTheory) -> float:
    """`Estimator.normal_from` for a mean of an integrand."""
    return normal_from_moments(unit.skewness, unit.excess_kurtosis)


def ell_normal_from(law: Law, paired: bool, unit: UnitTheory) -> float:
    """`Estimator.normal_from` for the mean of l, which may have rare values on both sides."""
    if unit.heavy:
        return _PER_KURTOSIS * _MOST_KURTOSIS
    return normal_from_moments(unit.skewness, unit.excess_kurtosis, unit.excess_kurtosis)


_NOTHING = 1e-20  # a variance that may be 0, and is at most this share of the mean square, is 0


def unknown(reason: str) -> UnitTheory:
    """The theory of an estimator about which nothing is known."""
    return UnitTheory(math.nan, math.nan, math.nan, math.nan, kind="none", reason=reason)


@np.errstate(over="ignore", invalid="ignore")
def exact_theory(bias: Bounded, mean: Bounded, moments: Moments, why_infinite: str) -> UnitTheory:
    """The theory of a mean over units whose second to fourth central moments these are.

    `moments` has shape (5,), `mean` is the mean of a unit in nats, and `why_infinite` says why its
    variance is infinite, if it is.
    """
    second, third, fourth = (moments.at(k) for k in (2, 3, 4))
    variance = second.value
    if math.isinf(variance):
        return UnitTheory(
            bias.value, math.inf, math.nan, math.nan, reason=why_infinite,
            relative_error=bias.relative,
        )  # fmt: skip
    if math.isnan(variance):
        reason = TOO_LARGE if math.isfinite(mean.error) else NO_MEAN
        return unknown(reason)._replace(bias=math.nan if bias.error else bias.value)
    if is_nothing(second, mean.value):
        return _checked(bias, 0.0, {"skewness": (0.0, 0.0), "kurtosis": (0.0, 0.0)}, 0.0)
    if second.relative > LARGEST_ERROR:
        unsettled = unknown(NOT_SETTLED.format(second.relative))
        return unsettled._replace(bias=math.nan if bias.error else bias.value)
    share, sd = second.error / variance, math.sqrt(variance)
    shapes = {}
    for name, moment, power, normal in (("skewness", third, 3, 0.0), ("kurtosis", fourth, 4, 3.0)):
        # Step by step, since powers of the variance may underflow or overflow.
        value, error = moment.value, moment.error
        for _ in range(power):
            value, error = value / sd, error / sd
        error += 0.5 * power * share * abs(value) + normal * EPS
        shapes[name] = value - normal, error
    return _checked(bias, variance, shapes, share)


def is_nothing(variance: Bounded, mean: float) -> bool:
    """Whether a variance may be 0, and would be rounding beside the mean square if it were not."""
    room = variance.value + variance.error
    return variance.value <= variance.error and room <= _NOTHING * (mean * mean + room)


def _checked(
    bias: Bounded, variance: float, shapes: Mapping[str, tuple[float, float]], share: float
) -> UnitTheory:
    """The theory without the numbers whose bounds are too large."""
    off, largest, certain, reason = bias.value, share, [], None
    if bias.error:
        rmse = math.hypot(math.sqrt(variance), off)
        bound = bias.error / rmse if rmse else 0.0  # where it is 0, so is what the error is of
        off, largest = (off, max(largest, bound)) if bound <= LARGEST_ERROR else (math.nan, largest)
    for name, (value, error) in shapes.items():
        bound = error / max(1.0, abs(value)) if math.isfinite(value) else 0.0
        if math.isnan(value) or bound > LARGEST_ERROR:
            why = TOO_LARGE if math.isnan(value) else f"only known to {bound:.1g}"
            reason = reason or f"the {name} is {why}"
            certain.append(math.nan)
        else:
            certain.append(value)
            largest = max(largest, bound)
    return UnitTheory(off, variance, certain[0], certain[1], reason=reason, relative_error=largest)


def theory_of_sum(law: Law, paired: bool, function: Function, unbiased: bool) -> UnitTheory:
    """The theory of the mean of one sum over factors."""
    kappa = law.sums((function,), paired)
    mean = kappa.at(1)
    bias = Bounded(0.0, 0.0) if unbiased else less_kl(mean, law, function.name)
    moments = joint.central_moments(kappa, 1)
    return exact_theory(bias, mean, moments, why_infinite_sum(law, function.name))


def less_kl(mean: Bounded, law: Law, name: str) -> Bounded:
    """The bias of a mean; that of k3 is what q misses of p, to all its digits."""
    if name == "k3":
        if not law.missed_mass:
            return Bounded(0.0, 0.0)
        missed = law.sums((RATIO,), False, 1).at(1)
        return Bounded(missed.value, missed.error)
    off = mean.value - law.kl
    return Bounded(off, mean.error + law.kl_error + EPS * abs(off))


def ell_theory(law: Law, paired: bool) -> UnitTheory:
    """The theory of the mean of l."""
    moments = joint.central_moments(law.ell(4, paired), 1)
    return exact_theory(Bounded(0.0, 0.0), Bounded(law.kl, law.kl_error), moments, POWERS)


def controlled_theory(law: Law, paired: bool, slope: float = 0.0) -> UnitTheory:
    """The theory of the mean of k3 - slope (r - 1), which is l + (1 - slope) (r - 1)."""
    block = law.block(paired, 4, slope, 1.0 - slope)
    y = (0, 0) if paired else (0,)
    moments = Moments(block.value[y], block.error[y])
    missed = 0.0 - (1.0 - slope) * law.missed_mass  # so that 0 is not shown as -0
    bias = Bounded(missed, 8.0 * EPS * abs(missed) + abs(1.0 - slope) * law.missed_error)
    mean = Bounded(law.kl + missed, law.kl_error + bias.error)
    return exact_theory(bias, mean, moments, why_infinite_sum(law, "k3"))


def why_infinite_sum(law: Law, name: str) -> str:
    """Why the second moment of l or of a sum over factors is infinite."""
    if name in ("ratio", "k3") and not law.ratio_variance_finite:
        return DIVERGENT
    return POWERS
