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

Where l has no finite fourth moment, most pilots have too small a standard deviation: over t(4.5)
against N(0, 1.5^2) Stein's interval covers 0.71. So k1 then has no pilot, and its interval has the
exact standard deviation, which theory knows; it covers 0.94 or more (theory.md, section 8).

An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", 2024) may be looked at after every
sample. At 95 % its interval is at least 1.55 times as wide, so it needs 2.4 times the samples,
which is too many if the target is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.draw.points import Sampler
from mckl.estimation.balanced import balanced_theory
from mckl.estimation.budget import Forecasts
from mckl.estimation.intervals import (
    Request,
    pilot_units,
    scrambles,
    units_needed,
)
from mckl.estimation.kl_estimate import Choice, KLEstimate
from mckl.estimation.stages import StageResults, stage
from mckl.estimation.traces import trace
from mckl.estimation.values import Estimator
from mckl.estimation.withheld import budget_reason, known_reason, ratio_reason, seen_reason
from mckl.text import count

# The most samples, and random numbers in all, that are drawn where no interval is possible.
_GLANCE, _GLANCE_NUMBERS = 10_000, 10**8
# The share of a budget that a pilot may take where more would be needed.
_SHARE = 8
# The points of a scramble from which the skewness of its mean hardly changes.
_POINTS_OF_LIMIT = 2**12
EXACT_SPREAD = (
    "the interval has the exact standard deviation of l, which samples underestimate here, since "
    "the fourth moment of l is infinite"
)
_ROUNDING = 2.0**-49  # of an estimate's rounding error, beside KL and the standard deviation of l

Progress = Callable[[int], object]


class SamplingPlan(NamedTuple):
    """How an estimate will be drawn, from theory alone.

    pilot      the units of the pilot; 0 for Sobol' points, and where the interval has the exact
               standard deviation
    least      the fewest units of a main stage; for Sobol' points, the scrambles
    points     the samples of one unit; for Sobol' points, of one scramble
    expected   about how many samples will be drawn in all
    half_width about the half-width of the interval, in nats
    withheld   why there will be no interval; None if there will be one
    """

    pilot: int
    least: int
    points: int
    expected: int
    half_width: float = math.nan
    withheld: str | None = None


