"""Chooses an estimator and a sampler for one pair, from exact theory alone.

What counts is the CPU time of an interval as `mckl estimate` draws it. So an option of which no
interval is known is only recommended where there is no other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mckl.draw.points import SAMPLERS, Sampler
from mckl.estimation.advice import Advice, Option, Precision, Recommendation, Regime
from mckl.estimation.budget import LEADING, OK, Forecasts, Need, Tolerance
from mckl.estimation.cpu_time import estimate_seconds
from mckl.estimation.divergences import divergences
from mckl.estimation.intervals import Request
from mckl.estimation.kl_estimate import Choice
from mckl.estimation.offered import offered as offers
from mckl.estimation.offered import offered_samplers
from mckl.estimation.sequential import SamplingPlan, plan_stages
from mckl.estimation.shape import k3_variance_finite, shape_of
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.exact.law import AnalyticLaw
from mckl.exact.negative import probability_negative
from mckl.exact.negative_balanced import probability_negative_balanced
from mckl.families.base import Pair
from mckl.families.normal.form import QuadraticForm
from mckl.text import duration, multiple

# CPU times that differ by less than this count as equal; then independent samples win.
_SAME_SECONDS, _SAME_RATIO = 2e-3, 1.2
# An option is named for its few samples where it takes at most this share of those recommended.
_FEWER = 0.8
# The RMSE allowed where KL is 0 and the tolerance relative to it: only what is exact meets it.
_NOTHING = 1e-150


class _Candidate(NamedTuple):
    """An option, the plan of its interval, and the CPU seconds of the latter."""

    option: Option
    plan: SamplingPlan
    seconds: float
    reaches: bool

    @property
    def reached(self) -> bool:
        """Whether the tolerance is reached, with an interval."""
        return self.reaches and self.plan.withheld is None

    @property
    def unbiased(self) -> bool:
        return self.option.verdict == OK and self.option.expected_bias == 0.0


def advice_of(
    pair: Pair,
    request: Request,
    confidence: float | None = None,
    samplers: Sequence[str] = (),
    estimators: Sequence[str] = (),
) -> Advice:
    """What `mckl.advise` answers; `request` also has the confidence and the budget of an interval.

    Raises `UserError` if KL(q||p) exceeds the largest float64.
    """
    samplers = [name for name in SAMPLERS if name in samplers or not samplers]
    estimators = [name for name in ESTIMATORS if name in estimators or not estimators]
    forecasts, kl = Forecasts(pair), divergences(pair)
    available = offered_samplers(pair, samplers)
    limit = request.target(kl)
    tolerance = Tolerance(limit or _NOTHING, confidence)
    candidates = _candidates(forecasts, tolerance, request, available, estimators)
    return Advice(
        pair=kl,
        request=Precision(request.tolerance, request.relative, limit, confidence),
        regime=_regime(forecasts),
        left_out=tuple(name for name in samplers if name not in available),
        options=tuple(candidate.option for candidate in candidates),
        recommendation=_recommendation(candidates, request),
    )


def choices(
    forecasts: Forecasts, request: Request, samplers: Sequence[str], estimators: Sequence[str]
) -> list[Choice]:
    """The choices that have an interval by theory, the one that `advice_of` recommends first.

    If none has an interval, the one that is recommended without; if none is, the first estimator
    over the sampler that takes the fewest random numbers.
    """
    samplers = offered_samplers(forecasts.pair, samplers)
    limit = request.target(forecasts.kl)
    tolerance = Tolerance(limit or _NOTHING, request.confidence)
    candidates = _candidates(forecasts, tolerance, request, samplers, estimators)
    order = [candidate.option for candidate in _ranked(candidates)]
    if not order:
        order = sorted(_without_interval(candidates), key=lambda o: o.cpu_seconds)[:1]
    if not order:
        order = [
            min(candidates, key=lambda c: SAMPLERS[c.option.sampler].numbers(forecasts.pair)).option
        ]
    return [Choice(option.estimator, option.sampler) for option in order]


def _candidates(
    forecasts: Forecasts, tolerance: Tolerance, request: Request,
    samplers: Sequence[str], estimators: Sequence[str],
) -> list[_Candidate]:  # fmt: skip
    return [
        _candidate(forecasts, ESTIMATORS[estimator], SAMPLERS[sampler], tolerance, request)
        for estimator in estimators
        for sampler in samplers
        if offers(forecasts.pair, SAMPLERS[sampler], ESTIMATORS[estimator])
    ]


def _candidate(
    forecasts: Forecasts, estimator: Estimator, sampler: Sampler, tolerance: Tolerance,
    request: Request,
) -> _Candidate:  # fmt: skip
    need = forecasts.need(estimator, sampler, tolerance)
    plan = plan_stages(forecasts, sampler, estimator, request)
    replicates = 1 if sampler.points.independent else plan.least
    seconds = _cpu_seconds(forecasts, estimator, sampler, plan.expected / replicates, replicates)
    reaches = need.samples is not None and plan.half_width <= request.target(forecasts.kl)
    option = _option(forecasts, estimator, sampler, need, plan)
    return _Candidate(option, plan, seconds, reaches)


def _cpu_seconds(
    forecasts: Forecasts, estimator: Estimator, sampler: Sampler, samples: float, replicates: int
) -> float:
    groups, chi_squares = forecasts.groups
    return estimate_seconds(
        forecasts.pair.dimension, sampler.name, 1, samples, replicates,
        groups=groups, chi_squares=chi_squares, seconds=forecasts.pair.seconds,
        by_factor=bool(estimator.sums),
    )  # fmt: skip


def _regime(forecasts: Forecasts) -> Regime:
    law = forecasts.law
    shape = shape_of(law)
    variance = shape.variance.value
    paired = math.nan
    if forecasts.pair.mirrored:
        paired = forecasts.unit(ESTIMATORS["k1"], SAMPLERS["antithetic"]).variance
    return Regime(
        log_ratio_variance=variance,
        log_ratio_variance_relative_error=shape.variance.relative,
        log_ratio_skewness=shape.skewness,
        log_ratio_excess_kurtosis=shape.excess_kurtosis,
        k3_variance_finite=k3_variance_finite(law),
        tail_index=-law.lowest_tilt,
        missed_mass=law.missed_mass,
        # The variances of k1 are compared at equal numbers of samples; a pair is two samples.
        antithetic_variance_ratio=2.0 * paired / variance if variance else math.nan,
        radial_numbers=sum(forecasts.pair.radial_numbers or ()) or None,
    )


def _option(
    forecasts: Forecasts, estimator: Estimator, sampler: Sampler, need: Need, plan: SamplingPlan
) -> Option:
    probability, method = _negative(forecasts, estimator, sampler, need)
    kl, seconds = forecasts.kl, math.nan
    if need.samples is not None:
        seconds = _cpu_seconds(forecasts, estimator, sampler, need.samples, 1)
    return Option(
        estimator=estimator.name,
        sampler=sampler.name,
        samples_needed=need.samples,
        expected_rmse=need.rmse,
        expected_relative_rmse=need.rmse / kl if kl > 0 else math.nan,
        probability_negative=probability,
        probability_negative_method=method,
        cpu_seconds=seconds,
        expected_bias=need.bias,
        has_std_error=sampler.points.independent
        and (need.samples or 0) > sampler.points.points * estimator.parameters,
        interval_samples=plan.expected if plan.withheld is None else None,
        theory=need.theory,
        relative_error=forecasts.unit(estimator, sampler).relative_error,
        verdict=need.verdict,
    )


def _negative(
    forecasts: Forecasts, estimator: Estimator, sampler: Sampler, need: Need
) -> tuple[float | None, str]:
    """The probability of a negative estimate with the samples needed, and how it was computed."""
    if estimator.never_negative:
        return 0.0, "never negative"
    if not estimator.linear or need.samples is None:
        return None, "not known"
    points = sampler.points
    if not points.independent and need.samples > 1:
        form = forecasts.form(sampler)
        if not isinstance(form, QuadraticForm):
            return None, "not known"
        probability = probability_negative_balanced(form, need.samples)
        return probability, "not known" if probability is None else "saddlepoint"
    if not isinstance(forecasts.law, AnalyticLaw):
        return None, "not known"
    units = need.samples // points.points
    probability = probability_negative(forecasts.law, units, points.mirrored)
    return probability, "not known" if probability is None else "inversion"


def _ranked(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The candidates that have an interval, the one to use first.

    Those without any error come first. Next come unbiased ones with exact theory, since no
    standard error shows a bias, and a leading order may not yet hold. Each kind begins with the one
    that takes the least CPU time, or a nearly equal one over independent samples. Those whose
    interval is wider than requested come last, the shortest interval first.
    """
    reached = [c for c in candidates if c.reached]
    perfect = [c for c in reached if c.unbiased and c.option.expected_rmse == 0.0]
    leading = [c for c in reached if c.option.verdict == LEADING]
    order: list[_Candidate] = []
    for kind in (perfect, [c for c in reached if c.unbiased], leading, reached):
        kind = [c for c in kind if c not in order]
        least = min((c.seconds for c in kind), default=0.0)
        most = max(_SAME_RATIO * least, least + _SAME_SECONDS)
        order += sorted((c for c in kind if c.seconds <= most), key=_preference)
        order += sorted((c for c in kind if c.seconds > most), key=lambda c: c.seconds)
    able = (c for c in candidates if c.plan.withheld is None and not c.reached)
    return order + sorted(able, key=lambda c: (c.plan.half_width, c.seconds))


