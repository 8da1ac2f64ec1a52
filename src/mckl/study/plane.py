"""Which estimator has the smallest error over the plane, by exact theory and as measured.

The tables are those of studies/plane.yaml (theory) and studies/plane-measured.yaml (summary).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mckl.estimation.values import ESTIMATORS, K1

if TYPE_CHECKING:
    import pandas as pd

TIE = 1.05  # an estimator wins if no simpler one is within 5 % of its RMSE
NEAR = 1.1  # measurement agrees if the choice of theory is within 10 % of the smallest RMSE
# What may be used: if log q and log p of the whole sample are known, and of every factor.
USABLE = {
    "whole": [name for name, estimator in ESTIMATORS.items() if not estimator.sums],
    "factors": [*ESTIMATORS],
}


def by_plainness(names: Sequence[str]) -> list[str]:
    """The estimators with the simplest first; one whose bias remains comes last."""
    return sorted(names, key=lambda name: not ESTIMATORS[name].consistent)


def plane_rows(settings: pd.DataFrame, theory: pd.DataFrame) -> pd.DataFrame:
    """The winner of each setting over iid samples, at the largest number of samples.

    Returns
    -------
    pandas.DataFrame
        A row for each setting: dimension, scale, offset; for each key of `USABLE` the winner, and
        in ``KEY_gain`` the mean squared error of k1 over that of the winner; and ``sobol_gain``,
        the same for k1 over Sobol' points.
    """
    last = theory[theory["samples"] == theory["samples"].max()]
    mse = {
        sampler: rows.pivot(index="setting", columns="estimator", values="exact_mse")
        for sampler, rows in last.groupby("sampler", observed=True)
    }
    out = settings.set_index("setting")[["dimension", "scale", "offset"]].copy()
    iid = mse["iid"].reindex(out.index)
    for key, names in USABLE.items():
        order = [name for name in by_plainness(names) if name in iid]
        errors = iid[order].fillna(np.inf).to_numpy()
        near = errors <= errors.min(axis=1, keepdims=True) * TIE**2
        place = near.argmax(axis=1)
        out[key] = np.array(order, object)[place]
        out[f"{key}_gain"] = iid[K1.name] / errors[np.arange(len(out)), place]
    out["sobol_gain"] = iid[K1.name] / mse["sobol"][K1.name].reindex(out.index)
    return out


def measured_ratio(plane: pd.DataFrame, summary: pd.DataFrame, key: str) -> pd.DataFrame:
    """How the choice of theory did in measurement.

    Returns
    -------
    pandas.DataFrame
        A row for each measured setting: the columns of `plane_rows`; ``ratio``, the measured RMSE
        of the winner by theory over the smallest one; and ``best``, the estimator with that.
    """
    last = summary[(summary["samples"] == summary["samples"].max()) & (summary["sampler"] == "iid")]
    rmse = last.pivot(index="setting", columns="estimator", values="rmse")
    rmse = rmse[[name for name in by_plainness(USABLE[key]) if name in rmse]]
    rows = plane.loc[rmse.index].copy()
    of_winner = [rmse.at[setting, name] for setting, name in rows[key].items()]
    rows["best"] = rmse.idxmin(axis=1)
    rows["ratio"] = np.divide(of_winner, rmse.min(axis=1))
    return rows.dropna(subset="ratio")  # where q = p, every error is 0
