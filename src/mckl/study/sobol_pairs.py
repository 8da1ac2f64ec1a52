"""A bound on the variance of k2 over Sobol' points, from the net itself.

k2 is the square of a sum over coordinates, so it has terms of one coordinate and products of two.
With equal coordinates these have the variance V_1^2 for each pair, of which the share s_k s_l is on
the dyadic scales k and l, with s_k = A_{k+1} - A_k and A_k the share of k1's variance that 2^k
strata remove. Over n = 2^m points such a part has gain(k, l) / n times its variance (Owen,
"Monte Carlo variance of scrambled net quadrature", 1997): the sum over the points h of the
unscrambled net of t_k(h) t_l(h), where t_k is 1 if a coordinate of h starts with more than k digits
0, -1 if with just k, and else 0. It is 1 if a scale is m or finer, and at most 1 for the terms of
one coordinate.
"""

from __future__ import annotations

import itertools
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from mckl.arrays import Vector

_MOST = 128  # for more coordinates the pairs are too many


@lru_cache(maxsize=64)
def gains(dimension: int, digits: int) -> Vector:
    """The sums over all pairs of coordinates of gain(k, l), shape (digits, digits)."""
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        points = qmc.Sobol(dimension, scramble=False).random(2**digits)
    # The number of leading digits 0; all digits for the point 0.
    zeros = -np.frexp(np.maximum(points, 0.25 / 2**digits))[1].T
    zeros = np.minimum(zeros, digits)
    joint = np.zeros((digits + 1) ** 2)
    for one, other in itertools.combinations(zeros, 2):
        joint += np.bincount(one * (digits + 1) + other, minlength=joint.size)
    level, count = np.arange(digits)[:, None], np.arange(digits + 1)
    sign = np.where(count > level, 1.0, np.where(count == level, -1.0, 0.0))
    return np.asarray(sign @ joint.reshape(digits + 1, digits + 1) @ sign.T)


def with_bounds(cells: pd.DataFrame, theory: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """k2's largest balanced cell of each trace over `sobol`, with a bound as its exact_variance.

    `cells` are rows of summary.parquet with text keys. Used are settings of the sweep, whose
    coordinates are equal, if k1's theory is known at all smaller powers of two.
    """
    swept = settings.loc[settings["case"].isna(), "setting"].astype(str)
    cells = cells[cells["setting"].isin(swept) & cells["dimension"].between(2, _MOST)]
    mine = (cells["sampler"] == "sobol") & (cells["estimator"] == "k2")
    mine &= (cells["samples"] & (cells["samples"] - 1)) == 0
    cells = cells[mine]
    variances = theory.astype(dict.fromkeys(("setting", "sampler", "estimator"), str))
    variances = variances[variances["setting"].isin(cells["setting"])].pivot_table(
        index=["setting", "samples"], columns=["sampler", "estimator"], values="exact_variance"
    )
    if not {("iid", "k1"), ("iid", "k2"), ("sobol", "k1")} <= {*variances}:
        return cells[:0]
    cells = cells.loc[cells.groupby(["setting", "backend"])["samples"].idxmax()]
    rows: Any = cells.itertuples()
    bounds = [_bound(row.dimension, row.samples, variances.loc[row.setting]) for row in rows]
    return cells.assign(exact_variance=bounds, exact_excess_kurtosis=np.nan)


def _bound(dimension: int, n: int, variances: Any) -> float:
    """The bound for one setting; NaN if its theory is not known."""
    digits = n.bit_length() - 1
    curve = variances.reindex(2 ** np.arange(digits + 1))
    whole, square = (n * curve["iid", name].to_numpy(float)[-1] for name in ("k1", "k2"))
    removed = 1.0 - (curve["sobol", "k1"] / curve["iid", "k1"]).to_numpy(float)
    share = np.diff(removed)
    each = (whole / dimension) ** 2
    pairs = 0.5 * dimension * (dimension - 1) * each
    coarse = each * float(share @ gains(dimension, digits) @ share)
    return float(square - pairs * share.sum() ** 2 + coarse) / n
