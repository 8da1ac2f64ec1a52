"""Converts a trace to rows of traces.parquet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mckl.estimation.traces import Trace
from mckl.record.tables import keys
from mckl.study.settings import Setting


def trace_columns(
    trace: Trace, setting: Setting, backend: str, sampler: str, estimators: Sequence[str]
) -> dict[str, object]:
    """The trace as columns of traces.parquet, ordered by estimator, replicate and samples."""
    e, r, c = trace.estimate.shape
    rows = e * r * c
    same = np.zeros(rows, np.int32)
    return {
        "setting": keys([setting.name], same),
        "backend": keys([backend], same),
        "sampler": keys([sampler], same),
        "estimator": keys(estimators, np.repeat(np.arange(e, dtype=np.int32), r * c)),
        "replicate": np.tile(np.repeat(np.arange(r, dtype=np.int32), c), e),
        "samples": np.tile(np.array(trace.samples, np.int64), e * r),
        "estimate": trace.estimate.ravel(),
        "std_error": trace.std_error.ravel(),
    }
