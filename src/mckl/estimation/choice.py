"""Chooses an estimator and a sampler for one pair, from exact theory alone."""

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
from mckl.estimation.offered import offered as offers
from mckl.estimation.offered import offered_samplers
from mckl.estimation.sequential import interval_samples
from mckl.estimation.shape import k3_variance_finite, shape_of
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.exact.negative import probability_negative
from mckl.exact.negative_balanced import probability_negative_balanced
from mckl.families.base import Pair
from mckl.families.normal.form import QuadraticForm
from mckl.text import multiple

# CPU times that differ by less than this count as equal; then an option with a standard error wins.
_SAME_SECONDS, _SAME_RATIO = 2e-3, 1.2
# An option is named for its few samples where it takes at most this share of those recommended.
_FEWER = 0.8
_SCRAMBLES = "its standard error comes from independent scrambles, which `mckl estimate` draws"


def advice_of(
    pair: Pair,
    request: Request,
    confidence: float | None = None,
    samplers: Sequence[str] = (),
    estimators: Sequence[str] = (),
) -> Advice:
    """The samples that each estimator and sampler needs, and which of them to use.

    Parameters
    ----------
    pair
        q and p.
    request
        The largest RMSE allowed.
    confidence
        If given, the tolerance limits the error of an estimate instead, with this probability.
    samplers, estimators
        The names of those to choose from; all if empty.

    Raises
    ------
    UserError
        If KL(q||p) exceeds the largest float64.
    """
    samplers = [name for name in SAMPLERS if name in samplers or not samplers]
    estimators = [name for name in ESTIMATORS if name in estimators or not estimators]
    forecasts, kl = Forecasts(pair), divergences(pair)
    offered = offered_samplers(pair, samplers)
    limit = request.target(kl)
    options = _options(forecasts, Tolerance(limit, confidence), offered, estimators)
    return Advice(
        pair=kl,
        request=Precision(request.tolerance, request.relative, limit, confidence),
        regime=_regime(forecasts),
        left_out=tuple(name for name in samplers if name not in offered),
        options=tuple(options),
        recommendation=_recommendation(options),
    )


class Choice(NamedTuple):
    """An estimator and a sampler, by name."""

    estimator: str
    sampler: str

    def __str__(self) -> str:
        return f"{self.estimator} over {self.sampler}"


def choose(
    forecasts: Forecasts, request: Request, samplers: Sequence[str], estimators: Sequence[str]
) -> Choice:
    """The estimator and the sampler that `advice_of` recommends for this request.

    Where no number of samples is enough, the first estimator that one of the samplers allows, over
    iid-radial if this is among them, else over the first such sampler.
    """
    samplers = offered_samplers(forecasts.pair, samplers)
    limit = request.target(forecasts.law.kl)
    tolerance = Tolerance(limit, request.confidence)
    best = _recommendation(_options(forecasts, tolerance, samplers, estimators))
    if best is not None:
        return Choice(best.estimator, best.sampler)
    return next(
        Choice(estimator, sampler)
        for estimator in estimators
        for sampler in sorted(samplers, key=lambda name: name != "iid-radial")
        if offers(forecasts.pair, SAMPLERS[sampler], ESTIMATORS[estimator])
    )


def _options(
    forecasts: Forecasts, tolerance: Tolerance, samplers: Sequence[str], estimators: Sequence[str]
) -> list[Option]:
    return [
        _option(forecasts, ESTIMATORS[estimator], SAMPLERS[sampler], tolerance)
        for estimator in estimators
        for sampler in samplers
        if offers(forecasts.pair, SAMPLERS[sampler], ESTIMATORS[estimator])
    ]


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
    forecasts: Forecasts, estimator: Estimator, sampler: Sampler, tolerance: Tolerance
) -> Option:
    need = forecasts.need(estimator, sampler, tolerance)
    interval = interval_samples(forecasts, estimator, sampler)
    probability, method = _negative(forecasts, estimator, sampler, need)
    kl = forecasts.law.kl
    seconds = math.nan
    if need.samples is not None:
        groups, chi_squares = forecasts.groups
        seconds = estimate_seconds(
            forecasts.pair.dimension, sampler.name, 1, need.samples, 1,
            groups=groups, chi_squares=chi_squares, seconds=forecasts.pair.seconds,
            by_factor=bool(estimator.sums),
        )  # fmt: skip
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
        interval_samples=math.ceil(interval) if math.isfinite(interval) else None,
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
        found = probability_negative_balanced(form, need.samples)
        return found, "not known" if found is None else "saddlepoint"
    if not forecasts.law.analytic:
        return None, "not known"
    units = need.samples // points.points
    found = probability_negative(forecasts.law, units, points.mirrored)
    return found, "not known" if found is None else "inversion"


