"""Finds traces of a setting that have the same numbers to the last bit.

Every replicate, sampler and backend has its own random stream. So two traces of a setting agree in
all their numbers only if a stream was used twice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_TRACE = ["setting", "backend", "sampler", "replicate"]


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64 bits, the last step of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def fingerprints(frame: pd.DataFrame) -> pd.DataFrame:
    """A number of 64 bits for every trace in `frame`, which has rows of traces.parquet.

    It depends on the estimates, each with its estimator and checkpoint, but not on their order.
    Returns the columns setting, backend, sampler, replicate and fingerprint.
    """
    names = pd.util.hash_pandas_object(frame["estimator"], index=False).to_numpy()
    place = _mixed(np.asarray(names, np.uint64) + frame["samples"].to_numpy(np.uint64))
    bits = np.ascontiguousarray(frame["estimate"].to_numpy(float)).view(np.uint64)
    hashed = frame[_TRACE].assign(fingerprint=_mixed(bits ^ place))
    groups = hashed.groupby(_TRACE, observed=True, sort=False)["fingerprint"]
    return groups.sum().reset_index()  # modulo 2^64


class Repeats:
    """Counts repeated traces table by table; it remembers the traces of each setting."""

    def __init__(self) -> None:
        self._seen: dict[str, NDArray[np.uint64]] = {}

    def count(self, frame: pd.DataFrame) -> pd.Series:
        """The number of traces that repeat an earlier one, by setting, backend and sampler.

        `frame` must not have estimates that are NaN, or constant by theory.
        """
        prints = fingerprints(frame)
        again = prints.duplicated(["setting", "fingerprint"])
        for setting, rows in prints.groupby("setting", observed=True).indices.items():
            values = prints["fingerprint"].to_numpy()[rows]
            seen = self._seen.get(str(setting), np.empty(0, np.uint64))
            again.iloc[rows] |= np.isin(values, seen)
            self._seen[str(setting)] = np.concatenate([seen, values])
        keys = [prints[name].astype(str) for name in _TRACE[:-1]]
        return again.groupby(keys).sum()
