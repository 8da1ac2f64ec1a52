"""Checks of equality: closed forms must equal integrals, and no two traces may be equal.

The integrals (`mckl.families.base.Integrals`) are those of the definitions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mckl.arrays import Vector, vectors
from mckl.study.cells import KEYS

# The largest difference of two float64 results: relative to KL, and for each coordinate. An
# integral of log q - log p adds and subtracts terms of size 1 in every coordinate, so where q is
# close to p it loses digits that the closed form keeps.
_RELATIVE, _A_COORDINATE = 1e-12, 1e-14
# The largest difference of two skewnesses or kurtoses, and of two variances of k3 relative to the
# terms that they are sums of.
_SHAPE, _TERMS = 1e-8, 1e-10


def agrees(other: Vector, kl: Vector, dimension: Vector) -> NDArray[np.bool_]:
    """Whether two values of one KL differ only by rounding."""
    return np.asarray(np.abs(other - kl) <= _RELATIVE * np.abs(kl) + _A_COORDINATE * dimension)


def equality_rows(
    quantity: str, names: pd.DataFrame, measured: Vector, exact: Vector,
    passed: NDArray[np.bool_], smallest_error: Vector,
) -> pd.DataFrame:  # fmt: skip
    """Rows of verification.parquet for numbers that must be equal.

    `names` has the keys of the rows; those that it lacks are null, or 0 samples.
    """
    keys = {k: names[k].astype(object) for k in ("backend", "sampler", "estimator") if k in names}
    return pd.DataFrame(
        {
            "setting": names["setting"].astype(str).to_numpy(),
            **{k: keys[k].to_numpy() if k in keys else None for k in KEYS[1:4]},
            "samples": names["samples"].to_numpy() if "samples" in names else 0,
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
    kl, other, dimension = vectors(settings, "kl", column, "dimension")
    names = settings[["setting"]].assign(backend=backend)
    with np.errstate(divide="ignore", invalid="ignore"):
        visible = _RELATIVE + _A_COORDINATE * dimension / kl
    return equality_rows(quantity, names, other, kl, agrees(other, kl, dimension), visible)


def variance_rows(settings: pd.DataFrame) -> pd.DataFrame:
    """One row for each setting, which compares the variance of l by quadrature with `Law.variance`.

    Settings whose variance is infinite, or too close to it for the quadrature, have no row.
    """
    settings = settings[settings["log_ratio_variance_integral"].notna()]
    exact, other, kl, dimension = vectors(
        settings, "log_ratio_variance", "log_ratio_variance_integral", "kl", "dimension"
    )
    # The error of a coordinate's l is about 1e-16 (1 + KL), that of l^2 twice that times its sd.
    off = _A_COORDINATE * (kl + np.sqrt(dimension))
    room = _RELATIVE * exact + off * np.sqrt(exact) + _A_COORDINATE**2 * dimension
    return _within("log_ratio_variance", settings[["setting"]], other, exact, room)


def _within(
    quantity: str, names: pd.DataFrame, measured: Vector, exact: Vector, room: Vector
) -> pd.DataFrame:
    with np.errstate(divide="ignore", invalid="ignore"):
        visible = room / np.abs(exact)
        passed = np.asarray(np.abs(measured - exact) <= room)
    return equality_rows(quantity, names, measured, exact, passed, visible)


def reverse_kl_rows(settings: pd.DataFrame) -> pd.DataFrame:
    """One row for each setting with a finite KL(p||q), which compares it with its integral."""
    return kl_rows(settings.assign(kl=settings["reverse_kl"]), "reverse_kl_integral", "reverse_kl")


def shape_rows(settings: pd.DataFrame) -> list[pd.DataFrame]:
    """Compares the skewness and the excess kurtosis of l with their integrals."""
    out = []
    for name in ("log_ratio_skewness", "log_ratio_excess_kurtosis"):
        rows = settings[settings[f"{name}_integral"].notna() & (settings["log_ratio_variance"] > 0)]
        other, exact, kl, dimension, variance = vectors(
            rows, f"{name}_integral", name, "kl", "dimension", "log_ratio_variance"
        )
        room = _lost(kl, dimension, variance) * np.maximum(1.0, np.abs(exact))
        out.append(_within(name, rows[["setting"]], other, exact, room))
    return out


def unit_rows(theory: pd.DataFrame, settings: pd.DataFrame) -> list[pd.DataFrame]:
    """Compares the theory of k1, k2 and k3 over independent samples with the integrals.

    With E r = 1, k3's variance is chi^2 + V - 2 (KL(q||p) + KL(p||q)).
    """
    rows = theory.astype(dict.fromkeys(("setting", "sampler", "estimator", "theory"), str))
    rows = rows[(rows["sampler"] == "iid") & (rows["theory"] == "exact")]
    rows = rows.loc[rows.groupby(["setting", "estimator"])["samples"].idxmax()]
    numbers = [x for x in map(str, settings) if x.endswith("_integral")]
    about = settings.astype({"setting": str})[["setting", "dimension", *numbers]]
    rows = rows.merge(about, on="setting")
    n, d, kl, reverse, v, skewness, kurtosis, chi_square = vectors(
        rows, "samples", "dimension", "kl_integral", "reverse_kl_integral",
        "log_ratio_variance_integral", "log_ratio_skewness_integral",
        "log_ratio_excess_kurtosis_integral", "chi_square_integral",
    )  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lost = _lost(kl, d, v)
        square = 0.25 * v * (v * (2.0 + kurtosis) + 4.0 * kl * (skewness * np.sqrt(v) + kl))
        k3 = chi_square + v - 2.0 * (kl + reverse)
        wanted = [
            ("k1", "exact_variance", n, v, _TERMS * v),
            ("k1", "exact_skewness", np.sqrt(n), skewness, lost * np.fmax(1.0, np.abs(skewness))),
            ("k1", "exact_excess_kurtosis", n, kurtosis, lost * np.fmax(1.0, np.abs(kurtosis))),
            ("k2", "exact_bias", 1.0, 0.5 * (v + kl**2) - kl, _TERMS * (v + kl**2 + kl)),
            ("k2", "exact_variance", n, square, _TERMS * square + lost * v**2),
            ("k3", "exact_variance", n, k3, _TERMS * (chi_square + v + 2.0 * (kl + reverse))),
        ]  # fmt: skip
    out = []
    for estimator, column, times, integral, room in wanted:
        told = rows[column].to_numpy(float) * times
        judged = (rows["estimator"] == estimator).to_numpy() & np.isfinite(integral + room)
        names = rows.loc[judged, ["setting", "sampler", "estimator"]]
        room = (room + _A_COORDINATE * d)[judged]
        out.append(_within(column, names, integral[judged], told[judged], room))
    return out


def _lost(kl: Vector, dimension: Vector, variance: Vector) -> Vector:
    """The error of a skewness or a kurtosis of l that the rounding of l, in its sd, may cause."""
    return np.asarray(_SHAPE + 10.0 * _A_COORDINATE * (kl + np.sqrt(dimension)) / np.sqrt(variance))


def repeat_rows(summary: pd.DataFrame) -> pd.DataFrame:
    """One row for each setting, backend and sampler: the traces that repeat others, expected 0."""
    traces = summary.astype({"setting": str, "backend": str, "sampler": str})
    groups = traces.groupby(["setting", "backend", "sampler"], sort=False)
    cells = groups["repeats"].max().reset_index()
    count = cells["repeats"].to_numpy(float)
    none = np.zeros(count.size)
    return equality_rows("repeats", cells, count, none, count == 0, none * np.nan)
