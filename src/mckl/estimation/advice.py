"""Recommends an estimator and a sampler for one pair, from exact theory alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mckl.draw.points import SAMPLERS, Sampler
from mckl.errors import UserError
from mckl.estimation.budget import LEADING, OK, Forecasts, Need, Tolerance
from mckl.estimation.cpu_time import estimate_seconds
from mckl.estimation.intervals import Request
from mckl.estimation.offered import offered as offers
from mckl.estimation.sequential import interval_samples
from mckl.estimation.shape import k3_variance_finite, shape_of
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.exact.moments import Bounded
from mckl.exact.negative import probability_negative
from mckl.exact.negative_balanced import probability_negative_balanced
from mckl.families.base import Pair
from mckl.families.normal.form import QuadraticForm
from mckl.text import for_json

# CPU times that differ by less than this count as equal; then an option with a standard error wins.
_SAME_SECONDS, _SAME_RATIO = 2e-3, 1.2
# An option is named for its few samples where it takes at most this share of those recommended.
_FEWER = 0.8
_SCRAMBLES = "its standard error comes from independent scrambles, which `mckl estimate` draws"


def divergences(pair: Pair) -> dict[str, Any]:
    """KL(q||p), KL(p||q), which may be inf, and their sum, in nats, with the pair's family.

    Raises `UserError` where KL(q||p) exceeds the largest float64.
    """
    kl, reverse = pair.law.kl, pair.reverse_kl
    if not math.isfinite(kl):
        raise UserError("KL(q||p) exceeds the largest number, 1.8e308")
    return {
        "family": pair.family,
        "dimension": pair.dimension,
        "kl": kl,
        "kl_relative_error": Bounded(kl, pair.law.kl_error).relative,
        "reverse_kl": reverse,
        "reverse_kl_relative_error": Bounded(reverse, pair.reverse_kl_error).relative,
        "symmetrised_kl": kl + reverse,
    }


def advise(
    pair: Pair,
    tolerance: float,
    relative: bool,
    confidence: float | None,
    samplers: Sequence[str],
    estimators: Sequence[str],
) -> dict[str, Any]:
    """Everything that `mckl advise` prints, as numbers and texts; None in place of NaN and inf.

    Parameters
    ----------
    pair
        q and p.
    tolerance, relative
        The largest RMSE allowed, in nats, or with `relative` as a multiple of KL.
    confidence
        If given, the tolerance limits the error of an estimate instead, with this probability.
    samplers, estimators
        The names of those to choose from.

    Raises
    ------
    UserError
        If KL(q||p) exceeds the largest float64.
    """
    forecasts = Forecasts(pair)
    law = forecasts.law
    known = {key: for_json(value) for key, value in divergences(pair).items()}
    offered = _offered(pair, samplers)
    limit = tolerance * law.kl if relative else tolerance
    options = _options(forecasts, Tolerance(limit, confidence), offered, estimators)
    return {
        "pair": known,
        "request": {
            "tolerance": tolerance,
            "relative": relative,
            "limit": limit,
            "confidence": confidence,
        },
        "regime": _regime(forecasts),
        "left_out": [name for name in samplers if name not in offered],
        "options": options,
        "recommendation": _recommendation(options),
    }


class Choice(NamedTuple):
    """An estimator and a sampler, by name."""

    estimator: str
    sampler: str


def choose(
    forecasts: Forecasts, request: Request, samplers: Sequence[str], estimators: Sequence[str]
) -> Choice:
    """The estimator and the sampler that `advise` recommends for this request.

    Where no number of samples is enough, the first estimator that one of the samplers allows, over
    iid-radial if this is among them, else over the first such sampler.
    """
    samplers = _offered(forecasts.pair, samplers)
    limit = request.target(forecasts.law.kl)
    tolerance = Tolerance(limit, request.confidence)
    best = _recommendation(_options(forecasts, tolerance, samplers, estimators))
    if best is not None:
        return Choice(best["estimator"], best["sampler"])
    return next(
        Choice(estimator, sampler)
        for estimator in estimators
        for sampler in sorted(samplers, key=lambda name: name != "iid-radial")
        if offers(forecasts.pair, SAMPLERS[sampler], ESTIMATORS[estimator])
    )


def _offered(pair: Pair, samplers: Sequence[str]) -> list[str]:
    """The samplers among these that can draw the pair's samples."""
    return [name for name in samplers if SAMPLERS[name].offered(pair)]