def _preference(candidate: _Candidate) -> tuple[bool, float]:
    return not SAMPLERS[candidate.option.sampler].points.independent, candidate.plan.expected


def _without_interval(candidates: Sequence[_Candidate]) -> Sequence[Option]:
    """The best kind of options that reach the tolerance, though none has an interval."""
    options = [c.option for c in candidates if c.option.samples_needed is not None]
    exact = [o for o in options if o.verdict == OK]
    unbiased = [o for o in exact if o.expected_bias == 0.0]
    return unbiased or exact or options


def _recommendation(candidates: Sequence[_Candidate], request: Request) -> Recommendation | None:
    ranked = [c for c in _ranked(candidates) if c.option.samples_needed is not None]
    if ranked:
        best, samples = ranked[0].option, ranked[0].plan.expected
        reason = _reason(ranked, candidates, request)
    else:
        options = _without_interval(candidates)
        if not options:
            return None
        best, samples = min(options, key=lambda o: o.cpu_seconds), None
        withheld = next(c.plan.withheld for c in candidates if c.option is best)
        reason = f"its RMSE reaches the tolerance, but no choice has an interval: {withheld}"
    # Samples that cost much, such as a language model's, are independent.
    plain = [
        c.option for c in ranked
        if c.option.sampler == "iid" and (c.unbiased or c.option.verdict == LEADING)
    ]  # fmt: skip
    fewest = min([*plain, best], key=lambda o: o.samples)
    costly = None
    if fewest.samples < _FEWER * best.samples:
        costly = f"{fewest}{' (by a leading order)' if fewest.verdict == LEADING else ''}"
    assert best.samples_needed is not None
    return Recommendation(
        best.estimator, best.sampler, best.samples_needed, best.cpu_seconds, reason, samples,
        request.confidence, costly, _slower(ranked),
    )  # fmt: skip


