"""Gradient estimators and their exact laws.

A gradient estimator averages over n samples of q a random vector whose mean is meant to be the
gradient of KL(q_theta||p) in theta. Its error is measured in the Euclidean norm: the bias is the
norm of its mean less the gradient, and the total variance is the trace of its covariance.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Protocol

import numpy as np

from mckl.arrays import Vector
from mckl.families.scores import Draws, Rule, Scores, Weight, linear


class GradientForm(Protocol):
    """How a gradient estimator is formed from samples."""

    @property
    def needs(self) -> frozenset[str]:
        """The entries of `Scores.offers` that the family must have."""

    def moments(self, scores: Scores, highest: int = 4) -> Vector:
        """The moments 1 to `highest` of one sample's vector, shape (highest, parameters)."""

    def sums(self, draws: Draws, scores: Scores) -> Vector:
        """The sums of the vectors over samples, shape (replicates, parameters)."""


class Whole(NamedTuple):
    """A function of the whole l times the whole score; with `centred`, l - KL times the score."""

    weight: Weight
    centred: bool = False
    needs: frozenset[str] = frozenset()

    def _weight(self, scores: Scores) -> Weight:
        return linear(-scores.kl, 1.0) if self.centred else self.weight

    def moments(self, scores: Scores, highest: int = 4) -> Vector:
        moments = scores.whole(self._weight(scores), highest)
        if self.weight.terms is not None and not any(self.weight.terms[1:]):
            moments[0] = 0.0  # the mean of the score is exactly 0
        return moments

    def sums(self, draws: Draws, scores: Scores) -> Vector:
        ell = draws.ell.sum(axis=-1, keepdims=True)
        return draws.scored(self._weight(scores).at(ell))


class ByFactor(NamedTuple):
    """A sum over factors, as its `Rule` says."""

    rule: Rule
    needs: frozenset[str] = frozenset({"factor"})

    def moments(self, scores: Scores, highest: int = 4) -> Vector:
        return scores.by_factor(self.rule, highest)

    def sums(self, draws: Draws, scores: Scores) -> Vector:
        now, later, expected = self.rule
        total = draws.expected() if expected else 0.0
        weights = np.zeros_like(draws.ell) if expected else now.at(draws.ell)
        if later is not None and scores.factors > 1:
            ahead = draws.later if expected else later.at(draws.ell)
            assert ahead is not None
            weights[..., :-1] += np.cumsum(ahead[..., :0:-1], axis=-1)[..., ::-1]
        return np.asarray(total + draws.scored(weights))


class Pathwise(NamedTuple):
    """The derivative of l at fixed noise; with `stick`, without the score."""

    stick: bool
    needs: frozenset[str] = frozenset({"pathwise"})

    def moments(self, scores: Scores, highest: int = 4) -> Vector:
        return scores.pathwise(self.stick, highest)

    def sums(self, draws: Draws, scores: Scores) -> Vector:
        return draws.pathwise(self.stick)


class Method(NamedTuple):
    """A gradient estimator.

    name      the name in the config
    label     the name in words, for figures and tables
    form      how the vector of one sample is formed
    baseline  the mean of l that is subtracted from each l: over all samples (`batch`), over the
              other samples (`leave-one-out`), or none (None)
    usual     whether trainers use it, so that a recommendation is compared with it
    at_hand   whether it can be computed; not if it needs KL itself
    drawn     where the figure of errors has it: `always`, for `sequences` only, since elsewhere it
              comes close to one that is drawn, or `never`, as it does so everywhere
    """

    name: str
    label: str
    form: GradientForm
    baseline: str | None = None
    usual: bool = False
    at_hand: bool = True
    drawn: Literal["always", "sequences", "never"] = "always"

    def offered(self, scores: Scores) -> bool:
        """Whether the family with these scores has this method."""
        return self.form.needs <= scores.offers

    @property
    def least_samples(self) -> int:
        """The fewest samples that the method needs."""
        return 2 if self.baseline else 1


class GradientLaw(NamedTuple):
    """The exact law of a gradient estimator; `Scores.count` parameters share each entry.

    mean      the mean of one sample's vector, shape (parameters,)
    variance  the variance of each of its entries, shape (parameters,)
    fourth    the fourth central moment of each, shape (parameters,)
    of_pairs  a leave-one-out or batch mean adds of_pairs / (n (n - 1)) to the variance; None
              without a baseline
    shrinks   whether the mean over n samples is (n - 1)/n times `mean`, as with a batch mean

    inf where a moment diverges, NaN where no formula is known.
    """

    mean: Vector
    variance: Vector
    fourth: Vector
    of_pairs: Vector | None = None
    shrinks: bool = False

    def factor(self, n: float) -> float:
        """The mean over n samples, as a multiple of the mean of one sample's vector."""
        return (n - 1.0) / n if self.shrinks else 1.0

    def mean_at(self, n: float) -> Vector:
        """The mean of the estimate over n samples."""
        return self.mean * self.factor(n)

    def variance_at(self, n: float) -> Vector:
        """The variance of the estimate over n samples."""
        total = self.variance / n
        if self.of_pairs is not None:
            total = total + self.of_pairs / (n * (n - 1.0))
        return np.asarray(total * self.factor(n) ** 2)


@np.errstate(over="ignore", invalid="ignore")
def law_of(method: Method, scores: Scores, highest: int = 4) -> GradientLaw:
    """The exact law of a method; `highest` = 1 only has its mean, 2 has no fourth moment."""
    raw = method.form.moments(scores, highest)
    mean = raw[0]
    variance, fourth = (np.full(mean.shape, math.nan) for _ in range(2))
    if highest > 1:
        variance = np.where(raw[1] == np.inf, np.inf, np.maximum(raw[1] - mean**2, 0.0))
        # An entry that is constant has the variance 0, and not what rounding leaves.
        variance = np.where(variance <= 4e-16 * mean**2, 0.0, variance)
    if highest > 3:
        fourth = raw[3] - 4.0 * raw[2] * mean + 6.0 * raw[1] * mean**2 - 3.0 * mean**4
        finite = np.isfinite(raw).all(axis=0)
        lost = np.where(np.isnan(raw[3]), math.nan, math.inf)
        fourth = np.where(finite, np.maximum(fourth, variance**2), lost)
    if method.baseline is None:
        return GradientLaw(mean, variance, fourth)
    pairs = scores.variance * scores.fisher + scores.gradient**2
    return GradientLaw(mean, variance, fourth, pairs, method.baseline == "batch")


class Totals(NamedTuple):
    """Sums over each replicate's samples so far: their number, l, the score, l times the score."""

    samples: int
    ell: Vector
    score: Vector
    product: Vector

    def with_baseline(self, baseline: str) -> Vector:
        """The mean of (l - baseline) times the score, for the mean of l as the baseline."""
        n = self.samples
        away = self.product - self.ell[:, None] * self.score / n
        return away / (n if baseline == "batch" else n - 1)