def _options(
    forecasts: Forecasts, tolerance: Tolerance, samplers: Sequence[str], estimators: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        _option(forecasts, ESTIMATORS[estimator], SAMPLERS[sampler], tolerance)
        for estimator in estimators
        for sampler in samplers
        if offers(forecasts.pair, SAMPLERS[sampler], ESTIMATORS[estimator])
    ]


def _regime(forecasts: Forecasts) -> dict[str, Any]:
    law = forecasts.law
    shape = shape_of(law)
    variance = shape.variance.value
    paired = math.nan
    if forecasts.pair.mirrored:
        paired = forecasts.unit(ESTIMATORS["k1"], SAMPLERS["antithetic"]).variance
    return {
        "log_ratio_variance": for_json(variance),
        "log_ratio_variance_relative_error": for_json(shape.variance.relative),
        "log_ratio_skewness": for_json(shape.skewness),
        "log_ratio_excess_kurtosis": for_json(shape.excess_kurtosis),
        "k3_variance_finite": k3_variance_finite(law),
        "tail_index": for_json(-law.lowest_tilt),
        "missed_mass": law.missed_mass,
        # The variances of k1 are compared at equal numbers of samples; a pair is two samples.
        "antithetic_variance_ratio": for_json(2.0 * paired / variance if variance else math.nan),
        "radial_numbers": sum(forecasts.pair.radial_numbers or ()) or None,
    }


def _option(
    forecasts: Forecasts, estimator: Estimator, sampler: Sampler, tolerance: Tolerance
) -> dict[str, Any]:
    need = forecasts.need(estimator, sampler, tolerance)
    interval = interval_samples(forecasts, estimator, sampler)
    probability, method = _negative(forecasts, estimator, sampler, need)
    kl = forecasts.law.kl
    seconds = None
    if need.samples is not None:
        groups, chi_squares = forecasts.groups
        seconds = estimate_seconds(
            forecasts.pair.dimension, sampler.name, 1, need.samples, 1,
            groups=groups, chi_squares=chi_squares, seconds=forecasts.pair.seconds,
            by_factor=bool(estimator.sums),
        )  # fmt: skip
    return {
        "estimator": estimator.name,
        "sampler": sampler.name,
        "samples_needed": need.samples,
        "expected_rmse": for_json(need.rmse),
        "expected_relative_rmse": for_json(need.rmse / kl if kl > 0 else math.nan),
        "probability_negative": probability,
        "probability_negative_method": method,
        "cpu_seconds": seconds,
        "expected_bias": for_json(need.bias),
        "standard_error": sampler.points.independent
        and (need.samples or 0) > sampler.points.points * estimator.parameters,
        "interval_samples": math.ceil(interval) if math.isfinite(interval) else None,
        "theory": need.theory,
        "relative_error": forecasts.unit(estimator, sampler).relative_error,
        "verdict": need.verdict,
    }


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


