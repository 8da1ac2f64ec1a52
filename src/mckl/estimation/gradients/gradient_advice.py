"""Recommends a gradient estimator for a pair, from exact theory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mckl.errors import one_line
from mckl.estimation.gradients import METHODS
from mckl.estimation.gradients.base import law_of
from mckl.estimation.gradients.gradient_theory import exact, needed, norm
from mckl.estimation.results import DASH, Result, Strong, Table, frame
from mckl.families.base import Pair
from mckl.text import short_count, two_digits

if TYPE_CHECKING:
    import pandas as pd

MOST_ENTRIES = 2**17  # the most different parameters; more would take too much memory
_ROUNDING = 1e-9  # a smaller relative bias is rounding
_WITH_GRADIENTS = (
    "a normal law with diagonal covariance, a categorical, or a policy of at most 64 states"
)
_NOTES = """\
The bias is the norm of (mean less gradient) divided by the gradient's norm. The cosine is that of
the angle between mean and gradient. The variance is the total one of one sample, in nats squared;
with a baseline, it is that in the limit of many samples."""


class GradientPair(NamedTuple):
    """A pair, its KL in nats, and the norm of the gradient in the parameters of q."""

    family: str
    dimension: int
    kl: float
    gradient_norm: float
    parameters: int


class MethodAdvice(NamedTuple):
    """What a gradient estimator's mean and variance are; NaN and None stand for what is not known.

    relative_bias, bias  the norm of (mean less gradient), relative to the gradient's norm or not
    cosine               of the angle between mean and gradient
    total_variance       of one sample, in nats squared
    samples_needed       the fewest samples that reach the tolerance; None if no number does
    verdict              ``ok``, or why the tolerance is not reached
    """

    method: str
    label: str
    relative_bias: float
    bias: float
    cosine: float
    total_variance: float
    samples_needed: int | None
    verdict: str

    @property
    def samples(self) -> float:
        """The samples needed, inf where no number reaches the tolerance."""
        return math.inf if self.samples_needed is None else self.samples_needed


class MethodRecommendation(NamedTuple):
    """The gradient estimator to use, the samples it needs, and why."""

    method: str
    label: str
    samples_needed: int
    reason: str


@dataclass(frozen=True, repr=False)
class GradientAdvice(Result):
    """Bias, variance and samples needed of every gradient estimator that the pair's family has.

    Attributes
    ----------
    pair
        The pair and the norm of its gradient.
    tolerance
        The largest relative RMSE of the gradient.
    methods
        What each gradient estimator gives.
    recommendation
        The one to use; None if none reaches the tolerance.
    """

    pair: GradientPair
    tolerance: float
    methods: tuple[MethodAdvice, ...]
    recommendation: MethodRecommendation | None

    def to_frame(self) -> pd.DataFrame:
        """The methods as a pandas data frame."""
        return frame(self.methods)

    def lines(self) -> Iterator[str]:
        pair, best = self.pair, self.recommendation
        zero = pair.gradient_norm == 0
        yield f"KL(q||p) = {pair.kl:.10g} nats, norm of its gradient {pair.gradient_norm:.10g}"
        if best is None:
            why = "the gradient is 0" if zero else "see the verdicts"
            yield f"No method reaches the tolerance: {why}."
        else:
            yield Strong(f"Use {best.method} ({best.label}): n = {best.samples_needed:,}.")
            yield f"Because {best.reason}."
        yield ""
        yield (
            f"{one_line(pair.family)}, dimension {pair.dimension:,}; the gradient is in the "
            f"{pair.parameters:,} parameters of q"
        )
        yield f"For a relative RMSE of at most {self.tolerance:g} of the gradient:"
        yield ""
        yield from self.table().lines(left=("what it is", "verdict"))
        yield ""
        yield from _NOTES.splitlines()
        if zero:
            yield "The gradient is 0: biases are absolute, in nats."

    def table(self) -> Table:
        zero, best = self.pair.gradient_norm == 0, self.recommendation
        rows = [_cells(method, zero) for method in self.methods]
        return Table(
            ("method", "what it is", "bias", "cosine", "variance", "samples", "verdict"),
            rows,
            next((row for row in rows if best and row[0] == best.method), None),
        )


def _cells(m: MethodAdvice, zero: bool) -> list[str]:
    bias = m.bias if zero else m.relative_bias
    shown = DASH
    if math.isfinite(bias):
        percent = two_digits(bias) if zero else _percent(bias)
        shown = "0" if bias < 1e-9 else percent
    infinite = m.verdict.startswith("infinite") or math.isfinite(bias)
    variance = "inf" if infinite else DASH
    return [
        m.method,
        m.label,
        shown,
        f"{m.cosine:.3f}" if math.isfinite(m.cosine) else DASH,
        f"{m.total_variance:.4g}" if math.isfinite(m.total_variance) else variance,
        DASH if m.samples_needed is None else short_count(m.samples_needed, digits_below=1e9),
        m.verdict,
    ]


def gradient_advice(pair: Pair, tolerance: float) -> GradientAdvice:
    """What `mckl.advise_gradient` answers.

    Raises ValueError if the family has no gradients, or q has too many different parameters.

    >>> from mckl.families.registry import sweep_pair
    >>> gradient_advice(sweep_pair("normal", 2, 1.25, 0.5), 0.1).recommendation.method
    'stl'
    """
    scores = pair.scores
    if scores is None:
        raise ValueError(f"{pair.family} has no gradients here: expected {_WITH_GRADIENTS}")
    if scores.count.size > MOST_ENTRIES:
        raise ValueError(
            f"{scores.count.size:,} different parameters, expected at most {MOST_ENTRIES:,}"
        )
    methods = []
    for method in METHODS.values():
        if not method.offered(scores):
            continue
        law = law_of(method, scores, 2)
        samples, verdict = needed(law, scores, tolerance, method.least_samples)
        limit = law._replace(shrinks=False)  # the limit for large n
        errors = exact(limit._replace(of_pairs=None), scores, 1)
        methods.append(
            MethodAdvice(
                method.name, method.label, errors.relative_bias, errors.bias, errors.cosine,
                errors.total_variance, samples, verdict,
            )
        )  # fmt: skip
    size = norm(scores.gradient, scores.count)
    return GradientAdvice(
        pair=GradientPair(pair.family, pair.dimension, pair.law.kl, size, scores.parameter_count),
        tolerance=tolerance,
        methods=tuple(methods),
        recommendation=_recommended(methods),
    )


def _recommended(methods: Sequence[MethodAdvice]) -> MethodRecommendation | None:
    """The usable unbiased method that needs the fewest samples; the first of equal ones.

    Biased methods are left out even if the bias is within the tolerance, since it would remain
    however many gradients a training averages.
    """
    reached = [m for m in methods if m.samples_needed and METHODS[m.method].at_hand]
    able = [m for m in reached if m.relative_bias < _ROUNDING]
    if not able:
        return None
    best = min(able, key=lambda m: m.samples)
    others = []
    fewest = min(reached, key=lambda m: m.samples)
    if fewest.samples < best.samples:
        others.append(
            f"{fewest.method} needs {fewest.samples_needed:,}, "
            f"but has a relative bias of {_percent(fewest.relative_bias)}"
        )
    for m in methods:
        if m is best or m is fewest or not METHODS[m.method].usual:
            continue
        if _ROUNDING < m.relative_bias < math.inf:
            others.append(f"{m.label} has a relative bias of {_percent(m.relative_bias)}")
        elif m.samples_needed is not None:
            others.append(f"{m.label} needs {m.samples_needed:,} samples")
    assert best.samples_needed is not None
    reason = "; ".join(["it is unbiased", *others])
    return MethodRecommendation(best.method, best.label, best.samples_needed, reason)


def _percent(share: float) -> str:
    return f"{two_digits(100.0 * share)} %"