def _recommendation(options: Sequence[Option]) -> Recommendation | None:
    """The option that takes the least CPU time, or a nearly equal one that has a standard error.

    Options without any error come first. Next come unbiased ones with exact theory, since no
    standard error shows a bias, and a leading order may not yet hold. Options whose interval would
    be withheld come last. An option's CPU time includes the samples that its interval takes.
    """
    exact = [o for o in options if o.verdict == OK]
    unbiased = [o for o in exact if o.expected_bias == 0.0]
    leading = [o for o in options if o.verdict == LEADING]
    perfect = [o for o in unbiased if o.expected_rmse == 0.0]
    covered = [[o for o in group if o.interval_samples] for group in (unbiased, leading, exact)]
    for usable in (perfect, *covered, unbiased, exact, leading):
        if usable:
            break
    else:
        return None
    cheapest = min(map(_seconds, usable))
    close = [
        o for o in usable
        if _seconds(o) <= max(_SAME_RATIO * cheapest, cheapest + _SAME_SECONDS)
    ]  # fmt: skip
    best = min(close, key=lambda o: (not o.has_std_error, o.samples))
    reason = _reason(best, usable)
    # Samples that cost much, such as a language model's, are independent.
    plain = [o for o in (*unbiased, *leading) if o.sampler == "iid"]
    fewest = min([*plain, best], key=lambda o: o.samples)
    if fewest.samples < _FEWER * best.samples:
        order = " (by a leading order)" if fewest.verdict == LEADING else ""
        reason += f"; if a sample costs more than to draw it here, take {fewest}{order}"
    assert best.samples_needed is not None
    return Recommendation(
        best.estimator, best.sampler, best.samples_needed, best.cpu_seconds, reason
    )


def _seconds(option: Option) -> float:
    """CPU seconds for the samples needed, or for those of an interval if these are more."""
    return option.cpu_seconds * max((option.interval_samples or 0) / option.samples, 1.0)


def _reason(best: Option, usable: Sequence[Option]) -> str:
    parts = []
    if best.verdict == LEADING:
        parts.append("only a leading order says how many samples it takes: check the number")
    elif abs(best.expected_bias) > 0.0:
        parts.append(
            f"its bias is {best.expected_bias:.2g} nats, and no unbiased estimator "
            "reaches the tolerance"
        )
    plain = next((o for o in usable if (o.estimator, o.sampler) == ("k1", "iid")), None)
    if plain is not None and plain is not best:
        samples = plain.samples / best.samples
        seconds = plain.cpu_seconds / best.cpu_seconds
        text = f"k1 over iid needs {plain.samples_needed:,} samples"
        more = []
        if samples > 1.005:
            more.append(f"{multiple(samples)} times as many")
        if seconds > 1.05:
            more.append(f"{multiple(seconds)} times the CPU time")
        if samples < 0.995 and more:
            parts.append(f"{text}, which is fewer, but takes {more[0]}")
        else:
            parts.append(", ".join([text, " and ".join(more)] if more else [text]))
    fewest = min(usable, key=lambda o: (o.samples, not o.has_std_error))
    if best.expected_rmse == 0.0:
        pairs = SAMPLERS[best.sampler].points.mirrored
        parts.append(
            "an antithetic pair cancels the whole error: two pairs have a standard error of 0"
            if pairs
            else "every single sample is KL, without any error"
        )
    elif best.samples <= 2:
        parts.append("its spread is within the tolerance with the fewest samples possible")
    elif best.has_std_error:
        parts.append(
            "it has a standard error, and no other choice saves more than 2 ms or 20 % of CPU time"
        )
        if fewest.samples < best.samples and not fewest.has_std_error:
            parts.append(f"{fewest} would be enough, but {_without_error(fewest)}")
    else:
        parts.append(f"it takes the least CPU time; {_without_error(best)}")
    return "; ".join(parts)


def _without_error(option: Option) -> str:
    """Why an option has no standard error."""
    if SAMPLERS[option.sampler].points.independent:
        return "so few samples have no standard error"
    return _SCRAMBLES
