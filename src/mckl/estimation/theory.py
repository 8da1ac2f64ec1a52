"""The exact law of one estimate: its bias, variance, skewness and excess kurtosis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from mckl.draw.points import PointSet, Sampler
from mckl.estimation.balanced import Balanced, balanced_theory
from mckl.estimation.traces import checkpoints_of
from mckl.estimation.values import Estimator, UnitTheory
from mckl.estimation.values.base import NOT_SETTLED
from mckl.exact.law import Law
from mckl.exact.moments import LARGEST_ERROR, Bounded
from mckl.families.base import Pair


class Exact(NamedTuple):
    """The bias, variance, skewness and excess kurtosis of one estimate; bias in nats.

    NaN means not known, and inf is a value. `theory` is `exact`, `asymptotic` (the leading order in
    the number of samples) or `none` (the variance is not known). `reason` says why a value is
    infinite or not known. `relative_error` is the largest bound on the error of these numbers, as
    `mckl.estimation.values.UnitTheory` has it; it covers the leading order, not what follows it.
    """

    bias: float
    variance: float
    skewness: float
    excess_kurtosis: float
    theory: str
    reason: str | None
    relative_error: float = 0.0

    @property
    def mse(self) -> float:
        """Bias squared plus variance; only the variance, their leading order, if asymptotic."""
        return self.variance + (self.bias * self.bias if self.theory != "asymptotic" else 0.0)


def over_units(unit: UnitTheory, units: int) -> Exact:
    """The law of an estimate over a number of independent units."""
    if units < unit.least_units:
        reason = unit.reason or "too few samples for the leading order to hold"
        return Exact(math.nan, math.nan, math.nan, math.nan, "none", reason)
    bias = unit.bias + (unit.bias_times_n / units if unit.bias_times_n else 0.0)
    if units < unit.least_units_of_bias:
        bias = math.nan
    return Exact(
        bias,
        unit.variance / units,
        unit.skewness / math.sqrt(units),
        unit.excess_kurtosis / units,
        unit.kind,
        unit.reason,
        unit.relative_error,
    )


def _dependent(unit: UnitTheory, theory: Balanced | None, points: PointSet, samples: int) -> Exact:
    # The mean over points is that of one point, whatever is known of its spread.
    unbiased_points = unit.bias if unit.kind != "asymptotic" else math.nan
    if unit.variance == math.inf:
        # The integrand is never negative, so dependence between points cannot make it finite.
        return Exact(unit.bias, math.inf, math.nan, math.nan, "exact", unit.reason)
    if unit.variance == 0.0 and unit.kind == "exact":  # every point gives the same
        return Exact(unit.bias, 0.0, 0.0, 0.0, "exact", None, unit.relative_error)
    if theory is None:
        reason = f"over {points.name} points no variance is known"
        if points.balanced:
            reason = "over Sobol' points the theory is known for sums over coordinates"
        if unit.kind == "none" and unit.reason:
            reason = unit.reason
        return Exact(unbiased_points, math.nan, math.nan, math.nan, "none", reason)
    if samples & (samples - 1):
        reason = "Sobol' points are balanced only if their number is a power of two"
        return Exact(unbiased_points, math.nan, math.nan, math.nan, "none", reason)
    law = theory.law(samples)
    if math.isnan(law.variance):
        reason = (
            "the variances within strata are not known: the tails are too heavy, or too many "
            "coordinates differ"
        )
        return Exact(unbiased_points, math.nan, math.nan, math.nan, "none", reason)
    bound = Bounded(law.variance, law.error).relative
    if bound > LARGEST_ERROR:
        reason = NOT_SETTLED.format(bound)
        return Exact(unbiased_points, math.nan, math.nan, math.nan, "none", reason)
    if not theory.settled(samples):
        reason = "too few samples for the leading order to hold"
        return Exact(math.nan, math.nan, math.nan, math.nan, "none", reason)
    bounds = [bound, unit.relative_error if unbiased_points else 0.0]
    shapes = []
    for value, error in (
        (law.skewness, law.skewness_error), (law.excess_kurtosis, law.kurtosis_error),
    ):  # fmt: skip
        bound = error / max(1.0, abs(value)) if math.isfinite(value) else 0.0
        shapes.append(value if bound <= LARGEST_ERROR else math.nan)
        bounds += [bound] if bound <= LARGEST_ERROR else []
    kind = "exact" if theory.exact else "asymptotic"
    return Exact(unbiased_points, law.variance, shapes[0], shapes[1], kind, None, max(bounds))


_UNITS: WeakKeyDictionary[Law, dict[object, UnitTheory]] = WeakKeyDictionary()


def unit_theory(estimator: Estimator, law: Law, paired: bool) -> UnitTheory:
    """The theory of one independent unit, an antithetic pair if `paired`; kept with the law.

    Samplers whose points differ in nothing else share it.
    """
    units = _UNITS.setdefault(law, {})
    key = estimator.theory, paired
    if key not in units:
        units[key] = estimator.theory(law, paired)
    return units[key]


def exact_mean(
    pair: Pair, sampler: Sampler, estimators: Sequence[Estimator], samples: Sequence[int]
) -> Iterator[tuple[str, int, Exact]]:
    """(estimator's name, samples, `Exact`) for every estimator and checkpoint of the sampler."""
    points = sampler.points
    form = None if points.independent else sampler.form(pair)
    for estimator in estimators:
        unit = unit_theory(estimator, pair.law, points.mirrored)
        theory = balanced_theory(estimator, pair.law, form) if form and points.balanced else None
        for n in checkpoints_of(sampler, samples):
            if form is None:
                yield estimator.name, n, over_units(unit, n // points.points)
            else:
                yield estimator.name, n, _dependent(unit, theory, points, n)