def _slower(ranked: Sequence[_Candidate]) -> str | None:
    """What takes fewer samples than the first choice, but more time, and why."""
    scrambled = [
        c for c in ranked if c.unbiased and not SAMPLERS[c.option.sampler].points.independent
    ]
    if not scrambled or ranked[0] in scrambled:
        return None
    best, other = ranked[0], min(scrambled, key=lambda c: c.option.samples)
    if other.option.samples >= _FEWER * best.option.samples or other.seconds <= best.seconds:
        return None
    times = (duration(c.seconds, finest="ms") for c in (other, best))
    return (
        f"{other.option} have that RMSE too, but an interval takes {other.plan.least} independent "
        "scrambles: {} of CPU time instead of {}".format(*times)
    )


def _reason(
    ranked: Sequence[_Candidate], candidates: Sequence[_Candidate], request: Request
) -> str:
    best, option = ranked[0], ranked[0].option
    points = SAMPLERS[option.sampler].points
    if option.expected_rmse == 0.0:
        return (
            "an antithetic pair cancels the whole error: two pairs have a standard error of 0"
            if points.mirrored
            else "every single sample is KL, without any error"
        )
    parts = []
    if option.verdict == LEADING:
        parts.append("only a leading order says how many samples it takes: check the number")
    elif abs(option.expected_bias) > 0.0:
        parts.append(
            f"its bias is {option.expected_bias:.2g} nats, and no unbiased choice has such an "
            "interval"
        )
    plain = next(
        (c.option for c in candidates if (c.option.estimator, c.option.sampler) == ("k1", "iid")),
        None,
    )
    if plain is not None and plain is not option and plain.samples_needed is not None:
        seconds = plain.cpu_seconds / option.cpu_seconds
        time = f"{multiple(seconds)} times the" if seconds > 1.05 else "no more"
        parts.append(f"k1 over iid needs {plain.samples_needed:,} samples and {time} CPU time")
    if not points.independent:
        parts.append("its standard error comes from independent scrambles")
    if not parts:
        kind = "unbiased choice" if best.unbiased else "choice"
        parts.append(
            f"no other {kind} saves more than 2 ms or 20 % of the CPU time of an interval"
            if best.reached
            else f"no other {kind} gives a shorter interval from {request.most:,} samples"
        )
    return "; ".join(parts)
