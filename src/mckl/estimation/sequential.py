"""Estimates KL(q||p) with an interval that is as short as requested and keeps its coverage.

An interval for a fixed n loses its coverage if one looks at it repeatedly until it is short: one
then stops where the spread, or for a skewed l the estimate, happens to be small. So the number of
samples is decided beforehand (`mckl.estimation.intervals`), by a pilot whose samples are not used
again, or for Sobol' points from the exact variance of a scramble. A relative tolerance is a
multiple of the final estimate; if the interval is longer, a new main stage is drawn.

Given the pilot, the size of the main stage is a fixed number and its samples are independent of s0,
so for normal units the interval covers exactly, whatever the variance. For other units it covers to
the accuracy of the central limit theorem, so both stages have at least the number of units that
the skewness of one unit requires. There is no interval where that number is unknown or exceeds the
budget, or where the samples show a fault (`mckl.estimation.withheld`).

An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", 2024) may be looked at after every
sample. At 95 % its interval is at least 1.55 times as wide, so it needs 2.4 times the samples,
which is too many if the target is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from mckl.draw.points import Sampler
from mckl.errors import UserError
from mckl.estimation.balanced import balanced_theory
from mckl.estimation.budget import Forecasts
from mckl.estimation.intervals import (
    LEAST_SCRAMBLES,
    Request,
    pilot_units,
    scrambles,
    units_needed,
)
from mckl.estimation.stages import StageResults, stage
from mckl.estimation.traces import trace
from mckl.estimation.values import Estimator
from mckl.estimation.withheld import budget_reason, known_reason, ratio_reason, seen_reason

TIGHT, SPENT, WITHHELD = "tight", "budget", "withheld"
# The most samples, and random numbers in all, that are drawn where no interval is possible.
_GLANCE, _GLANCE_NUMBERS = 10_000, 10**8
# The share of a budget that a pilot may take where more would be needed.
_SHARE = 8
# The points of a scramble from which the skewness of its mean hardly changes.
_POINTS_OF_LIMIT = 2**12
_ROUNDING = 2.0**-49  # of an estimate's rounding error, beside KL and the standard deviation of l

Progress = Callable[[int], object]


class SamplingPlan(NamedTuple):
    """How an estimate will be drawn, from theory alone.

    pilot      the units of the pilot; 0 for Sobol' points
    least      the fewest units of a main stage; for Sobol' points, the scrambles
    points     the samples of one unit; for Sobol' points, of one scramble
    expected   about how many samples will be drawn in all
    withheld   why there will be no interval; None if there will be one
    """

    pilot: int
    least: int
    points: int
    expected: int
    withheld: str | None = None


class Estimate(NamedTuple):
    """An estimate and its interval, in nats.

    half_width   the half-width of the interval; NaN where it is withheld
    target       the half-width that was requested; a relative tolerance is times the estimate
    stopped      `tight`: half_width <= target; `budget`: the budget was spent before that;
                 `withheld`: there is no interval
    std_error    the standard error of the estimate
    stages       the number of samples of each stage, by name
    scrambles    the number of independent scrambles; 0 for samplers other than Sobol' points
    withheld     why there is no interval; None if there is one
    """

    estimate: float
    half_width: float
    target: float
    stopped: str
    std_error: float
    stages: Mapping[str, int]
    scrambles: int = 0
    withheld: str | None = None

    @property
    def samples(self) -> int:
        """The samples of all stages."""
        return sum(self.stages.values())


def interval_samples(forecasts: Forecasts, estimator: Estimator, sampler: Sampler) -> float:
    """The fewest samples with which an interval covers; inf where no number is known."""
    points = sampler.points.points
    if forecasts.unit(estimator, sampler).variance == math.inf:
        return math.inf
    if not sampler.points.independent:
        return LEAST_SCRAMBLES if estimator.additive and sampler.points.balanced else math.inf
    normal = forecasts.normal_from(estimator, sampler)
    return max(2.0 * points * normal, points * (2.0 * estimator.parameters + 1))


def plan_stages(
    forecasts: Forecasts, sampler: Sampler, estimator: Estimator, request: Request
) -> SamplingPlan:
    """The units of each stage; raises `UserError` if the budget is too small for any interval."""
    points, independent = sampler.points.points, sampler.points.independent
    fewest = points * (2 * estimator.parameters + 1) if independent else LEAST_SCRAMBLES
    if request.most < fewest:
        raise UserError(
            f"a budget of {request.most} samples is too small for an interval, "
            f"expected at least {fewest}"
        )
    aim = request.aim(forecasts.law.kl)
    planned: SamplingPlan | str | None = known_reason(forecasts, estimator, sampler, aim)
    if planned is None:
        make = _plan_stages if independent else _plan_scrambles
        planned = make(forecasts, sampler, estimator, request, aim)
    if isinstance(planned, SamplingPlan):
        return planned
    numbers = max(sampler.numbers(forecasts.pair), 1)
    glance = min(_GLANCE, request.most, max(_GLANCE_NUMBERS // numbers, fewest))
    units = glance // points
    return SamplingPlan(0, units, points, units * points, planned)


def _plan_stages(
    forecasts: Forecasts, sampler: Sampler, estimator: Estimator, request: Request, aim: float
) -> SamplingPlan | str:
    points, parameters = sampler.points.points, estimator.parameters
    normal = forecasts.normal_from(estimator, sampler)
    withheld = budget_reason(estimator, 2.0 * points * normal, request.most)
    if withheld is not None:
        return withheld
    least = max(math.ceil(normal), 1 if parameters == 1 else parameters + 1)
    spread = math.sqrt(forecasts.unit(estimator, sampler).variance)
    pilot = pilot_units(spread, aim, request, parameters, least)
    pilot = min(pilot, max(request.most // (_SHARE * points), least, parameters + 1))
    t = request.quantile(pilot - parameters)
    main = min(max(units_needed(t * spread, aim), least), request.most / points - pilot)
    return SamplingPlan(pilot, least, points, points * (pilot + math.ceil(main)))


def _plan_scrambles(
    forecasts: Forecasts, sampler: Sampler, estimator: Estimator, request: Request, aim: float
) -> SamplingPlan | str:
    form = forecasts.form(sampler)
    if form is None:
        return f"{sampler.name} cannot make points of so many numbers"

    of = balanced_theory(estimator, forecasts.law, form)
    assert of is not None  # otherwise the interval is withheld

    def law(n: int) -> tuple[float, float]:
        return of.variance(n), of.law(min(n, _POINTS_OF_LIMIT)).skewness

    found = scrambles(law, aim, request, sampler.points.most_samples or request.most)
    if found is None:
        return f"its interval needs more scrambles than the budget of {request.most} samples allows"
    R, n = found
    return SamplingPlan(0, R, n, R * n)


def estimate(
    forecasts: Forecasts,
    sampler: Sampler,
    estimator: Estimator,
    request: Request,
    *,
    seed: int,
    planned: SamplingPlan | None = None,
    progress: Progress = lambda evaluations: None,
) -> Estimate:
    """Estimate KL(q||p) to a tolerance.

    Parameters
    ----------
    forecasts
        The pair and its theory.
    sampler, estimator
        How samples are drawn, and what is averaged.
    request
        The tolerance, the confidence and the budget.
    seed
        The seed of all random streams.
    planned
        The result of `plan` for the same arguments, if it has been computed already.
    progress
        A function that is called after each step with the number of values of l that it added.

    Raises
    ------
    UserError
        If the budget is too small for any interval.
    NotFiniteError
        If l is not finite at a sample.
    """
    planned = planned or plan_stages(forecasts, sampler, estimator, request)
    if planned.withheld is not None:
        return _glance(forecasts, sampler, estimator, request, planned, seed, progress)
    if not sampler.points.independent:
        return _scrambled(forecasts, sampler, estimator, request, planned, seed, progress)
    return _two_stages(forecasts, sampler, estimator, request, planned, seed, progress)


def _glance(
    forecasts: Forecasts, sampler: Sampler, estimator: Estimator, request: Request,
    planned: SamplingPlan, seed: int, progress: Progress,
) -> Estimate:  # fmt: skip
    """An estimate from a few samples, without an interval."""
    if sampler.points.independent:
        form = sampler.form(forecasts.pair)
        seen = stage(
            form,
            sampler,
            estimator,
            planned.least,
            seed=seed,
            name="main",
            factors=forecasts.pair.dimension,
            progress=progress,
        )
        value = seen.estimate
        # A fault that the samples show is a better reason than one that theory forecasts.
        reason = ratio_reason(seen.mean_ratio) if estimator.uses_ratio else None
    else:
        one = trace(
            forecasts.pair, "numpy", sampler, [estimator],
            seed=seed, samples=[planned.expected], replicates=1, stage=["main"], progress=progress,
        )  # fmt: skip
        value, reason = float(one.estimate[0, 0, 0]), None
    return Estimate(
        value, math.nan, request.target(value), WITHHELD, math.nan,
        {"main": planned.expected}, withheld=reason or planned.withheld,
    )  # fmt: skip


def _two_stages(
    forecasts: Forecasts, sampler: Sampler, estimator: Estimator, request: Request,
    planned: SamplingPlan, seed: int, progress: Progress,
) -> Estimate:  # fmt: skip
    """Stein's procedure, with a new main stage if a relative tolerance is not met."""
    points, form = planned.points, sampler.form(forecasts.pair)
    mean_ratio, variance = 1.0, math.inf
    if estimator.uses_ratio:
        mean_ratio, variance = forecasts.ratio_law(estimator, sampler)
    # For k1 the tails of l are known, and a fit to its largest values is wrong if l is bounded.
    unknown_tails = not estimator.linear

    def run(name: str, units: int, pilot: StageResults | None = None) -> StageResults:
        return stage(
            form, sampler, estimator, units, seed=seed, name=name, factors=forecasts.pair.dimension,
            summand=pilot.summand if pilot and unknown_tails else None, progress=progress,
        )  # fmt: skip

    pilot = run("pilot", planned.pilot)
    half_of_one = request.quantile(pilot.units - estimator.parameters) * pilot.spread
    aim, spent, mains = request.aim(forecasts.law.kl), pilot.units, 0
    rounding = _rounding(forecasts)
    while True:
        left = request.most // points - spent
        need = max(units_needed(half_of_one, aim), planned.least)
        units = min(math.ceil(need), left) if math.isfinite(need) else left
        main = run(f"main{mains}", units, pilot)
        spent, mains = spent + units, mains + 1
        half_width = max(half_of_one / math.sqrt(units), rounding)
        target = request.target(main.estimate)
        tight = half_width <= target * (1 + 1e-12)
        withheld = seen_reason(estimator, main, variance, mean_ratio)
        if tight or withheld or units < need:
            break
        # The estimate is so low that its relative tolerance is narrower than what was aimed for.
        aim = request.aim(main.estimate)
        if max(units_needed(half_of_one, aim), planned.least) > request.most // points - spent:
            break
    stages = {"pilot": points * pilot.units, "main": points * (spent - pilot.units)}
    if withheld:
        return Estimate(
            main.estimate, math.nan, target, WITHHELD, math.nan, stages, withheld=withheld
        )
    return Estimate(
        main.estimate, half_width, target, TIGHT if tight else SPENT,
        pilot.spread / math.sqrt(units), stages,
    )  # fmt: skip


