"""summary.parquet: what the replicates say at every checkpoint, beside the exact theory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import stdtrit

from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.record.tables import gathered

_KEYS = ["setting", "backend", "sampler", "estimator", "samples"]
_EXACT = ["exact_bias", "exact_variance", "exact_mse"]
_LEVEL = 0.95


def t_quantile(samples: pd.Series, sampler: pd.Series, estimator: pd.Series) -> np.ndarray:
    """Half-width of the nominal 95 % t interval in standard errors; NaN without freedom."""
    points = sampler.map({name: s.points.points for name, s in SAMPLERS.items()}).astype(int)
    parameters = estimator.map({name: e.parameters for name, e in ESTIMATORS.items()}).astype(int)
    freedom = samples // points - parameters
    with np.errstate(invalid="ignore"):
        quantile = stdtrit(np.maximum(freedom, 1), 0.5 + _LEVEL / 2)
    return np.where(freedom > 0, quantile, np.nan)


def summaries(
    traces: Iterable[pa.Table], settings: pd.DataFrame, theory: pd.DataFrame
) -> Iterator[pd.DataFrame]:
    """The rows of summary.parquet for each of some tables of traces.

    Parameters
    ----------
    traces
        Rows of traces.parquet, every replicate of a setting in one table.
    settings, theory
        settings.parquet and theory.parquet.
    """
    known = settings.set_index(settings["setting"].astype(str))[
        ["dimension", "scale", "offset", "kl"]
    ]
    exact = theory[["sampler", "estimator", "samples", *_EXACT]]
    exact = exact.astype({"sampler": str, "estimator": str})
    # Found once: a search for every setting would take the square of their number.
    rows = theory.groupby("setting", observed=True).indices
    for table in gathered(traces):
        frame = table.to_pandas()
        names = frame["setting"].unique().astype(str)
        here = np.concatenate([rows[name] for name in names])
        about = known.reindex(theory["setting"].iloc[here].astype(str)).reset_index()
        yield _summarise(frame, about.join(exact.iloc[here].reset_index(drop=True)))


def _summarise(frame: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    kl = known.drop_duplicates("setting").set_index("setting")["kl"]
    frame["kl"] = frame["setting"].astype(str).map(kl)
    error = frame["estimate"] - frame["kl"]
    frame["squared"] = error**2
    half = t_quantile(frame["samples"], frame["sampler"], frame["estimator"]) * frame["std_error"]
    frame["covered"] = np.where(np.isfinite(half), (error.abs() <= half).astype(float), np.nan)
    groups = frame.groupby(_KEYS, sort=True, observed=True)
    out = pd.DataFrame(
        {
            "replicates": groups["estimate"].size(),
            "mean": groups["estimate"].mean(),
            "variance": groups["estimate"].var(ddof=1),
            "mse": groups["squared"].mean(),
            "mse_std_error": groups["squared"].sem(ddof=1),
            "ci_coverage": groups["covered"].mean(),
        }
    ).reset_index()
    out = out.astype(dict.fromkeys(_KEYS[:-1], str))
    out = out.merge(known, how="left", on=["setting", "sampler", "estimator", "samples"])
    out["bias"] = out["mean"] - out["kl"]
    out["rmse"] = np.sqrt(out["mse"])
    out["relative_rmse"] = out["rmse"] / out["kl"].where(out["kl"] > 0)
    return out


def smallest_error(rows: pd.DataFrame) -> pd.Series:
    """The estimator of smallest RMSE by setting; the simpler one of those within 5 %.

    `rows` are of summary.parquet, at one number of samples with one sampler.
    """
    rmse = rows.astype({"setting": str, "estimator": str}).pivot_table(
        index="setting", columns="estimator", values="rmse"
    )
    rmse = rmse[[name for name in ESTIMATORS if name in rmse]].dropna()
    close = rmse.le(1.05 * rmse.min(axis=1), axis=0)
    return close.idxmax(axis=1)  # the first one that is close
