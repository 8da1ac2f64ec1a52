"""The tables of the notebook from which the study grew: one pair and one running mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.draw.streams import generator
from mckl.errors import NotFiniteError
from mckl.families.normal.pair import Diagonal
from mckl.study.settings import Setting

SAMPLES = 10_000
POINTS = 500


def notebook(chosen: Sequence[Setting]) -> Setting | None:
    """The case `notebook`, if it is a pair of diagonal normal laws in two dimensions or more."""
    for setting in chosen:
        if setting.case == "notebook" and setting.dimension >= 2:
            return setting if isinstance(setting.pair, Diagonal) else None
    return None


def points(setting: Setting, seed: int) -> Mapping[str, object]:
    """The first two coordinates of 500 points of q and of p, for notebook-points.parquet."""
    pair = setting.pair
    assert isinstance(pair, Diagonal)
    drawn = {
        name: mean + sd * generator(seed, "points", name).standard_normal(
            (POINTS, pair.dimension)
        )
        for name, mean, sd in (("q", pair.q_mean, pair.q_sd), ("p", pair.p_mean, pair.p_sd))
    }  # fmt: skip
    return {
        "distribution": [name for name in drawn for _ in range(POINTS)],
        "z1": np.concatenate([z[:, 0] for z in drawn.values()]),
        "z2": np.concatenate([z[:, 1] for z in drawn.values()]),
    }


def running(setting: Setting, seed: int) -> Mapping[str, Vector]:
    """The running mean of 10,000 iid samples of l and its standard error, for notebook.parquet.

    The samples are the first of replicate 0 of the case's `iid` trace.
    """
    from mckl.draw import backends

    sampler = SAMPLERS["iid"]
    form = sampler.form(setting.pair)
    replicates = backends.load("numpy")([form], sampler.points)
    following = replicates([sampler.key("numpy", form, seed, 0)])
    ell = following(SAMPLES)[0, 0, 0, 0]
    if not np.isfinite(ell).all():
        raise NotFiniteError(
            setting=setting.name, backend="numpy", sampler=sampler.name,
            replicate=0, sample=int(np.argmin(np.isfinite(ell))),
        )  # fmt: skip
    n = np.arange(1, SAMPLES + 1)
    mean = np.cumsum(ell) / n
    # sum (l - mean)^2 follows from sums of l less its first value, which lose no digits here.
    shifted = ell - ell[0]
    spread = np.cumsum(shifted**2) - np.cumsum(shifted) ** 2 / n
    with np.errstate(invalid="ignore", divide="ignore"):
        std_error = np.sqrt(np.maximum(spread, 0.0) / (n - 1) / n)
    return {
        "samples": n,
        "log_density_ratio": ell,
        "estimate": mean,
        "std_error": std_error,
        "squared_error": (mean - setting.pair.law.kl) ** 2,
    }