def _rounding(forecasts: Forecasts) -> float:
    """The rounding error of an estimate, which shows even where every unit is exactly KL."""
    variance = forecasts.law.variance
    spread = math.sqrt(variance) if math.isfinite(variance) else 0.0
    return _ROUNDING * (forecasts.law.kl + spread)


def _scrambled(
    forecasts: Forecasts, sampler: Sampler, estimator: Estimator, request: Request,
    planned: SamplingPlan, seed: int, progress: Progress,
) -> Estimate:  # fmt: skip
    """Student's interval over independent scrambles, with larger ones if it is too wide."""
    R, n, spent, mains = planned.least, planned.points, 0, 0
    rounding = _rounding(forecasts)
    while True:
        found = trace(
            forecasts.pair, "numpy", sampler, [estimator],
            seed=seed, samples=[n], replicates=R, stage=[f"main{mains}"], progress=progress,
        ).estimate[0, :, 0]  # fmt: skip
        spent, mains = spent + R * n, mains + 1
        value, error = float(found.mean()), float(np.std(found, ddof=1)) / math.sqrt(R)
        half_width = max(request.quantile(R - 1) * error, rounding)
        target = request.target(value)
        tight = half_width <= target * (1 + 1e-12)
        n *= 2
        if tight or spent + R * n > request.most or n > (sampler.points.most_samples or n):
            break
    return Estimate(value, half_width, target, TIGHT if tight else SPENT, error, {"main": spent}, R)
