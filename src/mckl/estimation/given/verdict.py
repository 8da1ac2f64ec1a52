"""Decides which intervals the data allow, and why the others are withheld.

Only samples of q and p are known, so every reason is a statistical test or an extrapolation. None
of them finds every fault: docs/diagnostics.md says what each of them misses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from mckl.estimation.given.summary import WEIGHT, Influence, Shape, Summary
from mckl.estimation.pareto import limit
from mckl.estimation.values import K1, Estimator
from mckl.estimation.values.base import normal_from_moments
from mckl.text import count, counted

# The fewest units for an interval, and for that of a summand that is skewed by nature, such as a
# function of r or l^2, whose sample moments mean nothing with fewer units.
LEAST_UNITS, LEAST_SKEWED = 30, 500
# So many standard errors are no chance: for a mean of r or of the weights that should be 1, and for
# a drift or an autocorrelation that should be 0.
FAR, _DEPENDENT = 4.0, 3.5
# The least effective sample size of the samples of q as samples of p, by the variance of r.
_EFFECTIVE = 100
# A bias of a tenth of the half-width costs a 95 % interval 0.005 of its coverage.
_BIAS = 0.1
# Sample moments of skewed units tend to be too small, so the units required are multiplied by this.
_CAUTION = 2.0
# A standard error of so small a share of the estimate is rounding.
_ROUNDING = 1e-13
# A mean of r that is so near 1 is 1 but for rounding.
_ROUNDED_RATIO = 1e-15
# An interval that is nearly withheld is longer by up to this share. Many samples that pass a check
# by a small margin do so because they lack large values, and then their mean is too low as well.
_LONGER = 1.0


class Doubt(NamedTuple):
    """A reason against an interval, with the name that results give to its diagnostic."""

    diagnostic: str
    why: str


class Judged(NamedTuple):
    """One estimator's estimate from given samples, in nats.

    per          ``unit`` or ``token``
    half_width   the half-width of the interval; NaN where it is withheld
    doubts       the diagnostics' reasons against the interval; empty if there is an interval
    shape        skewness, excess kurtosis and tail index of the estimator's summand
    """

    estimator: str
    per: str
    estimate: float
    std_error: float
    half_width: float
    doubts: tuple[Doubt, ...]
    shape: Shape

    @property
    def withheld(self) -> str | None:
        """The first reason why there is no interval; None if there is one."""
        return self.doubts[0].why if self.doubts else None


class Mean(NamedTuple):
    """A sample mean whose exact value is 1, its standard error, and the effective sample size."""

    mean: float
    std_error: float
    effective_samples: float

    @property
    def varies(self) -> bool:
        """Whether the standard error is more than rounding."""
        return self.std_error > _ROUNDING * abs(self.mean)

    @property
    def z(self) -> float:
        """The difference of the mean from 1, in standard errors."""
        if self.std_error == 0.0:
            return 0.0 if self.mean == 1.0 else math.copysign(math.inf, self.mean - 1.0)
        return (self.mean - 1.0) / self.std_error


class Diagnostics(NamedTuple):
    """What the data show, whatever the estimator is.

    mean_ratio           the mean of r = p/q over units, expected 1
    mean_ratio_by_token  the mean over sequences of 1 + sum over tokens of r_t - 1; None without
                         sequences
    mean_weight          the mean of the weights q/s if the samples are of another law s; None if
                         they are of q
    mean_weight_tail_index
                         the tail index of these weights; NaN where not known
    ratio_settles_from   the units after which the mean of r is about normal, extrapolated from the
                         bulk of l
    drift, autocorrelation, autocorrelation_z
                         those of l, as `mckl.estimation.given.order.Dependence` has them
    """

    mean_ratio: Mean
    mean_ratio_by_token: Mean | None
    mean_weight: Mean | None
    mean_weight_tail_index: float
    ratio_settles_from: float
    drift: float
    autocorrelation: float
    autocorrelation_z: float

    def lines(self) -> Iterator[str]:
        """The diagnostics as lines of text."""
        for text, mean in (
            ("mean of p/q", self.mean_ratio),
            ("the same by token", self.mean_ratio_by_token),
            ("mean of q/s", self.mean_weight),
        ):
            if mean is not None:
                yield (
                    f"  {text:19} {mean.mean:.6g} ± {mean.std_error:.2g}, expected 1; "
                    f"effective samples {count(mean.effective_samples)}"
                )
        for name, value, text in (
            ("drift", self.drift, "standard errors between the halves"),
            ("autocorrelation", self.autocorrelation, "of neighbours"),
        ):
            if not math.isnan(value):
                yield f"  {name:19} {value:.2g} {text}"


def diagnostics(summary: Summary, shapes: dict[tuple[str, str], Shape]) -> Diagnostics:
    """The diagnostics of a summary that all estimators share."""
    view = summary.influence("unit")
    ell = shapes.get(("unit", K1.name), Shape(math.nan, math.nan, math.nan))
    weights = None
    if summary.weighted:
        moments = summary.moments
        weights = _mean_one(
            float(moments.mean("weight")[0]) - 1.0,
            float(moments.comoment("weight", "weight")[0]),
            moments.units,
        )
    n = summary.units
    variance = float(view.comoment("ell", "ell")[0]) / (n - 1) if n > 1 else math.nan
    return Diagnostics(
        _of_view(view, "ratio"),
        _of_view(view, "factor_ratio") if summary.sequences else None,
        weights,
        shapes[WEIGHT].tail_index if summary.weighted else math.nan,
        extrapolated(variance, ell.skewness),
        *summary.order.dependence(),
    )


def _of_view(view: Influence, name: str) -> Mean:
    return _mean_one(float(view.mean(name)[0]), float(view.comoment(name, name)[0]), view.units)


def _mean_one(excess: float, comoment: float, n: int) -> Mean:
    if n < 2:
        return Mean(1.0 + excess, math.nan, float(n))
    mean, square = 1.0 + excess, comoment / n
    effective = n / (1.0 + square / mean**2) if mean else 0.0
    return Mean(mean, math.sqrt(comoment / (n * (n - 1))), effective)


def extrapolated(variance: float, skewness: float) -> float:
    """The number of units after which the mean of r = e^-l is about normal, from the bulk of l.

    l is treated as a shifted gamma law with this variance and skewness, or as normal if the
    skewness is 0. The samples may have missed the lower tail of l, where r is large: for a normal l
    with variance 4, half of the mean of r comes from one sample in 5,000, and r's skewness is 414.

    >>> round(extrapolated(1.0, 0.0)), extrapolated(4.0, -2.0)
    (1530, inf)
    """
    if not (math.isfinite(variance) and variance > 0):
        return 0.0 if variance == 0 else math.inf
    skewness = 0.0 if math.isnan(skewness) else skewness

    def log_moment(s: float) -> float:
        """The logarithm of E e^(-s (l - E l))."""
        half = 0.5 * skewness * math.sqrt(variance)  # the scale of the gamma law
        x = s * half
        if abs(x) < 1e-4:
            return 0.5 * s * s * variance * (1.0 - 2.0 * x / 3.0)
        if x <= -1.0:
            return math.inf
        return variance / half**2 * (x - math.log1p(x))

    k1, k2, k3 = (log_moment(s) for s in (1.0, 2.0, 3.0))
    if k3 > 600.0:
        return math.inf
    second, third = math.exp(k2 - 2.0 * k1), math.exp(k3 - 3.0 * k1)
    excess = math.expm1(k2 - 2.0 * k1)
    of_ratio = (third - 3.0 * second + 2.0) / excess**1.5 if excess > 1e-8 else 0.0
    return normal_from_moments(of_ratio, 0.0)


# The names of the diagnostics, in the order in which they are applied.
DIAGNOSTICS = (
    "units", "above-1", "weights", "drift", "autocorrelation",
    "overflow", "mean-ratio", "effective", "extrapolated", "tail-index", "skewness", "bias",
)  # fmt: skip


def common_doubts(summary: Summary, found: Diagnostics) -> Iterator[Doubt]:
    """The reasons against the interval of every estimator."""
    n, what = summary.units, summary.unit
    if n < LEAST_UNITS:
        yield Doubt(
            "units",
            f"{counted(n, f'independent {what}')} cannot tell their spread, expected at least "
            f"{LEAST_UNITS}",
        )
    for mean in (found.mean_ratio, found.mean_ratio_by_token):
        if mean is None or not mean.z > FAR:
            continue
        if not mean.varies:  # p/q is the same in all samples, and others may be still to come
            if mean.mean - 1.0 > _ROUNDED_RATIO:
                yield _missed(mean)
        else:
            yield Doubt(
                "above-1",
                f"the mean of p/q is {mean.mean:.6g}, {mean.z:.3g} standard errors above 1, and "
                "under q it never exceeds 1: the samples are not q's, or log_q and log_p are "
                "swapped",
            )
    if (weights := found.mean_weight) is not None:
        if not math.isfinite(weights.mean):
            yield Doubt(
                "weights",
                "the weights q/s overflow: log_q and log_sampler differ by hundreds of nats",
            )
        if abs(weights.z) > FAR:
            yield Doubt(
                "weights",
                f"the mean of the weights q/s is {weights.mean:.4g}, {abs(weights.z):.3g} standard "
                "errors from 1: log_sampler is not what drew the samples",
            )
        if found.mean_weight_tail_index > limit(n):
            yield Doubt(
                "weights",
                f"the tail index of the weights q/s is {found.mean_weight_tail_index:.2f}, above "
                f"{limit(n):.2f}: a few samples decide everything",
            )
    drift, z = found.drift, found.autocorrelation_z
    if abs(drift) > _DEPENDENT:
        yield Doubt(
            "drift",
            f"ℓ drifts: its mean over the second half is {abs(drift):.3g} standard errors "
            f"{'above' if drift > 0 else 'below'} that over the first, so the {what}s are not of "
            "one q and p",
        )
    if abs(z) > _DEPENDENT:
        yield Doubt(
            "autocorrelation",
            f"neighbouring {what}s depend on each other (autocorrelation of ℓ "
            f"{found.autocorrelation:.2g}, {abs(z):.3g} standard errors from 0), so their standard "
            "error is not known",
        )


def doubts(
    summary: Summary, found: Diagnostics, estimator: Estimator, shape: Shape, half: float
) -> Iterator[Doubt]:
    """The reasons against the interval of this estimator alone."""
    n, name = summary.units, estimator.name
    what = "sequences" if summary.sequences else "samples"
    if not math.isfinite(half):
        yield Doubt("overflow", f"{name} overflows: e^-ℓ or ℓ² exceeds the largest number")
        return
    # The interval has no width if all samples have the same l. cv's residual may also vanish if the
    # samples have missed most values of l.
    if float(summary.moments.comoment("ell", "ell")[0]) == 0.0:
        ratio = _ratio_of(found, estimator)
        if estimator.uses_ratio and not abs(ratio.mean - 1.0) <= _ROUNDED_RATIO:
            yield _missed(ratio)
        return
    if (estimator.uses_ratio or not estimator.consistent) and n < LEAST_SKEWED:
        yield Doubt(
            "units", f"{n} {what} cannot tell the skewness of {name}, expected {LEAST_SKEWED}"
        )
    if estimator.uses_ratio:
        yield from _doubts_of_ratio(summary, found, estimator)
    if not math.isnan(shape.tail_index) and shape.tail_index > limit(n):
        yield Doubt(
            "tail-index",
            f"the tail index of what {name} averages is {shape.tail_index:.2f}, above "
            f"{limit(n):.2f}: its mean may hang on values that are still to come",
        )
    need = _CAUTION * normal_from_moments(shape.skewness, shape.excess_kurtosis)
    if not need <= n:
        yield Doubt(
            "skewness",
            f"what {name} averages is so skewed ({shape.skewness:.3g}) that its interval takes "
            f"about {count(need)} {what}",
        )


def _ratio_of(found: Diagnostics, estimator: Estimator) -> Mean:
    by_token = found.mean_ratio_by_token if estimator.sums else None
    return by_token or found.mean_ratio


def _missed(ratio: Mean) -> Doubt:
    told = f"{ratio.mean:.10g} in every sample and not 1"
    if ratio.varies:
        told = f"{ratio.mean:.4g}, {abs(ratio.z):.3g} standard errors from 1"
    return Doubt(
        "mean-ratio",
        f"the mean of p/q is {told}: the samples miss where p has its mass, or are not q's",
    )


def _doubts_of_ratio(summary: Summary, found: Diagnostics, estimator: Estimator) -> Iterator[Doubt]:
    n, what = summary.units, "sequences" if summary.sequences else "samples"
    ratio = _ratio_of(found, estimator)
    if abs(ratio.z) > FAR:
        if ratio.mean <= 0.0 and not estimator.sums:
            yield Doubt(
                "mean-ratio", "the mean of p/q is 0 and not 1: no sample fell where p has its mass"
            )
        yield _missed(ratio)
    if ratio.effective_samples < _EFFECTIVE:
        yield Doubt(
            "effective",
            f"as samples of p, the {n:,} {what} are worth {ratio.effective_samples:.3g}, and "
            f"{estimator.name} takes {_EFFECTIVE}",
        )
    if estimator.sums:
        return
    if found.ratio_settles_from == math.inf:
        yield Doubt(
            "extrapolated", "if ℓ goes on as its bulk does, the skewness of p/q is infinite"
        )
    elif _CAUTION * found.ratio_settles_from > n:
        yield Doubt(
            "extrapolated",
            "if ℓ goes on as its bulk does, the mean of p/q takes "
            f"{count(_CAUTION * found.ratio_settles_from)} {what} to settle",
        )


def closeness(summary: Summary, found: Diagnostics, estimator: Estimator, shape: Shape) -> float:
    """How near an interval is to being withheld for skewness, from 0 (far) to 1 (just given)."""
    need = normal_from_moments(shape.skewness, shape.excess_kurtosis)
    if estimator.uses_ratio and not estimator.sums:
        need = max(need, found.ratio_settles_from)
    return float(min(_CAUTION * need / summary.units, 1.0)) ** 2 if need == need else 1.0


def bias_doubt(summary: Summary, one: Judged, against: Judged | None) -> Doubt | None:
    """The reason against a biased estimator, from its difference to an unbiased one; None if none.

    Both use the same samples, so their difference shows the bias far more precisely than either
    shows KL. None instead of an unbiased estimate means that there is none.
    """
    if against is None:
        return Doubt(
            "bias", f"{one.estimator} is biased, and no unbiased estimator is known to compare with"
        )
    if against.doubts:
        return Doubt(
            "bias", f"the bias of {one.estimator} is not known, for {against.estimator} is withheld"
        )
    view = summary.influence(one.per)
    own, other = (summary.estimators[e.estimator].summand(view) for e in (one, against))  # type: ignore[arg-type]
    weights = {name: own.get(name, 0.0) - other.get(name, 0.0) for name in {**own, **other}}
    spread = sum(
        v * w * float(view.comoment(a, b)[0])
        for a, v in weights.items()
        for b, w in weights.items()
    )
    gap, error = one.estimate - against.estimate, math.sqrt(max(spread, 0.0)) / view.units
    if abs(gap) + 2.0 * error <= _BIAS * one.half_width:
        return None
    return Doubt(
        "bias",
        f"{one.estimator} is biased: on the same samples it is {gap:.3g} ± {error:.2g} nats from "
        f"{against.estimator}",
    )


def judge(summary: Summary, confidence: float = 0.95) -> tuple[Diagnostics, list[Judged]]:
    """The shared diagnostics, and all estimates per unit and, with sequences, per token."""
    shapes = summary.shapes()
    found = diagnostics(summary, shapes)
    common = [*common_doubts(summary, found)]
    judged: dict[tuple[str, str], Judged] = {}
    with np.errstate(all="ignore"):
        for per in summary.overs:
            for name, estimator in summary.estimators.items():
                shape = shapes[per, name]
                judged[per, name] = _judged(
                    summary, found, estimator, per, shape, confidence, common
                )
        for (per, name), one in judged.items():
            estimator = summary.estimators[name]
            if estimator.consistent or not math.isfinite(one.std_error):
                continue
            twin = estimator.unbiased_twin
            doubt = bias_doubt(summary, one, judged.get((per, twin.name)) if twin else None)
            if doubt is not None:
                judged[per, name] = _with(one, [*one.doubts, doubt])
    return found, [*judged.values()]


def _judged(
    summary: Summary, found: Diagnostics, estimator: Estimator, per: str, shape: Shape,
    confidence: float, common: Sequence[Doubt],
) -> Judged:  # fmt: skip
    view = summary.influence(per)
    estimate, variance = (float(v[0]) for v in estimator.estimate(view))  # type: ignore[arg-type]
    variance *= summary.jackknife(per, estimator.name)
    error = math.sqrt(variance) if variance >= 0 else math.nan
    longer = 1.0 + _LONGER * closeness(summary, found, estimator, shape)
    half = longer * error * _quantile(view.units - estimator.parameters, confidence)
    one = Judged(estimator.name, per, estimate, error, half, (), shape)
    # All units are the same, such as those of rb if every token has one full KL.
    averages_kl = estimator.consistent and not estimator.uses_ratio
    if averages_kl and error <= _ROUNDING * abs(estimate):
        return _with(one._replace(half_width=max(half, _ROUNDING * abs(estimate))), common)
    return _with(one, [*common, *doubts(summary, found, estimator, shape, half)])


def _with(one: Judged, found: Sequence[Doubt]) -> Judged:
    return one._replace(doubts=tuple(found), half_width=math.nan if found else one.half_width)


def _quantile(degrees: int, confidence: float) -> float:
    return float(stdtrit(degrees, 0.5 + confidence / 2)) if degrees > 0 else math.nan
