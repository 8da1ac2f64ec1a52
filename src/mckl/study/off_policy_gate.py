"""Adds the tests of off-policy.parquet to those of verification.parquet."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import scipy

from mckl.study.tails import self_normalised_bound
from mckl.study.verification import NONE, POWER, ROUNDING

TESTS = {"mean": "self-normalised", "variance": "nonnegative"}


def with_off_policy(
    verification: pd.DataFrame, off_policy: pd.DataFrame, level: float
) -> pd.DataFrame:
    """The rows of verification.parquet and of off-policy.parquet, with their common level.

    The column `estimator` has the weight and the lag too.
    """
    if off_policy.empty:
        return verification
    keys = off_policy[["setting", "samples"]].astype({"setting": str})
    lags = off_policy["lag"].astype(float)
    lag = pd.Series(["" if math.isnan(x) else f", lag {x:g}" for x in lags], off_policy.index)
    names = off_policy["estimator"].astype(str) + ", weight " + off_policy["weight"].astype(str)
    expected = off_policy["kl"] + off_policy["exact_bias"]
    count = off_policy["replicates"]
    spread = (off_policy["exact_variance"] / count) ** 0.5
    square = off_policy["variance"] * (count - 1) / count + (off_policy["mean"] - expected) ** 2
    unknown = pd.Series(math.nan, off_policy.index)
    numbers = {
        "mean": (off_policy["mean"], expected, off_policy["mean_z"], spread / off_policy["kl"]),
        "variance": (square, off_policy["exact_variance"], unknown, unknown),
    }
    parts = [verification]
    for quantity, (measured, exact, z, relative) in numbers.items():
        p_value = off_policy[f"{quantity}_p_value"]
        part = keys.assign(
            estimator=names + lag, backend="numpy", sampler="iid",
            quantity=f"off_policy_{quantity}", measured=measured, exact=exact, z=z,
            p_value=p_value, test=np.where(p_value.notna(), TESTS[quantity], NONE), passed=True,
            smallest_error=relative,
        )  # fmt: skip
        parts.append(part[list(verification.columns)])
    rows = pd.concat(parts, ignore_index=True)
    tested = ~rows["test"].isin([NONE, ROUNDING])
    share = level / max(int(tested.sum()), 1)
    ours = rows["quantity"].isin([f"off_policy_{quantity}" for quantity in TESTS])
    seen = self_normalised_bound(share) + float(scipy.special.ndtri(POWER))
    rows["smallest_error"] = rows["smallest_error"].where(~ours, seen * rows["smallest_error"])
    failed = ours & tested & (rows["p_value"] < share)
    return rows.assign(passed=rows["passed"].astype(bool) & ~failed)
