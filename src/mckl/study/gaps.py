"""Messages about settings in which the log density ratio overflowed."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mckl.text import some


def message(gaps: pd.DataFrame) -> str | None:
    """A message that names the rows of gaps.parquet; None if there are none."""
    if gaps.empty:
        return None
    names = [", ".join(f"{k} {v}" for k, v in row.items()) for row in gaps.to_dict("records")]
    return f"log density ratio is not finite in {len(names)} of the traces: {some(names, '; ')}"


def outside(rows: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table whose setting, backend and sampler are not in gaps.parquet."""
    keys = ["setting", "backend", "sampler"]
    lost = pd.MultiIndex.from_frame(gaps[keys].astype(str))
    return rows[~pd.MultiIndex.from_frame(rows[keys].astype(str)).isin(lost)]


def note(frames: Mapping[str, pd.DataFrame]) -> str:
    """The sentence of a figure's caption that names what is missing; "" if nothing is."""
    if "summary" not in frames:
        return ""
    summary = frames["summary"]
    keys = ["setting", "backend", "sampler"]
    missing = summary.loc[summary["mean"].isna(), keys].drop_duplicates()
    if missing.empty:
        return ""
    names = [f"{s} with {b}, {p}" for s, b, p in missing.itertuples(index=False)]
    return f"\n**Missing here**, since l is not finite: {some(names, '; ')}."
