"""Checks of equality: closed forms must equal integrals, and no two traces may be equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mckl.arrays import Vector

# The largest difference of two float64 results: relative to KL, and for each coordinate. An
# integral of log q - log p adds and subtracts terms of size 1 in every coordinate, so where q is
# close to p it loses digits that the closed form keeps.
_RELATIVE, _A_COORDINATE = 1e-12, 1e-14


def agrees(other: Vector, kl: Vector, dimension: Vector) -> NDArray[np.bool_]:
    """Whether two values of one KL differ only by rounding."""
    return np.asarray(np.abs(other - kl) <= _RELATIVE * np.abs(kl) + _A_COORDINATE * dimension)


def _rows(quantity: str, names: pd.DataFrame, measured: Vector, exact: Vector,
          passed: NDArray[np.bool_], smallest_error: Vector) -> pd.DataFrame:  # fmt: skip
    """Rows of verification.parquet for numbers that must be equal."""
    return pd.DataFrame(
        {
            "setting": names["setting"].astype(str).to_numpy(),
            "backend": names["backend"].to_numpy(object),
            "sampler": names["sampler"].to_numpy(object),
            "estimator": None,
            "samples": 0,
            "quantity": quantity,
            "measured": measured,
            "exact": exact,
            "z": np.where(passed, 0.0, np.inf),
            "p_value": np.where(passed, 1.0, 0.0),
            "passed": passed,
            "test": "rounding",
            "smallest_error": smallest_error,
        }
    )


def kl_rows(
    settings: pd.DataFrame, column: str = "kl_integral", quantity: str = "kl",
    backend: str | None = None,
) -> pd.DataFrame:  # fmt: skip
    """One row for each setting, which compares another value of KL, in `column`, with `kl`.

    These rows have no sampler or estimator, which are null, and 0 samples.
    """
    settings = settings[settings[column].notna()]
    kl, other, dimension = (settings[x].to_numpy(float) for x in ("kl", column, "dimension"))
    names = settings[["setting"]].assign(backend=backend, sampler=None)
    with np.errstate(divide="ignore", invalid="ignore"):
        visible = _RELATIVE + _A_COORDINATE * dimension / kl
    return _rows(quantity, names, other, kl, agrees(other, kl, dimension), visible)


def variance_rows(settings: pd.DataFrame) -> pd.DataFrame:
    """One row for each setting, which compares the variance of l by quadrature with `Law.variance`.

    Settings whose variance is infinite, or too close to it for the quadrature, have no row.
    """
    settings = settings[settings["log_ratio_variance_integral"].notna()]
    exact, other, kl, dimension = (
        settings[x].to_numpy(float)
        for x in ("log_ratio_variance", "log_ratio_variance_integral", "kl", "dimension")
    )
    # The error of a coordinate's l is about 1e-16 (1 + KL), that of l^2 twice that times its sd.
    off = _A_COORDINATE * (kl + np.sqrt(dimension))
    room = _RELATIVE * exact + off * np.sqrt(exact) + _A_COORDINATE**2 * dimension
    names = settings[["setting"]].assign(backend=None, sampler=None)
    with np.errstate(divide="ignore", invalid="ignore"):
        visible = room / exact
    passed = np.asarray(np.abs(other - exact) <= room)
    return _rows("log_ratio_variance", names, other, exact, passed, visible)


def repeat_rows(summary: pd.DataFrame) -> pd.DataFrame:
    """One row for each setting, backend and sampler: the traces that repeat others, expected 0."""
    traces = summary.astype({"setting": str, "backend": str, "sampler": str})
    groups = traces.groupby(["setting", "backend", "sampler"], sort=False)
    of = groups["repeats"].max().reset_index()
    count = of["repeats"].to_numpy(float)
    none = np.zeros(count.size)
    return _rows("repeats", of, count, none, count == 0, none * np.nan)
