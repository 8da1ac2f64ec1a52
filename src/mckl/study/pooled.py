"""Statistics that verification compares over many cells at once, with their known dependence.

Replicates are independent, and so are the samples between two checkpoints of a mean of independent
samples. Settings of different dimensions are independent. Those of one dimension share their draws,
and are treated as perfectly dependent, which is the worst case (theory.md, section 7). Rows
over all checkpoints have 0 `samples`, and rows over all settings have the setting `all`. Statistics
are relative to their exact values, so that they should be 1, or for a mean 0.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mckl.arrays import Vector, vectors
from mckl.study.cells import (
    KEYS,
    MOST_EXCESS,
    MOST_SKEWNESS,
    SHAPE,
    joined,
    of_coverage,
    of_std_errors,
    shares,
)
from mckl.study.cells import statistics as made
from mckl.study.tails import square

ALL = "all"
_MOST_KURTOSIS = 0.25  # blocks with a larger kurtosis, few samples of heavy tails, are left out
_TRACE = KEYS[:4]
_CUMULANTS = {2: "variance", 3: "third", 4: "fourth"}


def _weighted(rows: pd.DataFrame, by: list[str]) -> Vector:
    """Weights proportional to 1 / variance that add up to 1 within each group."""
    inverse = 1.0 / rows["variance"].to_numpy(float)
    total = pd.Series(inverse, rows.index).groupby([rows[k] for k in by]).transform("sum")
    return np.asarray(inverse / total)


def _sum_of_independent(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The weighted mean of rows that are independent within their group."""
    w = _weighted(rows, by)
    cumulants = {name: w**m * rows[name] for m, name in _CUMULANTS.items()}
    groups = rows[by].assign(**_scaled(rows, w), **cumulants).groupby(by, sort=False)
    return groups.sum().assign(part=groups["part"].max()).reset_index()


def _scaled(rows: pd.DataFrame, w: Vector) -> dict[str, pd.Series]:
    return {name: w * rows[name] for name in ("measured", "exact", "part", "relative_to")}


