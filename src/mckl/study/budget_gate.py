"""Compares the samples needed in budget.parquet with the curves of theory and of measurement.

Nothing here is shared with `mckl.estimation.budget`, from which they come: a variance falls like
1 / n over independent units, and over Sobol' points the curve itself is looked up.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS, PointSet
from mckl.estimation.budget import BIASED, FAR, INFINITE, REACHED, ZERO
from mckl.study.identities import equality_rows

_RELATIVE = 1e-9
_MOST = 1e18  # the tables have no larger number of samples
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


def needed(curve: Curve, limit: float, points: PointSet) -> Needed | None:
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
        if need > _MOST:
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
    kl = settings.assign(setting=settings["setting"].astype(str)).set_index("setting")["kl"]
    weighted = summary.astype(names).assign(square=summary["mse"] * summary["replicates"])
    sums = weighted.groupby([*_SERIES, "samples"])[["square", "replicates"]].sum(min_count=1)
    measured = dict(tuple((sums["square"] / sums["replicates"]).reset_index("samples")
                          .groupby(_SERIES)))  # fmt: skip
    exact = dict(tuple(theory.astype(names).sort_values("samples").groupby(_SERIES)))
    rows = []
    for series, of in budget.astype(names).groupby(_SERIES, sort=False):
        points, seen = SAMPLERS[series[1]].points, measured.get(series)
        told = exact[series]
        curve = Curve(
            *(told[x].to_numpy(float) for x in ("samples", "exact_bias", "exact_variance")),
            bool((told["theory"] == "asymptotic").any()),
        )
        for row in of.itertuples():
            limit = row.tolerance * kl[series[0]]
            rows += [(*series, *_theory_row(row, needed(curve, limit, points), curve, points))]
            if seen is not None:
                at = crossing(*(seen[x].to_numpy(float) for x in ("samples", 0)), limit)
                rows += [(*series, *_measured_row(row, at, points))]
    columns = [*_SERIES, "quantity", "measured", "exact", "passed"]
    frame = pd.DataFrame(rows, columns=columns).assign(backend=None, samples=0)
    frame = frame.sort_values("passed", kind="stable")
    frame = frame.drop_duplicates(["setting", "quantity"]).sort_index()
    return pd.concat(
        equality_rows(
            str(quantity), part, part["measured"].to_numpy(float), part["exact"].to_numpy(float),
            part["passed"].to_numpy(bool), np.full(len(part), math.nan),
        )
        for quantity, part in frame.groupby("quantity", sort=False)
    )  # fmt: skip


def _number(value: object) -> float:
    return math.inf if pd.isna(value) else float(value)  # type: ignore[arg-type]


def _theory_row(
    row: object, right: Needed | None, curve: Curve, points: PointSet
) -> tuple[str, float, float, bool]:
    found, verdict = _number(row.samples_needed), row.verdict  # type: ignore[attr-defined]
    if right is None:
        return "samples_needed", found, math.nan, True
    if (
        math.isinf(found)
        and right.verdicts is REACHED
        and (curve.leading or not points.independent)
    ):
        passed = True  # not known, or beyond the last Sobol' point
    else:
        passed = right.low <= found <= right.high and verdict in right.verdicts
    return "samples_needed", found, right.high if found > right.high else right.low, passed


def _measured_row(row: object, at: float, points: PointSet) -> tuple[str, float, float, bool]:
    """Whole units, or over Sobol' points a power of two, are the next ones."""
    found = _number(row.samples_needed_measured)  # type: ignore[attr-defined]
    room = points.points if points.independent else at
    passed = found == at or at * (1.0 - _RELATIVE) <= found <= at * (1.0 + _RELATIVE) + room
    return "samples_needed_measured", found, at, bool(passed)
