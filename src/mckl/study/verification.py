"""The gate: every measured mean and variance against its exact theory, at one family-wise level.

A statistic's tail is taken from a gamma law matched to its mean, variance and skewness where
that is close to the truth far out, and bounded by Chebyshev's inequality where it is not
(docs/theory.md, section 7). Bonferroni's share of the level per cell holds under any
dependence, so the correlated checkpoints of a trace need no correction of their own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc, ndtr

from mckl.arrays import Vector

LEVEL = 1e-6
# Where the matched gamma tail may be trusted down to 1e-11: hardly any kurtosis beyond the
# gamma's own in a mean, hardly any in the estimates whose variance is tested.
_MEAN_EXCESS, _MEAN_SKEWNESS, _VARIANCE_KURTOSIS = 0.002, 0.3, 0.05
# What rounding leaves of an estimate whose exact variance is 0, relative to the size of l.
_ROUNDING = 1e-12

_KEYS = ["setting", "backend", "sampler", "estimator", "samples"]


def gamma_p_value(z: Vector, skewness: Vector) -> Vector:
    """Two-sided p-value of z under a standardised gamma (Pearson type III) law.

    The smaller tail, doubled; the normal law at skewness 0.
    """
    flip = np.where(skewness < 0, -1.0, 1.0)
    x, g = z * flip, np.abs(skewness)
    bent = g > 1e-3
    shape = 4.0 / np.where(bent, g, 1.0) ** 2
    at = np.maximum(shape + x * np.sqrt(shape), 0.0)
    tail = np.minimum(gammainc(shape, at), gammaincc(shape, at))
    return np.minimum(2.0 * np.where(bent, tail, ndtr(-np.abs(x))), 1.0)


def chebyshev_p_value(z: Vector) -> Vector:
    """The bound 1/z^2 on the two-sided p-value, whatever the law."""
    with np.errstate(divide="ignore"):
        return np.minimum(1.0 / z**2, 1.0)


def _cells(
    frame: pd.DataFrame, quantity: str, measured: Vector, exact: Vector,
    sd: Vector, skewness: Vector, trusted: NDArray[np.bool_], floor: Vector,
) -> pd.DataFrame:  # fmt: skip
    rounding = (sd == 0.0) | (np.abs(measured - exact) <= floor)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(sd > 0, (measured - exact) / sd, 0.0)
    # A measured NaN differs from every exact value.
    z = np.where((sd == 0) & ~(np.abs(measured - exact) <= floor), np.inf, z)
    z = np.where(np.isfinite(sd), z, np.nan)
    test = np.where(trusted, "gamma", "chebyshev")
    test = np.where(rounding, "rounding", test)
    test = np.where(np.isfinite(sd), test, "none")
    p = np.select(
        [test == "none", test == "gamma", test == "chebyshev"],
        [np.nan, gamma_p_value(z, np.where(trusted, skewness, 0.0)), chebyshev_p_value(z)],
        np.where(np.isinf(z), 0.0, 1.0),
    )
    return frame[_KEYS].assign(
        quantity=quantity, measured=measured, exact=exact, z=z, p_value=p, test=test
    )


def verify(summary: pd.DataFrame, theory: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """The rows of verification.parquet: one a cell with exact theory, and quantity.

    Cells whose standard deviation is infinite are listed with test `none`, not tested.
    """
    keys = ["setting", "sampler", "estimator", "samples"]
    known = theory.loc[
        theory["theory"] == "exact", [*keys, "exact_skewness", "exact_excess_kurtosis"]
    ]
    cells = summary.astype(dict.fromkeys(keys[:3], str)).merge(
        known.astype(dict.fromkeys(keys[:3], str)), on=keys
    )
    r = cells["replicates"].to_numpy(float)
    exact = cells["exact_variance"].to_numpy(float)
    mean = (cells["kl"] + cells["exact_bias"]).to_numpy(float)
    kurtosis = cells["exact_excess_kurtosis"].to_numpy(float)
    kl = cells["kl"].to_numpy(float)
    floor = _ROUNDING * (kl + np.sqrt(2.0 * kl))  # where KL is small, sd l is about sqrt(2 KL)

    skewness = cells["exact_skewness"].to_numpy(float) / np.sqrt(r)
    skewness = np.nan_to_num(skewness, nan=0.0, posinf=1e3, neginf=-1e3)
    excess = kurtosis / r - 1.5 * skewness**2
    trusted = (np.abs(skewness) <= _MEAN_SKEWNESS) & (np.abs(excess) <= _MEAN_EXCESS)
    of_mean = _cells(
        cells, "mean", cells["mean"].to_numpy(float), mean,
        np.sqrt(exact / r), skewness, trusted, floor,
    )  # fmt: skip

    several = cells[r > 1]
    r, exact, kurtosis, floor = (x[r > 1] for x in (r, exact, kurtosis, floor))
    # Var(s^2) = sigma^4 (excess kurtosis / R + 2 / (R - 1)), by whatever law the estimates have
    relative = np.sqrt(np.maximum(kurtosis, -2.0) / r + 2.0 / (r - 1))
    relative = np.where(np.isfinite(exact), relative, np.inf)
    relative = np.where(exact == 0.0, 0.0, relative)
    with np.errstate(invalid="ignore"):
        sd = np.where(exact == 0.0, 0.0, exact * relative)
    sd = np.where(np.isnan(sd), np.inf, sd)
    of_variance = _cells(
        several, "variance", several["variance"].to_numpy(float), exact,
        sd, 2.0 * np.where(np.isfinite(relative), relative, 0.0),
        np.abs(kurtosis) <= _VARIANCE_KURTOSIS, floor**2,
    )  # fmt: skip
    out = pd.concat([of_mean, of_variance], ignore_index=True)
    tested = int((out["test"] != "none").sum())
    out["passed"] = (out["test"] == "none") | (out["p_value"] >= level / max(tested, 1))
    return out


def failures(verification: pd.DataFrame) -> str | None:
    """A message naming the worst cells that failed; None when all passed."""
    failed = verification[~verification["passed"]].sort_values("p_value")
    if failed.empty:
        return None
    named = "; ".join(
        f"{row.quantity} of {row.setting}, {row.backend}, {row.sampler}, {row.estimator} at "
        f"{row.samples} samples: measured {row.measured:.6g}, exact {row.exact:.6g}, "
        f"p {row.p_value:.1e}"
        for row in failed.head(5).itertuples()
    )
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    return (
        f"theory and measurement disagree in {len(failed)} of {len(verification)} cells: "
        f"{named}{more}"
    )


def passed_line(verification: pd.DataFrame) -> str:
    """What a passed gate says."""
    tests = verification["test"].astype(str).value_counts()
    if not tests.drop("none", errors="ignore").sum():
        return "nothing was compared: no measurement here has an exact theory to test"
    return f"theory and measurement agree at a family-wise level of {LEVEL:g}: " + ", ".join(
        f"{count} cells by {test}" for test, count in tests.items()
    )
