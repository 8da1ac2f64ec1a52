"""About how long estimates take."""

from __future__ import annotations

from mckl.draw.form import NumberCost
from mckl.draw.points import SAMPLERS

# CPU seconds on the machine of docs/scaling.md, where the model and its fit stand.
_PER_EVALUATION = 2.5e-9
_PER_ESTIMATOR = 2.1e-9
_PER_CHECKPOINT = 2e-6  # and estimator


def estimate_seconds(
    dimension: int,
    sampler: str,
    estimators: int,
    samples: int,
    replicates: int,
    *,
    groups: int = 1,
    chi_squares: int = 1,
    checkpoints: int = 1,
    sharing: int = 1,
    number: NumberCost | None = None,
) -> float:
    """Estimated CPU seconds of one sampler on `sharing` pairs that share their draws.

    `groups` and `chi_squares` are what a radial sampler draws for a sample; `number` is what one
    number of another takes, None that of a normal.
    """
    points, radial = SAMPLERS[sampler].points, sampler.endswith("-radial")
    per_unit = (groups if radial else dimension) * points.seconds_per_normal
    if number is not None:
        drawn = number.draw if points.independent else number.quantile
        drawn += number.mirror if points.mirrored else 0.0
        per_unit = dimension * (drawn + sharing * points.points * number.evaluate)
    per_unit += chi_squares * points.seconds_per_chisquare if radial else 0.0
    draws = points.seconds_per_replicate + samples / points.points * per_unit
    own = samples * (_PER_EVALUATION + estimators * _PER_ESTIMATOR)
    own += checkpoints * estimators * _PER_CHECKPOINT
    return replicates * (draws + sharing * own)