def plan_stages(
    forecasts: Forecasts, sampler: Sampler, estimator: Estimator, request: Request
) -> SamplingPlan:
    """The units of each stage."""
    points, independent = sampler.points.points, sampler.points.independent
    aim = request.aim(forecasts.kl)
    planned: SamplingPlan | str | None = known_reason(forecasts, estimator, sampler, aim)
    if planned is None:
        make = _plan_stages if independent else _plan_scrambles
        planned = make(forecasts, sampler, estimator, request, aim)
    if isinstance(planned, SamplingPlan):
        return planned
    numbers = max(sampler.numbers(forecasts.pair), 1)
    fewest = points * (estimator.parameters + 1)
    units = min(_GLANCE, request.most, max(_GLANCE_NUMBERS // numbers, fewest)) // points
    return SamplingPlan(0, units, points, units * points, withheld=planned)


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
    if estimator.linear and forecasts.unit(estimator, sampler).heavy:
        pilot, t = 0, request.quantile(math.inf)
    else:
        pilot = pilot_units(spread, aim, request, parameters, least)
        pilot = min(pilot, max(request.most // (_SHARE * points), least, parameters + 1))
        t = request.quantile(pilot - parameters)
    main = min(max(units_needed(t * spread, aim), least), request.most / points - pilot)
    samples = points * (pilot + math.ceil(main))
    return SamplingPlan(pilot, least, points, samples, t * spread / math.sqrt(main))


def _plan_scrambles(
    forecasts: Forecasts, sampler: Sampler, estimator: Estimator, request: Request, aim: float
) -> SamplingPlan | str:
    form = forecasts.form(sampler)
    if form is None:
        return f"{sampler.name} cannot make points of this many numbers"

    theory = balanced_theory(estimator, forecasts.law, form)
    assert theory is not None  # otherwise the interval is withheld

    def skewness(n: int) -> float:
        return theory.law(min(n, _POINTS_OF_LIMIT)).skewness

    if math.isnan(theory.variance(1)):
        return f"the variance of {estimator.name} over Sobol' points is not known"
    planned = scrambles(
        theory.variance, skewness, aim, request, sampler.points.most_samples or request.most
    )
    if planned is None:
        most = count(request.most, digits_below=1e9)
        return f"its interval needs more scrambles than the budget of {most} samples allows"
    R, n = planned
    half_width = request.quantile(R - 1) * math.sqrt(theory.variance(n) / R)
    return SamplingPlan(0, R, n, R * n, half_width)


def estimate(
    forecasts: Forecasts,
    sampler: Sampler,
    estimator: Estimator,
    request: Request,
    *,
    seed: int,
    planned: SamplingPlan | None = None,
    attempt: str = "",
    progress: Progress = lambda evaluations: None,
) -> KLEstimate:
    """Estimate KL(q||p) with one estimator and one sampler.

    `planned` is the result of `plan_stages`, if it has been computed already. `attempt` is a part
    of the streams' keys, so that a further attempt draws new samples. `progress` is called after
    each step with the number of values of l that it added. Raises NotFiniteError if l is not finite
    at a sample.
    """
    planned = planned or plan_stages(forecasts, sampler, estimator, request)
    if planned.withheld is not None:
        draw = _glance
    else:
        draw = _two_stages if sampler.points.independent else _scrambled
    run = _Run(forecasts, sampler, estimator, request, planned, seed, attempt, progress)
    return draw(run)


class _Run(NamedTuple):
    """The arguments of `estimate`."""

    forecasts: Forecasts
    sampler: Sampler
    estimator: Estimator
    request: Request
    planned: SamplingPlan
    seed: int
    attempt: str
    progress: Progress

    def stage(self, name: str, units: int, pilot: StageResults | None = None) -> StageResults:
        """The results of new independent units; with a pilot, with the tail of its summand."""
        # For k1 the tails of l are known, and a fit to its largest values is wrong if l is bounded.
        summand = None if pilot is None or self.estimator.linear else pilot.summand
        return stage(
            self.sampler.form(self.forecasts.pair), self.sampler, self.estimator, units,
            seed=self.seed, name=name + self.attempt, factors=self.forecasts.pair.dimension,
            summand=summand, progress=self.progress,
        )  # fmt: skip

    def scrambles(self, name: str, points: int, count: int) -> Vector:
        """The estimates over `count` new scrambles of `points` points."""
        return trace(
            self.forecasts.pair, "numpy", self.sampler, [self.estimator], seed=self.seed,
            samples=[points], replicates=count, stage=[name + self.attempt],
            progress=self.progress,
        ).estimate[0, :, 0]  # fmt: skip

    def answer(
        self, value: float, half_width: float, std_error: float, stages: Mapping[str, int],
        withheld: str | None = None, scrambles: int | None = None,
    ) -> KLEstimate:  # fmt: skip
        if withheld is not None:
            half_width = std_error = math.nan
        choice = Choice(self.estimator.name, self.sampler.name)
        return KLEstimate.made(
            choice, self.request, self.seed, value, half_width, std_error, stages, withheld,
            scrambles,
        )  # fmt: skip


def _glance(run: _Run) -> KLEstimate:
    """An estimate from a few samples, without an interval."""
    planned, reason = run.planned, None
    if run.sampler.points.independent:
        results = run.stage("main", planned.least)
        value = results.estimate
        # A fault that the samples show is a better reason than one that theory forecasts.
        reason = ratio_reason(results.mean_ratio) if run.estimator.uses_ratio else None
    else:
        value = float(run.scrambles("main", planned.expected, 1)[0])
    stages = {"main": planned.expected}
    return run.answer(value, math.nan, math.nan, stages, reason or planned.withheld)


def _two_stages(run: _Run) -> KLEstimate:
    """One or two stages, with a new main stage if a relative tolerance is not met."""
    forecasts, sampler, estimator, request, planned = run[:5]
    points = planned.points
    mean_ratio, variance = 1.0, math.inf
    if estimator.uses_ratio:
        mean_ratio, variance = forecasts.ratio_law(estimator, sampler)
    pilot, spread = None, math.sqrt(forecasts.unit(estimator, sampler).variance)
    if planned.pilot:
        pilot = run.stage("pilot", planned.pilot)
        spread = pilot.spread
    degrees = planned.pilot - estimator.parameters if pilot else math.inf
    half_of_one = request.quantile(degrees) * spread
    aim, spent, mains = request.aim(forecasts.kl), planned.pilot, 0
    while True:
        left = request.most // points - spent
        need = max(units_needed(half_of_one, aim), planned.least)
        units = min(math.ceil(need), left) if math.isfinite(need) else left
        main = run.stage(f"main{mains}", units, pilot)
        spent, mains = spent + units, mains + 1
        half_width = max(half_of_one / math.sqrt(units), _rounding(forecasts))
        withheld = seen_reason(estimator, main, variance, mean_ratio)
        if request.met(main.estimate, half_width) or withheld or units < need:
            break
        # The estimate is so low that its relative tolerance is narrower than what was aimed for.
        aim = request.aim(main.estimate)
        if max(units_needed(half_of_one, aim), planned.least) > request.most // points - spent:
            break
    stages = {"pilot": points * planned.pilot, "main": points * (spent - planned.pilot)}
    stages = {name: samples for name, samples in stages.items() if samples}
    std_error = spread / math.sqrt(units)
    done = run.answer(main.estimate, half_width, std_error, stages, withheld)
    return done if pilot else replace(done, notes=(EXACT_SPREAD,))


def _rounding(forecasts: Forecasts) -> float:
    """The rounding error of an estimate, which shows even where every unit is exactly KL."""
    variance = forecasts.law.variance
    spread = math.sqrt(variance) if math.isfinite(variance) else 0.0
    return _ROUNDING * (forecasts.law.kl + spread)


def _scrambled(run: _Run) -> KLEstimate:
    """Student's interval over independent scrambles, with larger ones if it is too wide."""
    request, R, n = run.request, run.planned.least, run.planned.points
    spent, mains = 0, 0
    most = run.sampler.points.most_samples or math.inf
    while True:
        values = run.scrambles(f"main{mains}", n, R)
        spent, mains = spent + R * n, mains + 1
        value, error = float(values.mean()), float(np.std(values, ddof=1)) / math.sqrt(R)
        half_width = max(request.quantile(R - 1) * error, _rounding(run.forecasts))
        n *= 2
        if request.met(value, half_width) or spent + R * n > request.most or n > most:
            break
    return run.answer(value, half_width, error, {"main": spent}, scrambles=R)
