"""Verification: compares measurements with exact theory, at one family-wise level.

`mckl.study.cells` has the statistics of single cells, `mckl.study.pooled` those over many cells at
once, `mckl.study.identities` the numbers that must be equal, and `mckl.study.tails` the p-values
(theory.md, section 7). Each test gets an equal share of the level (Bonferroni). This is valid
under any dependence, so correlated checkpoints of a trace need no correction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import scipy

from mckl.arrays import Vector, vectors
from mckl.study import cells as by_cell
from mckl.study.budget_gate import budget_rows
from mckl.study.derived import copied_rows, exact_mse_rows, summary_rows
from mckl.study.identities import (
    kl_rows,
    repeat_rows,
    reverse_kl_rows,
    shape_rows,
    unit_rows,
    variance_rows,
)
from mckl.study.pooled import ALL, pooled
from mckl.study.sobol_pairs import with_bounds
from mckl.study.tails import (
    chebyshev_p_value,
    chernoff_p_value,
    correlation_bound,
    correlation_score,
    gamma_bounds,
    gamma_p_value,
    median_bound,
    median_p_value,
    nonnegative_bound,
    nonnegative_p_value,
    shortfall_p_value,
)

LEVEL = 1e-6
POWER = 0.9  # the probability with which the smallest reported errors are detected

_KEYS = by_cell.KEYS
_COLUMNS = ["quantity", "measured", "exact", "z", "p_value", "passed", "test", "smallest_error"]
NONE, ROUNDING, GAMMA, SHARES = "none", "rounding", "gamma", "chernoff"
_BOUND, _SQUARES = "chebyshev", "bennett"
_NONNEGATIVE, _MEDIAN, _CORRELATION = by_cell.NONNEGATIVE, by_cell.MEDIAN, by_cell.CORRELATION
# Tests that hold for every law and detect only gross errors.
BOUNDS = (_BOUND, _SQUARES, _MEDIAN, _NONNEGATIVE)


def _tested(rows: pd.DataFrame) -> pd.DataFrame:
    """The statistics with the columns z, p_value and test."""
    measured, exact, sd, skewness, excess, margin, part, floor = vectors(
        rows, "measured", "exact", "sd", "skewness", "excess", "margin", "part", "floor"
    )
    count, low, high, replicates, square = vectors(
        rows, "count", "low", "high", "replicates", "square"
    )
    chosen = rows["test"].to_numpy(str)
    off = measured - exact
    off = np.sign(off) * np.maximum(np.abs(off) - margin, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        close = np.abs(off) <= floor
        z = np.where(sd > 0, off / sd, 0.0)
        # A measured NaN differs from every exact value.
        z = np.where((sd == 0) & ~close, np.inf, z)
        z = np.where(np.isfinite(sd), z, np.nan)
        relative, relative_sd = off / exact, sd / exact
        correlated = correlation_score(measured, exact, replicates)
        ratio = np.where(close, 0.0, measured / exact)
    z = np.where(chosen == _CORRELATION, correlated, z)
    test = np.select(
        [~np.isfinite(sd), (sd == 0) | close, np.isfinite(count), rows["trusted"].to_numpy(bool),
         np.isfinite(part)],
        [NONE, ROUNDING, SHARES, GAMMA, _SQUARES], _BOUND,
    )  # fmt: skip
    test = np.where((test == ROUNDING) & (sd > 0) & np.isfinite(count), SHARES, test)
    test = np.where(chosen != "", chosen, test)
    p_values = {
        NONE: np.full(len(rows), np.nan),
        ROUNDING: np.where(np.isinf(z), 0.0, 1.0),
        SHARES: chernoff_p_value(measured, count, low, high),
        GAMMA: gamma_p_value(z, *(np.where(test == GAMMA, x, 0.0) for x in (skewness, excess))),
        _SQUARES: shortfall_p_value(relative, relative_sd, part),
        _NONNEGATIVE: nonnegative_p_value(relative, square, replicates),
        _MEDIAN: median_p_value(ratio, replicates),
        _CORRELATION: np.where(np.isnan(z), 0.0, 2.0 * scipy.special.ndtr(-np.abs(z))),
        _BOUND: chebyshev_p_value(z),
    }
    p = np.select([test == name for name in p_values], [*p_values.values()])
    return rows.assign(z=z, p_value=p, test=test)


def _smallest_errors(rows: pd.DataFrame, share: float) -> Vector:
    """The least error, relative to `relative_to`, that is detected with probability `POWER`.

    It is the error in the direction that is harder to detect. The spread of a square grows with its
    value. For a coverage, it is the loss.
    """
    sd, margin, exact, relative_to = vectors(rows, "sd", "margin", "exact", "relative_to")
    test, mean = rows["test"].to_numpy(str), rows["quantity"].to_numpy(str) == "mean"
    low, high = gamma_bounds(share, *vectors(rows, "skewness", "excess"))
    far = np.select(
        [test == GAMMA, test == _SQUARES],
        [np.where(mean, np.maximum(-low, high), high), math.sqrt(2.0 / share - 1.0)],
        1.0 / math.sqrt(share),
    )
    sure = float(scipy.special.ndtri(POWER))
    with np.errstate(divide="ignore", invalid="ignore"):
        of_mean = (margin + (far + sure) * sd) / np.abs(relative_to)
        room = 1.0 - sure * sd / exact
        of_square = np.where(room > 0, (1.0 + (margin + far * sd) / exact) / room - 1.0, np.inf)
        error = np.where(mean, of_mean, of_square)
        replicates, square = vectors(rows, "replicates", "square")
        bias = {
            _NONNEGATIVE: exact * nonnegative_bound(share, square, replicates),
            # Few replicates are more than two standard deviations below their expectation.
            _MEDIAN: (np.sqrt(median_bound(share, replicates)) + 2.0) * np.sqrt(exact),
            _CORRELATION: correlation_bound(
                exact, sure - float(scipy.special.ndtri(share / 2.0)), replicates
            ),
        }
        for name, value in bias.items():
            error = np.where(test == name, value / relative_to, error)
    shares = test == SHARES
    error[shares] = exact[shares] - _lowest_share(rows[shares], share) + sure * sd[shares]
    error = np.where(shares & (error > exact), np.nan, error)
    return np.where(np.isin(test, (NONE, ROUNDING)) | ~np.isfinite(error), np.nan, error)


def _lowest_share(rows: pd.DataFrame, p_value: float) -> Vector:
    """The coverage below which `chernoff_p_value` is less than `p_value`; below 0 if none is."""
    count, p = vectors(rows, "count", "low")
    lowest, highest = np.zeros(p.size), p.copy()
    for _ in range(40):
        x = 0.5 * (lowest + highest)
        divergence = scipy.special.xlogy(x, x / p) + scipy.special.xlogy(
            1.0 - x, (1.0 - x) / (1.0 - p)
        )
        passes = 2.0 * np.exp(-count * divergence) >= p_value
        lowest, highest = np.where(passes, lowest, x), np.where(passes, x, highest)
    never = 2.0 * np.exp(count * np.log1p(-p)) >= p_value
    return np.where(never, -1.0, highest)


def _of_k1(cells: pd.DataFrame) -> Vector:
    """The excess kurtosis of k1 at the setting, sampler and number of samples of each cell."""
    keys = ["setting", "sampler", "samples"]
    kurtosis = cells[cells["estimator"] == "k1"].groupby(keys)["exact_excess_kurtosis"].first()
    return kurtosis.reindex(pd.MultiIndex.from_frame(cells[keys])).to_numpy(float)


def verify(
    summary: pd.DataFrame,
    theory: pd.DataFrame,
    settings: pd.DataFrame,
    budget: pd.DataFrame | None = None,
    level: float = LEVEL,
) -> pd.DataFrame:
    """The rows of verification.parquet: first cells, then pools, then identities.

    They follow from the tables of these names. `level` is the probability of any false alarm in a
    correct study, as far as the modelled tails hold. Statistics with an infinite standard deviation
    are listed with the test `none`.
    """
    names = _KEYS[:-1]
    keys = ["setting", "sampler", "estimator", "samples"]
    law = theory[[*keys, "theory", "exact_skewness", "exact_excess_kurtosis"]]
    cells = summary.astype(dict.fromkeys(names, str)).merge(
        law.astype(dict.fromkeys(keys[:3], str)), on=keys
    )
    cells["kurtosis_of_k1"] = _of_k1(cells)
    kind, mean_alone = cells["theory"].to_numpy(str), by_cell.without_variance(cells)
    exact, leading, nonnegative, others = (
        cells[chosen].reset_index(drop=True)
        for chosen in (
            (kind == "exact") & ~mean_alone, kind == "asymptotic", mean_alone,
            (kind == "none") & ~mean_alone,
        )
    )  # fmt: skip
    parts = [
        by_cell.of_means(exact), by_cell.of_nonnegative(nonnegative), by_cell.of_means(others),
        by_cell.of_variances(cells[kind == "exact"]), by_cell.of_medians(exact),
        by_cell.of_medians(with_bounds(cells, theory, settings)), by_cell.of_std_errors(exact),
        by_cell.of_skewness(exact), by_cell.of_coverage(exact), by_cell.of_leading_order(leading),
        pooled(exact),
    ]  # fmt: skip
    rows = _tested(by_cell.joined(parts))
    share = level / max(int((~rows["test"].isin([NONE])).sum()), 1)
    rows["smallest_error"] = _smallest_errors(rows, share)
    rows["passed"] = (rows["test"] == NONE) | (rows["p_value"] >= share)
    equal = [
        kl_rows(settings), reverse_kl_rows(settings), variance_rows(settings),
        *shape_rows(settings), *unit_rows(theory, settings), exact_mse_rows(theory),
        summary_rows(summary), copied_rows(summary, theory, settings), repeat_rows(summary),
    ]  # fmt: skip
    if budget is not None:
        equal.append(budget_rows(budget, theory, summary, settings))
    return by_cell.joined([rows[[*_KEYS, *_COLUMNS]], *equal])


def cell_name(row: Any) -> str:
    """The quantity and the cell of a row of verification.parquet, in words."""
    where = [str(x) for x in (row.backend, row.sampler, row.estimator) if isinstance(x, str)]
    if row.setting == ALL:
        about = f"{row.quantity} over all settings, {', '.join(where)}"
    else:
        about = f"{row.quantity} of {', '.join([str(row.setting), *where])}"
    if row.samples:
        return f"{about} at {row.samples} samples"
    return f"{about} over all checkpoints" if isinstance(row.estimator, str) else about


def failures(verification: pd.DataFrame) -> str | None:
    """A message that names the worst rows that failed; None if all passed."""
    failed = verification[~verification["passed"]].sort_values("p_value")
    if failed.empty:
        return None
    named = "; ".join(
        f"{cell_name(row)}: measured {row.measured:.6g}, exact {row.exact:.6g}, p {row.p_value:.1e}"
        for row in failed.head(5).itertuples()
    )
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    return (
        f"theory and measurement disagree in {len(failed)} of {len(verification)} cells: "
        f"{named}{more}"
    )
