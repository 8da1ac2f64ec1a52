"""Estimates of the CPU time that estimation takes."""

from __future__ import annotations

from mckl.draw.form import Seconds
from mckl.draw.points import SAMPLERS

# CPU seconds on the machine of scaling.md, which describes the model and its fit.
_PER_EVALUATION = 2.5e-9
_PER_ESTIMATOR = 2.1e-9
_PER_CHECKPOINT = 2e-6  # and estimator
_PER_SAMPLE_BY_FACTOR, _PER_NORMAL_BY_FACTOR = 11e-9, 1.5e-9


def estimate_seconds(
    dimension: int,
    sampler: str,
    estimators: int,
    samples: float,
    replicates: int,
    *,
    groups: int = 1,
    chi_squares: int = 1,
    checkpoints: int = 1,
    sharing: int = 1,
    seconds: Seconds | None = None,
    slowness: float = 1.0,
    by_factor: int = 0,
) -> float:
    """Estimated CPU seconds of one sampler on `sharing` pairs that share their draws.

    `groups` and `chi_squares` are the numbers of normals and chi-squares that a radial sampler
    draws for a sample. `seconds` is the cost of one number (`mckl.families.base.Pair`), and None
    for normals. `slowness` is the backend's CPU time relative to NumPy; quantiles of laws other
    than normal ones are NumPy's in every backend. `by_factor` is the number of the estimators
    that take sums over factors; beside the sums these cost little.
    """
    _, points, radial = SAMPLERS[sampler]
    number = slowness * points.seconds_per_normal
    if seconds is not None and not radial:
        drawn = slowness * seconds.draw + (seconds.image if points.mirrored else 0.0)
        number = drawn if points.independent else seconds.quantile
    per_unit = (groups if radial else dimension) * number
    per_unit += slowness * chi_squares * points.seconds_per_chisquare if radial else 0.0
    draws = slowness * points.seconds_per_replicate + samples / points.points * per_unit
    draws += samples * (points.seconds_per_sample + (seconds.sample if seconds else 0.0))
    several = dimension > 1  # the only normal factor is the whole
    own = samples * (_PER_EVALUATION + (estimators - several * by_factor) * _PER_ESTIMATOR)
    if by_factor:  # other families compute one factor by factor all the same
        each = several * _PER_NORMAL_BY_FACTOR if seconds is None else seconds.sums
        own += samples * (several * _PER_SAMPLE_BY_FACTOR + dimension * each)
    own += checkpoints * estimators * _PER_CHECKPOINT
    return replicates * (draws + slowness * sharing * own)
