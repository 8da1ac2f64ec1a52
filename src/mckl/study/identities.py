"""Checks for equality: closed forms must equal integrals; no two traces may be equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mckl.arrays import Vector

# How far two float64 results may lie apart: in relative terms, and a coordinate. An integral of
# log q - log p adds and subtracts terms of size 1 in every coordinate, so where q is close to p it
# loses digits that the closed form keeps.
_RELATIVE, _A_COORDINATE = 1e-12, 1e-14


def agrees(other: Vector, kl: Vector, dimension: Vector) -> NDArray[np.bool_]:
    """Whether two values of one KL differ by rounding alone."""
    return np.asarray(np.abs(other - kl) <= _RELATIVE * np.abs(kl) + _A_COORDINATE * dimension)


def _rows(quantity: str, names: pd.DataFrame, measured: Vector, exact: Vector,
          passed: NDArray[np.bool_], smallest_error: Vector) -> pd.DataFrame:  # fmt: skip
    """Rows of verification.parquet about what is either equal or not."""
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
    """One row a setting: another value of KL, in `column`, against `kl`.

    No samples, sampler or estimator stand behind these rows: samples is 0, the others null.
    """
    settings = settings[settings[column].notna()]
    kl, other, dimension = (settings[x].to_numpy(float) for x in ("kl", column, "dimension"))
    names = settings[["setting"]].assign(backend=backend, sampler=None)
    with np.errstate(divide="ignore", invalid="ignore"):
        visible = _RELATIVE + _A_COORDINATE * dimension / kl
    return _rows(quantity, names, other, kl, agrees(other, kl, dimension), visible)


def variance_rows(settings: pd.DataFrame) -> pd.DataFrame:
    """One row a setting: the variance of l by quadrature against its closed form.

    Settings whose variance is infinite, or too nearly so for the quadrature, have none.
    """
    settings = settings[settings["log_ratio_variance_integral"].notna()]
    exact, other, kl, dimension = (
        settings[x].to_numpy(float)
        for x in ("log_ratio_variance", "log_ratio_variance_integral", "kl", "dimension")
    )
    # A coordinate's l is off by about 1e-16 (1 + KL), its square by twice that times its spread.
    off = _A_COORDINATE * (kl + np.sqrt(dimension))
    room = _RELATIVE * exact + off * np.sqrt(exact) + _A_COORDINATE**2 * dimension
    names = settings[["setting"]].assign(backend=None, sampler=None)
    with np.errstate(divide="ignore", invalid="ignore"):
        visible = room / exact
    passed = np.asarray(np.abs(other - exact) <= room)
    return _rows("log_ratio_variance", names, other, exact, passed, visible)


def repeat_rows(summary: pd.DataFrame) -> pd.DataFrame:
    """One row a setting, backend and sampler: how many traces repeat another, which none may."""
    traces = summary.astype({"setting": str, "backend": str, "sampler": str})
    groups = traces.groupby(["setting", "backend", "sampler"], sort=False)
    of = groups["repeats"].max().reset_index()
    count = of["repeats"].to_numpy(float)
    none = np.zeros(count.size)
    return _rows("repeats", of, count, none, count == 0, none * np.nan)