def _over_settings(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The weighted mean over settings, where those of one dimension are perfectly dependent.

    Then the m-th root of a sum's m-th cumulant is at most the sum of the parts' m-th roots.
    """
    w = _weighted(rows, by)
    roots = rows[[*by, "dimension"]].assign(
        variance=w * np.sqrt(rows["variance"]), third=w * np.cbrt(rows["third"]),
        fourth=w * np.sqrt(np.sqrt(rows["fourth"])), **_scaled(rows, w),
    )  # fmt: skip
    one = roots.groupby([*by, "dimension"], sort=False).sum().reset_index()
    one = one.drop(columns="dimension").assign(
        **{name: one[name] ** m for m, name in _CUMULANTS.items()}
    )
    groups = one.groupby(by, sort=False)
    return groups.sum().assign(part=groups["part"].max()).reset_index()


def _statistics(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    variance, third, fourth = vectors(rows, *_CUMULANTS.values())
    skewness = third / variance**1.5
    excess = fourth / variance**2 - 1.5 * skewness**2
    measured, exact, part, relative_to = vectors(rows, "measured", "exact", "part", "relative_to")
    # For means that depend on each other, only the size of the skewness is known.
    sign = np.sign(measured - exact) if quantity == "mean" else 1.0
    return made(
        rows, quantity, measured, exact, sd=np.sqrt(variance), skewness=sign * skewness,
        trusted=(skewness <= MOST_SKEWNESS) & (excess <= MOST_EXCESS),
        excess=excess, part=np.where(quantity == "mean", np.nan, part), relative_to=relative_to,
    )  # fmt: skip


def _blocks(cells: pd.DataFrame) -> pd.DataFrame:
    """The mean square of each block between two checkpoints, divided by its expectation."""
    cells = cells.sort_values(KEYS, ignore_index=True)
    n, r, block, exact = vectors(
        cells, "samples", "replicates", "block_mean_square", "exact_variance"
    )
    skewness, kurtosis = vectors(cells, *SHAPE)
    before = cells.groupby(_TRACE)["samples"].shift(fill_value=0).to_numpy(float)
    share = n / (n - before)  # all samples so far divided by those of the block
    skewness, kurtosis, exact = skewness * np.sqrt(share), kurtosis * share, exact * share
    good = np.isfinite(block) & (exact > 0) & np.isfinite(exact)
    good &= np.abs(kurtosis) <= _MOST_KURTOSIS
    return _relative(cells, good, block, exact, skewness, kurtosis, r)


def _last(cells: pd.DataFrame) -> pd.DataFrame:
    """The mean square about the exact mean at the last checkpoint with exact theory."""
    cells = cells.loc[cells.groupby(_TRACE)["samples"].idxmax()].reset_index(drop=True)
    r, exact, variance = vectors(cells, "replicates", "exact_variance", "variance")
    off = (cells["mean"] - cells["kl"] - cells["exact_bias"]).to_numpy(float)
    spread = np.where(r > 1, variance * (r - 1) / r, 0.0)
    skewness, kurtosis = vectors(cells, *SHAPE)
    good = np.isfinite(spread + off) & (exact > 0) & np.isfinite(exact) & np.isfinite(kurtosis)
    rows = _relative(cells, good, spread + off**2, exact, skewness, kurtosis, r)
    # Rows with known tails are more sensitive than a bound for all rows, which is used without any.
    light = rows["exact_excess_kurtosis"].abs() <= _MOST_KURTOSIS
    return pd.DataFrame(
        rows[light | ~light.groupby([rows[k] for k in _TRACE[1:]]).transform("any")]
    )


def _relative(
    cells: pd.DataFrame, good: NDArray[np.bool_], squares: Vector, exact: Vector, skewness: Vector,
    kurtosis: Vector, replicates: Vector,
) -> pd.DataFrame:  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        one = square(skewness, kurtosis)
        out = cells.assign(
            measured=squares / exact, exact=1.0, variance=one.variance / replicates,
            third=one.third / replicates**2, fourth=one.fourth / replicates**3,
            part=1.0 / replicates, relative_to=1.0,
        )  # fmt: skip
    return pd.DataFrame(out[good]).reset_index(drop=True)


def _means(cells: pd.DataFrame) -> pd.DataFrame:
    """The error of the mean, in standard deviations of one estimate, at the last checkpoint."""
    cells = cells.loc[cells.groupby(_TRACE)["samples"].idxmax()].reset_index(drop=True)
    r, variance, skewness, kurtosis = vectors(cells, "replicates", "exact_variance", *SHAPE)
    off, sd = (cells["mean"] - cells["kl"] - cells["exact_bias"]).to_numpy(float), np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        out = cells.assign(
            measured=off / sd, exact=0.0, variance=1.0 / r, third=np.abs(skewness) / np.sqrt(r),
            fourth=np.maximum(kurtosis, 0.0) / r, part=np.nan, relative_to=cells["kl"] / sd,
        )  # fmt: skip
    out["third"], out["fourth"] = out["third"] / r**1.5, out["fourth"] / r**2
    good = np.isfinite(off) & (sd > 0) & np.isfinite(sd) & np.isfinite(skewness + kurtosis)
    return pd.DataFrame(out[good]).reset_index(drop=True)


def _std_errors(cells: pd.DataFrame) -> pd.DataFrame:
    """The mean of std_error^2 divided by its expectation, where its tails are known."""
    rows = of_std_errors(cells).merge(cells[[*KEYS, "dimension"]], on=KEYS)
    rows = rows[rows["trusted"] & (rows["exact"] > 0) & np.isfinite(rows["measured"])]
    exact = rows["exact"].to_numpy(float)
    out: pd.DataFrame = rows.assign(
        measured=rows["measured"] / exact, variance=(rows["sd"] / exact) ** 2, exact=1.0,
        relative_to=1.0,
    )  # fmt: skip
    return out


def _coverage(cells: pd.DataFrame) -> pd.DataFrame:
    """The coverage over settings at each number of samples; dimensions have equal weights."""
    by = KEYS[1:]
    rows = of_coverage(cells).merge(cells[[*KEYS, "dimension"]], on=KEYS)
    rows = rows[np.isfinite(rows["measured"])]
    numbers = ["measured", "exact", "low", "high", "count"]
    one = rows.groupby([*by, "dimension"], sort=False)[numbers].mean().reset_index()
    groups = one.groupby(by, sort=False)
    out = groups[numbers[:-1]].mean().assign(count=groups["count"].sum()).reset_index()
    out["setting"] = ALL
    measured, exact, count, low, high = vectors(out, "measured", "exact", "count", "low", "high")
    return shares(out, measured, exact, count, low, high)


def pooled(cells: pd.DataFrame) -> pd.DataFrame:
    """The statistics over checkpoints and over settings, in the form of `mckl.study.cells`.

    `cells` are the rows of summary.parquet with exact theory, with exact skewness and kurtosis.
    """
    blocks = _blocks(cells)
    by_setting = _sum_of_independent(blocks, [*_TRACE, "dimension"]).assign(samples=0)
    traces = pd.MultiIndex.from_frame(by_setting[_TRACE])
    whole = ~pd.MultiIndex.from_frame(cells[_TRACE]).isin(traces)
    # Without blocks the last checkpoint is used.
    whole &= cells["block_mean_square"].isna().to_numpy()
    over_all = {
        "mean": _means(cells).assign(samples=0),
        "variance": pd.concat([by_setting, _last(cells[whole]).assign(samples=0)]),
        "std_error": _std_errors(cells),
    }
    parts = [_statistics(by_setting, "variance")]
    for quantity, rows in over_all.items():
        several = rows.groupby(KEYS[1:])["setting"].transform("nunique") > 1
        together = _over_settings(rows[several], KEYS[1:])
        parts.append(_statistics(together.assign(setting=ALL), quantity))
    parts.append(_coverage(cells))
    return joined(parts)
