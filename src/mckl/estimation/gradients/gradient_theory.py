"""The bias, total variance and samples needed of a gradient estimator, from its exact law."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.budget import BIASED, FAR, INFINITE, OK, UNKNOWN, fewest
from mckl.estimation.gradients.base import GradientLaw
from mckl.families.scores import Scores
from mckl.limits import MOST_SAMPLES

ZERO = "the gradient is 0: nothing is relative to it"


class Numbers(NamedTuple):
    """The errors of an estimate over n samples. Norms are Euclidean, in nats per unit of theta.

    length          the norm of the estimate's mean
    bias, rmse      the norm of the mean less the gradient; the root mean squared norm of the error
    relative_bias, relative_rmse
                    the same divided by the gradient's norm; NaN where the gradient is 0
    cosine          the cosine of the angle between mean and gradient; NaN where one of them is 0
    total_variance  the trace of the estimate's covariance
    """

    length: float
    bias: float
    relative_bias: float
    cosine: float
    total_variance: float
    rmse: float
    relative_rmse: float


def numbers(mean: Vector, total_variance: float, gradient: Vector, count: Vector) -> Numbers:
    """The errors of an estimate with this mean and total variance."""
    size, length = norm(gradient, count), norm(mean, count)
    bias = norm(mean - gradient, count)
    rmse = math.sqrt(bias * bias + total_variance) if total_variance >= 0 else math.nan
    both = size > 0 and 0 < length < math.inf
    # Both vectors are scaled to norm 1 before they are multiplied, so that nothing underflows.
    along = float(count @ ((mean / length) * (gradient / size))) if both else math.nan
    return Numbers(
        length,
        bias,
        bias / size if size else math.nan,
        min(max(along, -1.0), 1.0),
        total_variance,
        rmse,
        rmse / size if size else math.nan,
    )


def norm(vector: Vector, count: Vector) -> float:
    """The Euclidean norm of a vector, in which each entry stands for `count` equal ones."""
    largest = float(np.max(np.abs(vector), initial=0.0))
    if not (0.0 < largest < math.inf):
        return largest
    return largest * math.sqrt(float(count @ (vector / largest) ** 2))


def total(variances: Vector, count: Vector) -> float:
    """The sum of variances over all parameters; each entry stands for `count` equal ones."""
    return float(np.sum(variances[count > 0] * count[count > 0]))


def exact(law: GradientLaw, scores: Scores, n: int) -> Numbers:
    """The exact errors of an estimate over n samples; NaN where not known."""
    return numbers(
        law.mean_at(n), total(law.variance_at(n), scores.count), scores.gradient, scores.count
    )


def needed(
    law: GradientLaw, scores: Scores, tolerance: float, least: int = 1
) -> tuple[int | None, str]:
    """The fewest samples, at least `least`, for this relative RMSE; else None, and why."""
    size = norm(scores.gradient, scores.count)
    if size == 0.0:
        return None, ZERO
    bias = norm(law.mean - scores.gradient, scores.count)  # the limit for large n
    if bias > 1e-12 * size and bias >= tolerance * size:
        return None, BIASED
    variance = total(law.variance, scores.count)
    if math.isnan(variance):
        return None, UNKNOWN
    if variance == math.inf:
        return None, INFINITE

    def reached(n: int) -> bool:
        return exact(law, scores, n).relative_rmse <= tolerance

    samples = fewest(reached, least, MOST_SAMPLES)
    return samples, FAR if samples is None else OK
