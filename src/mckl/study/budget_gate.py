"""Compares the samples needed in budget.parquet with the curves of theory and of measurement.

Only the words of the verdicts are shared with `mckl.estimation.budget`, from which they come: a
variance falls like 1 / n over independent units, and over Sobol' points the curve is looked up.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mckl.arrays import Vector, vectors
from mckl.draw.points import SAMPLERS, PointSet
from mckl.estimation.budget import BIASED, FAR, INFINITE, REACHED, ZERO
from mckl.limits import MOST_SAMPLES
from mckl.study.cells import joined
from mckl.study.identities import equality_rows

_RELATIVE = 1e-9
_SERIES = ["setting", "sampler", "estimator"]


class Needed(NamedTuple):
    """The samples that a curve needs are between `low` and `high`; `verdicts` are those possible.

    None are needed by no verdict but those in `REACHED`.
    """

    low: float
    high: float
    verdicts: tuple[str, ...]


class Curve(NamedTuple):
    """Bias and variance of theory at the numbers of samples n, in ascending order."""

    n: Vector
    bias: Vector
    variance: Vector
    leading: bool


def measured_need(curve: Curve, limit: float, points: PointSet) -> Needed | None:
    """The samples needed for an RMSE of `limit` nats; None where the curve does not tell."""
    if limit <= 0.0:
        return Needed(math.inf, math.inf, (ZERO,))
    n, bias, variance = (x[~np.isnan(curve.variance)] for x in curve[:3])
    if not n.size:
        return None
    if variance[-1] == math.inf:
        return Needed(math.inf, math.inf, (INFINITE, FAR))
    off = 0.0 if curve.leading else abs(float(bias[-1]))
    allowed = (limit - off) * (limit + off)
    if allowed <= 0.0:
        return Needed(math.inf, math.inf, (BIASED,))
    need = max(float(variance[-1] * n[-1]) / allowed, 1.0)  # if it falls like 1 / n
    if points.independent:
        if need > MOST_SAMPLES:
            return Needed(math.inf, math.inf, (FAR,))
        return Needed(need * (1.0 - _RELATIVE), need * (1.0 + _RELATIVE) + points.points, REACHED)
    enough = variance <= allowed * (1.0 + _RELATIVE)
    low = 2.0 * float(n[~enough].max(initial=0.5))
    # Beyond the curve it falls at least as fast as over independent points.
    return Needed(low, float(n[enough][0]) if enough.any() else 2.0 * need, REACHED)


def crossing(n: Vector, mse: Vector, limit: float) -> float:
    """Where the mean squared error falls below limit^2 for good, on lines between logarithms."""
    above = np.flatnonzero(~(mse <= limit**2))
    i = int(above[-1]) + 1 if above.size else 0
    if limit <= 0.0 or i == n.size:
        return math.inf
    if i == 0 or mse[i] == 0.0:
        return float(n[i])
    slope = math.log(n[i] / n[i - 1]) / math.log(mse[i] / mse[i - 1])
    return float(n[i] * (limit**2 / mse[i]) ** slope)


def budget_rows(
    budget: pd.DataFrame, theory: pd.DataFrame, summary: pd.DataFrame, settings: pd.DataFrame
) -> pd.DataFrame:
    """Two rows for each setting: the worst of samples_needed, and of samples_needed_measured."""
    names = dict.fromkeys(_SERIES, str)
    kl = dict(zip(settings["setting"].astype(str), settings["kl"].astype(float), strict=True))
    seen, told = _measured(summary.astype(names)), _curves(theory.astype(names))
    rows = []
    groups: Any = budget.astype(names).groupby(_SERIES, sort=False)
    for series, group in groups:
        points = SAMPLERS[series[1]].points
        for row in group.itertuples():
            limit = row.tolerance * kl[series[0]]
            right = measured_need(told[series], limit, points)
            if right is not None:
                free = told[series].leading or not points.independent
                rows += [(*series, *_theory_row(row, right, free))]
            if series in seen:
                rows += [(*series, *_measured_row(row, crossing(*seen[series], limit), points))]
    frame = pd.DataFrame(rows, columns=[*_SERIES, "quantity", "measured", "exact", "passed"])
    frame = frame.sort_values("passed", kind="stable").drop_duplicates(["setting", "quantity"])
    parts = [
        equality_rows(
            str(quantity), part, part["measured"].to_numpy(float), part["exact"].to_numpy(float),
            part["passed"].to_numpy(bool), np.full(len(part), math.nan),
        )
        for quantity, part in frame.sort_index().groupby("quantity", sort=False)
    ]  # fmt: skip
    return joined(parts) if parts else frame


def _curves(theory: pd.DataFrame) -> dict[Any, Curve]:
    """The curve of every setting, sampler and estimator."""
    groups: Any = theory.sort_values("samples").groupby(_SERIES)
    out = {}
    for series, group in groups:
        n, bias, variance = vectors(group, "samples", "exact_bias", "exact_variance")
        out[series] = Curve(n, bias, variance, bool((group["theory"] == "asymptotic").any()))
    return out


def _measured(summary: pd.DataFrame) -> dict[Any, tuple[Vector, Vector]]:
    """Samples and mean squared error over all backends, by setting, sampler and estimator."""
    weighted = summary.assign(square=summary["mse"] * summary["replicates"])
    sums = weighted.groupby([*_SERIES, "samples"])[["square", "replicates"]].sum(min_count=1)
    groups: Any = (sums["square"] / sums["replicates"]).groupby(level=_SERIES)
    return {
        series: (group.index.get_level_values("samples").to_numpy(float), group.to_numpy(float))
        for series, group in groups
    }


def _number(value: Any) -> float:
    return math.inf if pd.isna(value) else float(value)


def _theory_row(row: Any, right: Needed, free: bool) -> tuple[str, float, float, bool]:
    """`free` is whether a leading order, or the end of Sobol' points, may leave it unknown."""
    need = _number(row.samples_needed)
    passed = right.low <= need <= right.high and row.verdict in right.verdicts
    if math.isinf(need) and right.verdicts is REACHED:
        passed = free
    return "samples_needed", need, right.high if need > right.high else right.low, passed


def _measured_row(row: Any, expected: float, points: PointSet) -> tuple[str, float, float, bool]:
    """Whole units, or over Sobol' points a power of two, are the next ones."""
    need = _number(row.samples_needed_measured)
    room = points.points if points.independent else expected
    passed = (
        need == expected
        or expected * (1.0 - _RELATIVE) <= need <= expected * (1.0 + _RELATIVE) + room
    )
    return "samples_needed_measured", need, expected, bool(passed)
