"""summary.parquet: statistics over replicates at every checkpoint, with the exact theory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.record.tables import gathered
from mckl.study.repeats import Repeats

_KEYS = ["setting", "backend", "sampler", "estimator", "samples"]
_CELL = ["setting", "sampler", "estimator", "samples"]
_EXACT = ["exact_bias", "exact_variance", "exact_mse"]
_LEVEL = 0.95


def t_quantile(samples: pd.Series, sampler: pd.Series, estimator: pd.Series) -> np.ndarray:
    """The half-width of the nominal 95 % t interval, in standard errors.

    NaN without degrees of freedom.
    """
    points = sampler.map({name: s.points.points for name, s in SAMPLERS.items()}).astype(int)
    parameters = estimator.map({name: e.parameters for name, e in ESTIMATORS.items()}).astype(int)
    row, freedom = pd.factorize(samples // points - parameters)
    with np.errstate(invalid="ignore"):
        quantile = scipy.special.stdtrit(np.maximum(freedom, 1), 0.5 + _LEVEL / 2)
    return np.asarray(np.where(freedom > 0, quantile, np.nan)[row])


def averages_units(sampler: pd.Series, estimator: pd.Series) -> NDArray[np.bool_]:
    """Whether estimates are means over independent units.

    If so, the samples between two checkpoints are independent of the earlier ones.
    """
    independent = sampler.map({name: s.points.independent for name, s in SAMPLERS.items()})
    parameters = estimator.map({name: e.parameters for name, e in ESTIMATORS.items()})
    return np.asarray(independent.astype(bool) & (parameters.astype(int) == 1))


def _block(frame: pd.DataFrame) -> Vector:
    """The mean of the samples since the previous checkpoint, for all rows of whole traces."""
    n, estimate = frame["samples"].to_numpy(float), frame["estimate"].to_numpy(float)
    before, sum_before = np.zeros(n.size), np.zeros(n.size)
    before[1:] = np.where(n[1:] > n[:-1], n[:-1], 0.0)  # a new trace begins where n does not grow
    sum_before[1:] = np.where(n[1:] > n[:-1], n[:-1] * estimate[:-1], 0.0)
    return np.asarray((n * estimate - sum_before) / (n - before))


def summaries(
    traces: Iterable[pa.Table], settings: pd.DataFrame, theory: pd.DataFrame
) -> Iterator[pd.DataFrame]:
    """The rows of summary.parquet, for each table of traces.

    traces            Tables of rows of traces.parquet, in its order, each with all replicates of
                      its settings.
    settings, theory  settings.parquet and theory.parquet.
    """
    facts = settings.set_index(settings["setting"].astype(str))[
        ["family", "dimension", "scale", "offset", "kl"]
    ]
    exact = theory[["sampler", "estimator", "samples", *_EXACT]]
    exact = exact.astype({"sampler": str, "estimator": str})
    # Computed once for all settings, as a search for each would take quadratic time.
    rows = theory.groupby("setting", observed=True).indices
    repeats = Repeats()
    for table in gathered(traces):
        frame = table.to_pandas()
        names = frame["setting"].unique().astype(str)
        places = np.concatenate([rows[name] for name in names])
        about = facts.reindex(theory["setting"].iloc[places].astype(str)).reset_index()
        yield _summarise(frame, about.join(exact.iloc[places].reset_index(drop=True)), repeats)


def _coded(names: pd.Series, like: pd.Series) -> pd.Series:
    """The names as categories of another column; a name that is no category there is missing."""
    return names.where(names.isin(like.cat.categories)).astype(like.dtype)


def _summarise(frame: pd.DataFrame, facts: pd.DataFrame, repeats: Repeats) -> pd.DataFrame:
    # Merged by the codes of their categories, as texts of millions of rows take seconds.
    coded = {name: _coded(facts[name], frame[name]) for name in _CELL[:-1]}
    cells = frame[_CELL].merge(facts.assign(**coded), how="left", on=_CELL)
    frame["kl"] = cells["kl"].to_numpy()
    error = frame["estimate"] - frame["kl"]
    frame["squared"] = error**2
    half = t_quantile(frame["samples"], frame["sampler"], frame["estimator"]) * frame["std_error"]
    frame["covered"] = np.where(np.isfinite(half), (error.abs() <= half).astype(float), np.nan)
    frame["std_error_square"] = frame["std_error"] ** 2
    apart = averages_units(frame["sampler"], frame["estimator"])
    centre = (cells["kl"] + cells["exact_bias"]).to_numpy()
    off, block = frame["estimate"] - centre, _block(frame) - centre
    frame["off_square"], frame["off_product"] = off**2, off * frame["std_error_square"]
    frame["block_square"] = np.where(apart, block**2, np.nan)
    # Where KL is 0, l is 0 too. Where the exact variance is 0, all replicates are equal.
    varies = frame["estimate"].notna() & (frame["kl"] > 0)
    varies &= (cells["exact_variance"] != 0.0).to_numpy()
    repeated = repeats.count(frame[varies])
    groups = frame.groupby(_KEYS, sort=True, observed=True)
    out = pd.DataFrame(
        {
            "replicates": groups["estimate"].size(),
            "mean": groups["estimate"].mean(),
            "variance": groups["estimate"].var(ddof=1),
            "mse": groups["squared"].mean(),
            "mse_std_error": groups["squared"].sem(ddof=1),
            "ci_coverage": groups["covered"].mean(),
            "std_error_square": groups["std_error_square"].mean(),
            "std_error_square_error": groups["std_error_square"].sem(ddof=1),
            "median_square": groups["off_square"].median(),
            "off_product": groups["off_product"].mean(),
            "block_mean_square": groups["block_square"].mean(),
        }
    ).reset_index()
    out = out.astype(dict.fromkeys(_KEYS[:-1], str))
    out = out.merge(facts, how="left", on=_CELL)
    trace = pd.MultiIndex.from_frame(out[_KEYS[:3]])
    out["repeats"] = repeated.reindex(trace).fillna(0).to_numpy(int)
    out["bias"] = out["mean"] - out["kl"]
    out["std_error_correlation"] = _correlation(out)
    out["rmse"] = np.sqrt(out["mse"])
    out["relative_rmse"] = out["rmse"] / out["kl"].where(out["kl"] > 0)
    return out


def _correlation(out: pd.DataFrame) -> Vector:
    """The correlation of estimate and std_error^2 over replicates, from their product's mean."""
    r, size = out["replicates"].to_numpy(float), out["variance"].to_numpy(float)
    product = out["off_product"] - (out["bias"] - out["exact_bias"]) * out["std_error_square"]
    with np.errstate(divide="ignore", invalid="ignore"):
        sds = np.sqrt(size * r) * out["std_error_square_error"].to_numpy(float)
        return np.asarray(product.to_numpy(float) * r / (r - 1.0) / sds)


def smallest_error(rows: pd.DataFrame) -> pd.Series:
    """The estimator with the smallest RMSE by setting; the simplest of equal ones.

    `rows` are rows of summary.parquet with one number of samples and one sampler.
    """
    rmse = rows.astype({"setting": str, "estimator": str}).pivot_table(
        index="setting", columns="estimator", values="rmse"
    )
    # Some settings do not have every estimator.
    rmse = rmse[[name for name in ESTIMATORS if name in rmse]].dropna(how="all")
    smallest = rmse.le((1.0 + 1e-9) * rmse.min(axis=1), axis=0)
    return smallest.idxmax(axis=1)  # the first one
