"""Reasons to report an estimate without an interval, from theory and from its samples.

An interval may be short, stable and wrong: samples that missed the part of q in which p has its
mass do not show what they missed (theory.md, section 8). So theory comes first. Before
anything is drawn it decides whether the estimator's law allows an interval, and from how many units
on. The samples are examined second, since they reveal a fault only by chance.
"""

from __future__ import annotations

import math

from mckl.draw.points import Sampler
from mckl.estimation.budget import Forecasts
from mckl.estimation.pareto import limit
from mckl.estimation.stages import StageResults
from mckl.estimation.values import Estimator
from mckl.estimation.values.base import TOO_LARGE
from mckl.text import count

# A mean of r further than this many standard errors from 1 is not due to chance.
_FAR = 5.0
# A bias of a tenth of the half-width costs a 95 % interval 0.005 of its coverage.
_BIAS = 0.1


def known_reason(
    forecasts: Forecasts, estimator: Estimator, sampler: Sampler, half_width: float
) -> str | None:
    """Why no number of samples gives an interval of this half-width, in nats; else None."""
    unit, name = forecasts.unit(estimator, sampler), estimator.name
    points, sums = sampler.points, estimator.additive and unit.variance < math.inf
    if not points.independent and not (points.balanced and sums):
        over = "Sobol'" if points.balanced else points.name
        return f"the law of {name} over {over} points is not known"
    if unit.variance == math.inf:
        return f"the variance of {name} is infinite ({unit.reason})"
    if unit.kind == "none" and unit.reason == TOO_LARGE:
        return f"the variance of {name} is {TOO_LARGE}"
    if unit.kind == "none":
        return f"the error of {name} is not known here ({unit.reason})"
    if math.isnan(half_width):
        return "KL is not known, and the tolerance is relative to it"
    if unit.kind == "exact" and abs(unit.bias) > _BIAS * half_width:
        return (
            f"{name} is biased by {unit.bias:.4g} nats, so that its interval would be about "
            f"{forecasts.law.kl + unit.bias:.6g} nats, and not about KL"
        )
    if forecasts.normal_from(estimator, sampler) == math.inf:
        return (
            f"the third moment of {name} is infinite, so no number of samples is known from which "
            "its interval covers"
        )
    return None


def budget_reason(estimator: Estimator, samples: float, most: int) -> str | None:
    """Why a budget of `most` samples is too small for an interval that needs `samples`; or None."""
    if samples <= most:
        return None
    return (
        f"{estimator.name} is so skewed here that its interval takes at least "
        f"{count(samples, digits_below=1e9)} samples, and the budget is "
        f"{count(most, digits_below=1e9)}"
    )


def seen_reason(
    estimator: Estimator,
    seen: StageResults,
    ratio_variance: float = math.inf,
    ratio_mean: float = 1.0,
) -> str | None:
    """The fault that the samples of a stage show against its interval; None if they show none.

    `ratio_variance` is the exact variance of r over one unit, if it is known and finite; otherwise
    the samples' variance is used. `ratio_mean` is E r.
    """
    if estimator.uses_ratio:
        reason = ratio_reason(seen.mean_ratio)
        if reason is not None:
            return reason
        of_units = ratio_variance if math.isfinite(ratio_variance) else seen.ratio_variance
        error = math.sqrt(of_units / seen.units)
        off = abs(seen.mean_ratio - ratio_mean)
        if off > _FAR * error:
            return (
                f"the mean of p/q over the samples is {seen.mean_ratio:.3g}, "
                f"{off / error if error else math.inf:.3g} standard errors "
                f"from {ratio_mean:.6g}: the samples missed where p has its mass"
            )
    if not math.isnan(seen.tail_index) and seen.tail_index > limit(seen.units):
        return (
            f"the largest of the values that {estimator.name} averages have a tail index of "
            f"{seen.tail_index:.2f}, above {limit(seen.units):.2f}: their mean may hang on values "
            "that are still to come"
        )
    return None


def ratio_reason(mean_ratio: float) -> str | None:
    """The fault of a mean of r that is not a positive finite number; None if it is one."""
    if math.isnan(mean_ratio):
        return "the mean of p/q over the samples is not a number"
    if mean_ratio == math.inf:
        return "the mean of p/q over the samples is infinite: p/q overflowed"
    if mean_ratio <= 0.0:
        return "the mean of p/q over the samples is 0 and not 1: none fell where p has its mass"
    return None
