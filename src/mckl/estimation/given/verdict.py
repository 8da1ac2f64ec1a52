"""Decides which intervals the data allow, and why the others are withheld.

A rule that withholds is judged by what it leaves. If it speaks where a rare event was seen, then
the intervals that are left come from samples that missed it, and cover less than all intervals
would. So k1's interval is lengthened for its skewness and not withheld for it, and estimators that
use r = p/q are replaced by k1 where r is in doubt. diagnostics.md has the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from mckl.estimation.given.full_kl import full_kl_fault
from mckl.estimation.given.order import Dependence
from mckl.estimation.given.signs import Signs
from mckl.estimation.given.summary import RATIO, Influence, Shape, Summary
from mckl.estimation.pareto import limit
from mckl.estimation.values import Estimator
from mckl.estimation.values.base import normal_from_moments
from mckl.text import count, counted

# The fewest independent units for an interval, and for one by token that uses r.
LEAST_UNITS, LEAST_SEQUENCES = 10, 20
# A sum over fewer tokens is like a whole sample, whose tail may be heavy.
FEW_TOKENS = 4
# If q is a law, and p is normalised, then P(sum of l <= -this) is at most 1e-6, since the mean of
# e^-(sum of l) is at most 1 (Markov's inequality). Rounding to 16 bits adds noise to the sum.
_EVIDENCE, _ROUNDING_DEVIATIONS = 13.82, 5.3
# So many standard errors are not due to chance: for a mean of r that should be 1, for a drift or an
# autocorrelation that should be 0, and for a mean of weights that should not exceed 1.
FAR_RATIO, DEPENDENT, FAR_WEIGHT, FAR_MEAN = 3.0, 3.5, 4.0, 5.0
# The least effective number of weighted samples, as a share of their number.
_EFFECTIVE = 0.15
# An event rarer than 3/n is missing in 5 % of data sets. One with this l is looked out for.
RARE, UNSEEN_ELL = 3.0, 10.0
# A bias by rounding of this share of the half-width costs a 95 % interval 0.02 of its coverage.
_BIAS = 0.2
# A standard error of so small a share of the estimate, and a mean of r so near 1, are rounding.
_ROUNDING, _ROUNDED_RATIO, _CANCELLED = 1e-13, 1e-15, 1e-7

# The names of the reasons against an interval, in the order in which they are looked for.
DIAGNOSTICS = (
    "units", "repeats", "signs", "evidence", "above-1", "weights", "overflow", "autocorrelation",
    "drift", "bias", "mean-ratio", "rounding", "tail-index", "skewness", "padding", "below-0",
    "full-kl",
)  # fmt: skip


class Doubt(NamedTuple):
    """A reason against an interval, with the name that results give to its diagnostic."""

    diagnostic: str
    why: str


class Judged(NamedTuple):
    """One estimator's estimate from given samples, in nats.

    per           ``unit`` or ``token``
    half_width    half the length of Student's interval, before it is lengthened
    interval      the lengthened interval
    doubts        the reasons against the interval; empty if it is given
    shape         skewness, tail index and largest value of the estimator's summand
    dependence    the dependence of units on earlier ones, by the same summand
    """

    estimator: str
    per: str
    estimate: float
    std_error: float
    half_width: float
    interval: tuple[float, float]
    doubts: tuple[Doubt, ...]
    shape: Shape
    dependence: Dependence

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
    def z(self) -> float:
        """The difference of the mean from 1, in standard errors."""
        if abs(self.mean - 1.0) <= _ROUNDED_RATIO:
            return 0.0
        constant = self.std_error <= _ROUNDING * abs(self.mean)
        gap = self.mean - 1.0
        return math.copysign(math.inf, gap) if constant else gap / self.std_error

    def __str__(self) -> str:
        return f"{self.mean:.6g} ± {self.std_error:.2g}"


class Diagnostics(NamedTuple):
    """What the data show, whatever the estimator is.

    mean_ratio           the mean of r = p/q over units, expected 1
    mean_ratio_by_token  the mean of r over tokens; None without sequences
    ratio_skewness       the skewness of r, with sequences that of its sum over tokens
    mean_weight          the mean of the weights q/s if the samples are of another law s; None if
                         they are of q
    drift, autocorrelation, autocorrelation_z
                         those of the trusted estimator's values, or else of l, as
                         `mckl.estimation.given.order.Dependence` has them
    """

    mean_ratio: Mean
    mean_ratio_by_token: Mean | None
    ratio_skewness: float
    mean_weight: Mean | None
    drift: float
    autocorrelation: float
    autocorrelation_z: float

    def lines(self) -> Iterator[str]:
        """The diagnostics as lines of text."""
        for text, mean in (
            ("mean of p/q", self.mean_ratio),
            ("mean over tokens", self.mean_ratio_by_token),
            ("mean of q/s", self.mean_weight),
        ):
            if mean is not None:
                effective = count(mean.effective_samples)
                yield f"  {text:19} {mean}, expected 1; effective samples {effective}"
        for name, value, text in (
            ("drift", self.drift, "standard errors between the halves"),
            ("autocorrelation", self.autocorrelation, "of neighbours"),
        ):
            if not math.isnan(value):
                yield f"  {name:19} {value:.2g} {text}"


def diagnostics(summary: Summary, shapes: Mapping[tuple[str, str], Shape]) -> Diagnostics:
    """The diagnostics of a summary that all estimators share."""
    view, weights = summary.influence("unit"), None
    if summary.weighted:
        moments = summary.moments
        scale = moments.units / summary.sequence_count  # of weights that are summed by cluster
        weight, square = moments.mean("weight")[0], moments.comoment("weight", "weight")[0]
        weights = _mean_one(float(scale * weight) - 1.0, float(scale**2 * square), moments.units)
    return Diagnostics(
        _of_view(view, "ratio"),
        _of_view(summary.influence("token"), "factor_ratio") if summary.sequences else None,
        shapes[RATIO].skewness,
        weights,
        *summary.dependence("k1"),
    )


def _of_view(view: Influence, name: str) -> Mean:
    return _mean_one(float(view.mean(name)[0]), float(view.comoment(name, name)[0]), view.units)


def _mean_one(excess: float, comoment: float, n: int) -> Mean:
    if n < 2:
        return Mean(1.0 + excess, math.nan, float(n))
    mean, square = 1.0 + excess, comoment / n
    effective = n / (1.0 + square / mean / mean) if mean else 0.0
    return Mean(mean, math.sqrt(comoment / (n * (n - 1))), effective)


def _noise(rounding_variance: float) -> float:
    return _ROUNDING_DEVIATIONS * math.sqrt(rounding_variance)


def _added(rounding_variance: float) -> float:
    """What rounding adds to the mean of e^x, if it adds this variance to x."""
    return math.expm1(min(0.5 * rounding_variance, 700.0))


def evidence(log_ratio_sum: float, rounding_variance: float, law: str = "log_q") -> str | None:
    """Why the sum of log q - log p proves that the data are wrong; None if it does not.

    Rounding adds `rounding_variance` to the sum. With samples of s, `law` is ``log_sampler``.
    """
    if log_ratio_sum > -_EVIDENCE - _noise(rounding_variance):
        return None
    letter = "q" if law == "log_q" else "s"
    return (
        f"the sum of log {letter} - log p is {log_ratio_sum:.4g}, which samples of {letter} have "
        f"with a probability below 1e-6: {law} and log_p are swapped or have the wrong sign, or "
        f"the samples are not {letter}'s, or log_p is not normalised"
    )


def common_doubts(summary: Summary, found: Diagnostics, signs: Signs) -> Iterator[Doubt]:
    """The reasons against the interval of every estimator."""
    n, what = summary.units, summary.unit
    if n < LEAST_UNITS:
        yield Doubt(
            "units",
            f"{counted(n, f'independent {what}')} cannot tell their spread, expected at least "
            f"{LEAST_UNITS}",
        )
    copies = summary.copies.number()
    if copies > 1:
        yield Doubt(
            "repeats",
            f"each of the {what}s occurs {copies} times or a multiple: expected every row once",
        )
    if padding := signs.unequal_padding():
        yield Doubt("signs", padding)
    # Nothing is proved by samples that depend on each other, such as those of a Markov chain.
    independent = not abs(found.autocorrelation_z) > DEPENDENT
    total = summary.log_ratio_sum / max(copies, 1)
    law = "log_sampler" if summary.weighted else "log_q"
    proof = evidence(total, signs.rounding_variance(law), law)
    if independent and proof:
        yield Doubt("evidence", proof)
    for text in signs.faults():
        yield Doubt("signs", text)
    # A mean of r >= 0 is above its expectation by chance if events with a small r are missing, each
    # of which has a probability of about 13.8/n at most, or through its largest values.
    ratio = found.mean_ratio_by_token or found.mean_ratio
    chance = FAR_MEAN * ratio.std_error + _EVIDENCE / summary.rows * (2.0 + summary.largest_ratio)
    chance += _added(signs.rounding_variance() / summary.rows)
    if independent and not summary.weighted and ratio.mean - 1.0 > chance:
        yield Doubt(
            "above-1",
            f"the mean of p/q is {ratio}, and under q it is at most 1: log_p is not normalised, or "
            "the samples are not q's",
        )
    if (weights := found.mean_weight) is None:
        return
    rounding = signs.rounding_variance("log_q", "log_sampler")
    above = weights.mean - 1.0 - _added(rounding / summary.sequence_count)
    if not math.isfinite(weights.mean):
        yield Doubt(
            "weights", "the weights q/s overflow: log_q and log_sampler differ by hundreds of nats"
        )
    elif summary.log_weight_sum > _EVIDENCE + _noise(rounding) or (
        weights.z > FAR_WEIGHT and above > FAR_WEIGHT * weights.std_error
    ):
        yield Doubt(
            "weights",
            f"the mean of q/s is {weights}, and under s it is at most 1: log_sampler is not what "
            "drew the samples, or log_q is not normalised",
        )
    elif weights.z < -FAR_WEIGHT:
        yield Doubt(
            "weights",
            f"the mean of q/s is {weights}, and without faults it is 1: s is 0 where q is not, on "
            f"{1 - weights.mean:.2g} of q, as after top-p sampling, and these samples cannot tell "
            "what that part adds to KL; or log_sampler is not in nats, or not normalised",
        )
    elif weights.effective_samples < _EFFECTIVE * n:
        yield Doubt(
            "weights",
            f"the weights q/s leave {weights.effective_samples:.3g} effective {what}s of {n:,}, "
            f"expected at least {_EFFECTIVE * 100:g} %: a few {what}s decide everything",
        )


def doubts(
    summary: Summary, found: Diagnostics, signs: Signs, estimator: Estimator, one: Judged
) -> Iterator[Doubt]:
    """The reasons against the interval of this estimator alone."""
    name, what = estimator.name, summary.unit
    if not math.isfinite(one.half_width):
        yield Doubt("overflow", f"{name} overflows: e^-ℓ or ℓ² exceeds the largest number")
        return
    drift, correlation, z = one.dependence
    if abs(z) > DEPENDENT:
        group = "" if summary.clustered else "if they share a prompt, give cluster; "
        yield Doubt(
            "autocorrelation",
            f"neighbouring {what}s depend on each other: the autocorrelation of {name} is "
            f"{correlation:.2g}, {abs(z):.3g} standard errors from 0 ({group}if they are sorted, "
            "shuffle them)",
        )
    if abs(drift) > DEPENDENT:
        yield Doubt(
            "drift",
            f"{name} drifts: its mean over the second half of the {what}s is {abs(drift):.3g} "
            f"standard errors {'above' if drift > 0 else 'below'} that over the first, so q or p "
            f"changed, or the {what}s are sorted",
        )
    if not estimator.consistent:
        yield _bias(summary, estimator, one)
    elif estimator.uses_ratio:
        yield from _doubts_of_ratio(summary, found, signs, estimator, one)
    if one.per == "token" and (padding := signs.padding()):
        yield Doubt("padding", padding)
    if one.interval[1] < 0.0:
        yield Doubt("below-0", below_0(name))


def rounding_bias(estimator: str, added: float, half_width: float) -> str | None:
    """Why rounding to 16 bits, which adds these nats, is too much; None if it is not."""
    if not added > _BIAS * half_width:
        return None
    return f"rounding to 16 bits adds about {added:.2g} nats to {estimator} (k1 averages it out)"


def below_0(estimator: str) -> str:
    """Why an interval below 0 is withheld."""
    return f"the interval of {estimator} is below 0, where no KL is"


def _bias(summary: Summary, estimator: Estimator, one: Judged) -> Doubt:
    twin = estimator.unbiased_twin
    why = f"{estimator.name} is biased, and no unbiased estimator is known to compare with"
    if twin is not None and twin.name in summary.estimators:
        gap = one.estimate - float(twin.estimate(summary.influence(one.per))[0][0])  # type: ignore[arg-type]
        why = (
            f"{estimator.name} is biased: on the same samples it is {gap:.3g} nats from {twin.name}"
        )
    return Doubt("bias", why)


def _doubts_of_ratio(
    summary: Summary, found: Diagnostics, signs: Signs, estimator: Estimator, one: Judged
) -> Iterator[Doubt]:
    n, name, what = summary.units, estimator.name, summary.unit
    ratio = found.mean_ratio_by_token if estimator.sums else found.mean_ratio
    assert ratio is not None
    if abs(ratio.z) > FAR_RATIO:
        tokens = " over tokens" if estimator.sums else ""
        yield Doubt("mean-ratio", f"the mean of p/q{tokens} is {ratio}, and {name} takes it as 1")
    added = 0.5 * signs.rounding_variance() / summary.sequence_count
    if one.per == "token":
        added *= summary.sequence_count / summary.rows
    if why := rounding_bias(name, added, one.half_width):
        yield Doubt("rounding", why)
    if estimator.sums and n < LEAST_SEQUENCES:
        yield Doubt("units", f"{name} takes at least {LEAST_SEQUENCES} {what}s, not {n}")
    if estimator.sums and summary.rows >= FEW_TOKENS * summary.sequence_count:
        return
    if not one.shape.tail_index <= limit(n):
        yield Doubt(
            "tail-index",
            f"{n:,} {what}s cannot tell the tail of {name}"
            if math.isnan(one.shape.tail_index)
            else f"the tail index of {name} is {one.shape.tail_index:.2f}, above {limit(n):.2f}",
        )
    if not normal_from_moments(one.shape.skewness, 0.0) <= n:
        yield Doubt(
            "skewness", f"{name} is too skewed ({one.shape.skewness:.3g}) for {n:,} {what}s"
        )


def judge(
    summary: Summary, confidence: float = 0.95, signs: Signs | None = None
) -> tuple[Diagnostics, list[Judged]]:
    """The shared diagnostics, and all estimates per unit and, with sequences, per token."""
    signs = signs or Signs()
    shapes = summary.shapes()
    found = diagnostics(summary, shapes)
    common = [*common_doubts(summary, found, signs)]
    with np.errstate(all="ignore"):
        judged = []
        checked = "rb" in summary.estimators and not any(d.diagnostic == "weights" for d in common)
        suspects, why = (checked and full_kl_fault(summary)) or ((), "")
        for per in summary.overs:
            for name, estimator in summary.estimators.items():
                one = _judged(summary, estimator, per, shapes[per, name], confidence)
                own = [*doubts(summary, found, signs, estimator, one)]
                if name in suspects:
                    own.append(Doubt("full-kl", why))
                judged.append(one._replace(doubts=(*common, *own)))
    return found, judged


def _judged(
    summary: Summary, estimator: Estimator, per: str, shape: Shape, confidence: float
) -> Judged:
    view = summary.influence(per)
    estimate, variance = (float(v[0]) for v in estimator.estimate(view))  # type: ignore[arg-type]
    variance *= summary.jackknife(per, estimator.name)
    # With weights, the variance of units that are all the same may be rounded to less than 0.
    known = math.sqrt(max(-variance, 0.0)) <= _CANCELLED * abs(estimate)
    error = math.sqrt(max(variance, 0.0)) if known else math.nan
    degrees, n = view.units - estimator.parameters, view.units
    t = float(stdtrit(degrees, 0.5 + confidence / 2)) if degrees > 0 else math.nan
    half = t * error
    if not estimator.uses_ratio and error <= _ROUNDING * abs(estimate):  # all units are the same
        half = max(half, _ROUNDING * abs(estimate))
    # Johnson, "Modified t tests and confidence intervals for asymmetrical populations" (1978),
    # shifts the interval by this; here the interval is joined with the shifted one.
    shift = error * shape.skewness * (1.0 + 2.0 * t * t) / (6.0 * math.sqrt(n)) if n else 0.0
    shift = 0.0 if math.isnan(shift) else min(max(shift, -half), half)
    interval = estimate - half + min(shift, 0.0), estimate + half + max(shift, 0.0)
    dependence = summary.dependence(estimator.name)
    return Judged(estimator.name, per, estimate, error, half, interval, (), shape, dependence)