def _recommendation(options: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The option that takes the least CPU time, or a nearly equal one that has a standard error.

    Options without any error come first. Next come unbiased ones with exact theory, since no
    standard error shows a bias, and a leading order may not yet hold. Options whose interval would
    be withheld come last. An option's CPU time includes the samples that its interval takes.
    """
    exact = [o for o in options if o["verdict"] == OK]
    unbiased = [o for o in exact if o["expected_bias"] == 0.0]
    leading = [o for o in options if o["verdict"] == LEADING]
    perfect = [o for o in unbiased if o["expected_rmse"] == 0.0]
    covered = [[o for o in group if o["interval_samples"]] for group in (unbiased, leading, exact)]
    for known in (perfect, *covered, unbiased, exact, leading):
        if known:
            break
    else:
        return None
    cheapest = min(map(_seconds, known))
    close = [
        o for o in known
        if _seconds(o) <= max(_SAME_RATIO * cheapest, cheapest + _SAME_SECONDS)
    ]  # fmt: skip
    best = min(close, key=lambda o: (not o["standard_error"], o["samples_needed"]))
    chosen = {key: best[key] for key in ("estimator", "sampler", "samples_needed", "cpu_seconds")}
    reason = _reason(best, known)
    # Samples that cost much, such as a language model's, are independent.
    plain = [o for o in (*unbiased, *leading) if o["sampler"] == "iid"]
    fewest = min([*plain, best], key=lambda o: o["samples_needed"])
    if fewest["samples_needed"] < _FEWER * best["samples_needed"]:
        order = ", by a leading order" if fewest["verdict"] == LEADING else ""
        reason += f"; if samples cost more than to draw them here, {_named(fewest)} do{order}"
    return {**chosen, "reason": reason}


def _seconds(option: Mapping[str, Any]) -> float:
    """CPU seconds for the samples needed, or for those of an interval if these are more."""
    needed = option["samples_needed"]
    return float(option["cpu_seconds"] * max((option["interval_samples"] or 0) / needed, 1.0))


def _reason(best: dict[str, Any], known: Sequence[dict[str, Any]]) -> str:
    parts = []
    if best["verdict"] == LEADING:
        parts.append("only a leading order says how many samples it takes: check the number")
    elif best["expected_bias"]:
        parts.append(
            f"its bias is {best['expected_bias']:.2g} nats, and no unbiased estimator "
            "reaches the tolerance"
        )
    plain = next((o for o in known if (o["estimator"], o["sampler"]) == ("k1", "iid")), None)
    if plain is not None and plain is not best:
        samples = plain["samples_needed"] / best["samples_needed"]
        seconds = plain["cpu_seconds"] / best["cpu_seconds"]
        text = f"k1 over iid needs {plain['samples_needed']:,} samples"
        more = [f"{samples:,.3g} times as many"] * (samples > 1.005)
        more += [f"{seconds:,.3g} times the CPU time"] * (seconds > 1.05)
        if samples < 0.995 and more:
            parts.append(f"{text}, which is fewer, but takes {more[0]}")
        else:
            parts.append(", ".join([text, " and ".join(more)] if more else [text]))
    fewest = min(known, key=lambda o: (o["samples_needed"], not o["standard_error"]))
    if best["expected_rmse"] == 0.0:
        pairs = SAMPLERS[best["sampler"]].points.mirrored
        parts.append(
            "an antithetic pair cancels the whole error: two pairs have a standard error of 0"
            if pairs
            else "every single sample is KL, without any error"
        )
    elif best["samples_needed"] <= 2:
        parts.append("its spread is within the tolerance with the fewest samples possible")
    elif best["standard_error"]:
        parts.append(
            "it has a standard error, and no other choice saves more than 2 ms or 20 % of CPU time"
        )
        if fewest["samples_needed"] < best["samples_needed"] and not fewest["standard_error"]:
            parts.append(f"{_named(fewest)} would be enough, but {_without_error(fewest)}")
    else:
        parts.append(f"it takes the least CPU time; {_without_error(best)}")
    return "; ".join(parts)


def _without_error(option: dict[str, Any]) -> str:
    """Why an option has no standard error."""
    if SAMPLERS[option["sampler"]].points.independent:
        return "so few samples have no standard error"
    return _SCRAMBLES


def _named(option: dict[str, Any]) -> str:
    return f"{option['estimator']} over {option['samples_needed']:,} {option['sampler']} samples"
