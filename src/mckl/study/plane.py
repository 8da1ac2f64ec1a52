"""Which estimator has the smallest error over the plane, by exact theory and as measured.

The tables are those of studies/plane.yaml (settings, theory) and studies/plane-measured.yaml
(summary).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mckl.estimation.values import ESTIMATORS, K1

TIE = 1.05  # an estimator wins if no simpler one is within 5 % of its RMSE
NEAR = 1.1  # measurement agrees if the choice of theory is within 10 % of the smallest RMSE
# What can be used if log q and log p are known of the whole sample alone, and of every factor.
USABLE = {
    "whole": [name for name, estimator in ESTIMATORS.items() if not estimator.sums],
    "factors": [*ESTIMATORS],
}


def by_plainness(names: Sequence[str]) -> list[str]:
    """The estimators in the order of registration, but those whose bias remains come last."""
    return sorted(names, key=lambda name: not ESTIMATORS[name].consistent)


def plane_rows(settings: pd.DataFrame, theory: pd.DataFrame) -> pd.DataFrame:
    """The winner of each setting over iid samples, at the largest number of samples.

    Returns
    -------
    pandas.DataFrame
        A row for each setting in which KL is not 0: dimension, scale, offset; for each key of
        `USABLE` the winner by theory, and in ``KEY_gain`` the mean squared error of k1 over that
        of the winner.
    """
    mse = _by_estimator(theory[theory["sampler"] == "iid"], "exact_mse")
    rows = settings[settings["kl"] > 0].set_index("setting")
    out = rows[["dimension", "scale", "offset"]].copy()
    mse = mse.reindex(out.index)
    for key, names in USABLE.items():
        order = [name for name in by_plainness(names) if name in mse]
        errors = mse[order].fillna(np.inf).to_numpy()
        places = (errors <= errors.min(axis=1, keepdims=True) * TIE**2).argmax(axis=1)
        out[key] = np.array(order, object)[places]
        out[f"{key}_gain"] = mse[K1.name] / errors[np.arange(len(out)), places]
    return out


def measured_rows(plane: pd.DataFrame, summary: pd.DataFrame, key: str) -> pd.DataFrame:
    """How the winner by theory did in measurement, for a key of `USABLE`.

    Returns
    -------
    pandas.DataFrame
        A row for each measured setting: the columns of `plane_rows`; ``ratio``, the measured RMSE
        of the winner over the smallest one; ``best``, the estimator with the smallest; and
        ``known``, whether theory knows the error of that one.
    """
    iid = summary[summary["sampler"] == "iid"]
    rmse, exact = _by_estimator(iid, "rmse"), _by_estimator(iid, "exact_mse")
    order = [name for name in by_plainness(USABLE[key]) if name in rmse]
    rows = plane.loc[plane.index.intersection(rmse.index)].copy()
    errors, theory = (x.loc[rows.index, order].to_numpy() for x in (rmse, exact))
    every, best = np.arange(len(rows)), errors.argmin(axis=1)
    rows["ratio"] = errors[every, [order.index(name) for name in rows[key]]] / errors[every, best]
    rows["best"] = np.array(order, object)[best]
    rows["known"] = np.isfinite(theory[every, best])
    return rows


def sobol_gain(plane: pd.DataFrame, summary: pd.DataFrame) -> pd.Series:
    """The exact mean squared error of k1 over iid samples, over that over Sobol' points."""
    iid, sobol = (
        _by_estimator(summary[summary["sampler"] == name], "exact_mse")[K1.name]
        for name in ("iid", "sobol")
    )
    return (iid / sobol).reindex(plane.index.intersection(iid.index))


def _by_estimator(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column at the largest number of samples: a row for each setting, a column for each name."""
    last = rows[rows["samples"] == rows["samples"].max()]
    table: pd.DataFrame = last.pivot_table(column, "setting", "estimator", dropna=False)
    return table
