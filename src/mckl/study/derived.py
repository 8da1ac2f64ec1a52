"""Columns that follow from other columns, computed again: errors of a summary, and exact_mse.

One row for each setting, and for each backend, names the cell with the largest difference.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from mckl.arrays import Vector, vectors
from mckl.study.cells import KEYS, floor_of, joined
from mckl.study.identities import equality_rows

_RELATIVE = 1e-9
_COPIED = ["exact_bias", "exact_variance", "exact_mse", "kl", "dimension"]
_CELL = ["setting", "sampler", "estimator", "samples"]


def _worst(
    rows: pd.DataFrame, quantity: str, measured: Vector, exact: Vector, room: Vector
) -> pd.DataFrame:
    """The row of each setting and backend in which two numbers differ most, in units of `room`.

    Numbers that are both NaN, or both infinite, are equal.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        off, visible = np.abs(measured - exact) / room, room / np.abs(exact)
    off = np.where((measured == exact) | (np.isnan(measured) & np.isnan(exact)), 0.0, off)
    names = [k for k in KEYS if k in rows]
    about = rows[names].assign(
        measured=measured, exact=exact, off=np.nan_to_num(off, nan=np.inf), visible=visible
    )
    by = [k for k in ("setting", "backend") if k in names]
    worst = about.loc[about.groupby(by, sort=False, observed=True)["off"].idxmax()]
    wrong, right = vectors(worst, "measured", "exact")
    passed = (worst["off"] <= 1.0).to_numpy()
    return equality_rows(quantity, worst, wrong, right, passed, worst["visible"].to_numpy())


def summary_rows(summary: pd.DataFrame) -> pd.DataFrame:
    """Compares bias, mse, rmse and relative_rmse with what mean, variance and kl give."""
    r, kl, mean, variance = vectors(summary, "replicates", "kl", "mean", "variance")
    bias = mean - kl
    size = np.hypot(bias, np.sqrt(np.where(r > 1, variance * (r - 1.0) / r, 0.0)))
    floor = floor_of(summary)  # an estimate is a difference of numbers as large as KL
    room = _RELATIVE * size + floor
    share = np.divide(1.0, kl, out=np.full(kl.size, math.nan), where=kl > 0.0)
    pairs = {
        "bias": (bias, _RELATIVE * np.abs(bias) + floor),
        "mse": (size**2, 2.0 * room * size + room**2),
        "rmse": (size, room),
        "relative_rmse": (size * share, room * share),
    }
    return joined(
        [_worst(summary, x, summary[x].to_numpy(float), *pair) for x, pair in pairs.items()]
    )


def copied_rows(
    summary: pd.DataFrame, theory: pd.DataFrame, settings: pd.DataFrame
) -> pd.DataFrame:
    """Counts the cells of a summary whose theory is not that of the other tables; expected 0."""
    names = dict.fromkeys(_CELL[:-1], str)
    rows, wrong = summary.astype(names), np.zeros(len(summary), bool)
    for table, keys in ((theory, _CELL), (settings, _CELL[:1])):
        columns = [name for name in _COPIED if name in table]
        about = table[[*keys, *columns]].astype({k: str for k in names if k in keys})
        copied = rows[keys].merge(about, how="left", on=keys)
        for own, other in zip(vectors(rows, *columns), vectors(copied, *columns), strict=True):
            wrong |= ~((own == other) | (np.isnan(own) & np.isnan(other)))
    counts = rows.assign(wrong=wrong).groupby(["setting", "backend"], sort=False)["wrong"].sum()
    count, none = counts.to_numpy(float), np.zeros(len(counts))
    return equality_rows("copied", counts.reset_index(), count, none, count == 0.0, none * math.nan)


def exact_mse_rows(theory: pd.DataFrame) -> pd.DataFrame:
    """Compares exact_mse with bias^2 + variance, or with the variance of a leading order."""
    bias, variance, mse = vectors(theory, "exact_bias", "exact_variance", "exact_mse")
    asymptotic = (theory["theory"].astype(str) == "asymptotic").to_numpy()
    exact = variance + np.where(asymptotic, 0.0, bias**2)
    room = _RELATIVE * np.abs(exact)
    return _worst(theory, "exact_mse", mse, exact, room)
