"""budget.parquet: the samples that every tolerance needs, from theory and as measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mckl.arrays import Vector, in_columns, vectors
from mckl.draw.points import SAMPLERS, Sampler
from mckl.estimation.budget import Forecasts, Tolerance
from mckl.estimation.values import ESTIMATORS
from mckl.study.settings import Setting

if TYPE_CHECKING:
    import pandas as pd

_WITHIN = 1.96  # standard errors of the measured mean squared error


def measured(
    samples: Vector, mse: Vector, std_error: Vector, limit: float, sampler: Sampler
) -> tuple[int | None, int | None, int | None]:
    """The samples from which on the measured RMSE is at most `limit`, and their 95 % interval.

    The number is interpolated between checkpoints on the log-log curve, then rounded up to whole
    units, and over Sobol' points to a power of two. All three are None if the RMSE does not reach
    the limit. The interval treats the measured mse as log-normal; its upper end is None if the
    upper curve does not reach the limit.

    samples, mse, std_error  The checkpoints in ascending order, the mean squared error at each, in
                             nats squared, and its standard error.
    limit                    The RMSE to reach, in nats.
    sampler                  The sampler, which decides the units.
    """
    middle = _crossing(samples, mse, limit**2, sampler) if limit > 0 else None
    if middle is None:
        return None, None, None
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.exp(_WITHIN * np.where(mse > 0, std_error / mse, 0.0))
    if not np.isfinite(factor).all():
        return middle, None, None
    return (
        middle,
        _crossing(samples, mse / factor, limit**2, sampler),
        _crossing(samples, mse * factor, limit**2, sampler),
    )


def _crossing(samples: Vector, mse: Vector, limit: float, sampler: Sampler) -> int | None:
    above = np.flatnonzero(~(mse <= limit))
    first = int(above[-1]) + 1 if above.size else 0
    if first == mse.size:
        return None
    n = float(samples[first])
    if first and mse[first] > 0:
        x, y = np.log(samples[first - 1 : first + 1]), np.log(mse[first - 1 : first + 1])
        n = math.exp(x[0] + (math.log(limit) - y[0]) * (x[1] - x[0]) / (y[1] - y[0]))
    whole = math.ceil(n * (1.0 - 1e-12))  # rounding may have added a tiny fraction
    if not sampler.points.independent:
        return 1 << (whole - 1).bit_length()
    points = sampler.points.points
    return -(-whole // points) * points


def _pooled(summary: pd.DataFrame) -> pd.DataFrame:
    """The mean squared error and its standard error over the replicates of all backends."""
    keys = ["setting", "sampler", "estimator", "samples"]
    frame = summary[[*keys, "replicates", "mse", "mse_std_error"]]
    frame = frame.astype(dict.fromkeys(keys[:-1], str))
    frame["squares"] = frame["replicates"] * frame["mse"]
    frame["error"] = (frame["replicates"] * frame["mse_std_error"]) ** 2
    out = frame.groupby(keys, sort=True)[["replicates", "squares", "error"]].sum(min_count=1)
    return out.assign(
        mse=out["squares"] / out["replicates"], std_error=np.sqrt(out["error"]) / out["replicates"]
    ).reset_index()


def budget_columns(
    settings: Sequence[Setting],
    samplers: Sequence[str],
    estimators: Sequence[str],
    tolerances: Sequence[float],
    summary: pd.DataFrame,
) -> Iterator[dict[str, list[object]]]:
    """The columns of budget.parquet, a batch for each setting and sampler; backends are pooled."""
    curves = {
        key: vectors(rows, "samples", "mse", "std_error")
        for key, rows in _pooled(summary).groupby(["setting", "sampler", "estimator"])
    }
    nothing = (np.empty(0), np.empty(0), np.empty(0))
    for setting in settings:
        forecasts = Forecasts(setting.pair)
        kl = forecasts.law.kl
        rows = []
        for sampler_name, those in setting.combinations(samplers, estimators).items():
            sampler = SAMPLERS[sampler_name]
            for estimator in (ESTIMATORS[name] for name in those):
                n, mse, error = curves.get((setting.name, sampler.name, estimator.name), nothing)
                for tolerance in tolerances:
                    need = forecasts.need(estimator, sampler, Tolerance(tolerance * kl))
                    seen = measured(n, mse, error, tolerance * kl, sampler)
                    row = {
                        "setting": setting.name,
                        "sampler": sampler.name,
                        "estimator": estimator.name,
                        "tolerance": tolerance,
                        "samples_needed": need.samples,
                        "samples_needed_measured": seen[0],
                        "samples_needed_low": seen[1],
                        "samples_needed_high": seen[2],
                        "theory": need.theory,
                        "verdict": need.verdict,
                    }
                    rows.append(row)
        if rows:
            yield in_columns(rows)
