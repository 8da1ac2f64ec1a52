"""Adds the tests of gradients.parquet to those of verification.parquet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy

from mckl.study.gradients import Test
from mckl.study.tails import self_normalised_bound
from mckl.study.verification import POWER

TEST = "self-normalised"


def with_gradients(
    verification: pd.DataFrame, gradients: pd.DataFrame, level: float
) -> pd.DataFrame:
    """The rows of verification.parquet and of gradients.parquet, tested at one common level."""
    if gradients.empty:
        return verification
    parts, size = [verification], gradients["gradient_norm"].where(gradients["gradient_norm"] > 0)
    for quantity in ("mean", "variance"):
        fields = {f"{quantity}_{field}": field for field in Test._fields}
        part = gradients[["setting", "method", "samples", *fields]]
        part = part.rename(columns=fields | {"method": "estimator"})
        part = part.astype({"setting": str, "estimator": str}).assign(
            backend="numpy",
            sampler="iid",
            quantity=f"gradient_{quantity}",
            test=np.where(part["p_value"].notna(), TEST, "none"),
            passed=True,
            # At first the spread, relative to the gradient's norm or to the total variance.
            smallest_error=part["spread"] / (part["exact"] if quantity == "variance" else size),
        )
        parts.append(part[list(verification.columns)])
    rows = pd.concat(parts, ignore_index=True)
    tested = ~rows["test"].isin(["none", "rounding"])
    share = level / max(int(tested.sum()), 1)
    seen = self_normalised_bound(share) + float(scipy.special.ndtri(POWER))
    ours = rows["test"] == TEST
    rows["smallest_error"] = rows["smallest_error"].where(~ours, seen * rows["smallest_error"])
    return rows.assign(passed=rows["passed"].astype(bool) & ~(tested & (rows["p_value"] < share)))
