"""regimes.parquet: the exact theory of iid samples over scale and offset, and maps of it.

The table has the theory on a coarse grid, and a map interpolates it. Bias and log variance are
smooth on either side of the scale from which on k3 has an infinite variance, so each side has its
own nodes and its own spline in the log of the scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mckl.arrays import Vector, in_columns
from mckl.draw.points import SAMPLERS
from mckl.estimation.offered import offered_estimators
from mckl.estimation.values import ESTIMATORS, K1
from mckl.exact.law import Law
from mckl.families.registry import sweep_pair
from mckl.study.heavy_tails import ratio_border, scales

if TYPE_CHECKING:
    import pandas as pd

    from mckl.study.settings import Setting

# The numbers of scales below and above the border, and of offsets.
_NODES = (18, 4, 9)
_MOST_FAMILIES = 5
_LARGEST_DIMENSION = 16
_FEW_SAMPLES = 64
# The log of a variance that is too large to win; splines of larger ones would oscillate.
_HOPELESS = 25.0


def window(settings: Sequence[Setting], samples: int) -> dict[str, Any]:
    """The part of the plane that the table covers for a study: the parameters of `regime_rows`.

    It has the smallest dimension of the study and its largest up to 16, and for a single family
    also a small number of samples. A study of cases alone has the map of normal laws.
    """
    cells = [s for s in settings if s.case is None]
    families = list(dict.fromkeys(s.family for s in cells)) or ["normal"]
    if len(families) > _MOST_FAMILIES:
        steps = np.linspace(0, len(families) - 1, _MOST_FAMILIES).round().astype(int)
        families = [families[i] for i in steps]
    dimensions = sorted({s.dimension for s in cells or settings})
    largest = max([d for d in dimensions if d <= _LARGEST_DIMENSION] or dimensions[:1])
    several = len(families) > 1 or samples <= 4 * _FEW_SAMPLES
    scales = [s.scale for s in cells if s.scale is not None]
    offsets = [abs(s.offset) for s in cells if s.offset is not None]
    return {
        "families": families,
        "dimensions": list(dict.fromkeys([dimensions[0], largest])),
        "samples": [samples] if several else [_FEW_SAMPLES, samples],
        "low": min([0.6, *(max(x / 1.1, 0.1) for x in scales)]),
        "high": max([2.8, *(min(x * 1.1, 10.0) for x in scales)]),
        "offset": max([1.25, *(min(x * 1.1, 3.0) for x in offsets)]),
    }


def regime_rows(
    families: Sequence[str],
    dimensions: Sequence[int],
    samples: Sequence[int],
    low: float,
    high: float,
    offset: float,
) -> Iterator[dict[str, list[Any]]]:
    """The columns of regimes.parquet, family by family and dimension by dimension.

    Each family has a map for every dimension and number of samples, with scales from `low` to
    `high` and offsets from 0 to `offset`.
    """
    for family in families:
        nodes = np.concatenate(scales(ratio_border(family), low, high, _NODES))
        # Offsets are denser towards 0, since the logs fall steeply around q = p.
        offsets = offset * np.linspace(0.0, 1.0, _NODES[2]) ** 1.5
        for dimension in dimensions:
            names = _shown(family, dimension)
            rows = []
            for scale in nodes:
                for y in offsets:
                    law = sweep_pair(family, dimension, float(scale), float(y)).law
                    where: dict[str, Any] = {"family": family, "dimension": dimension}
                    where |= {"scale": float(scale), "offset": float(y)}
                    rows += [row | where for row in _rows(law, names, samples)]
            yield in_columns(rows)


def _shown(family: str, dimension: int) -> list[str]:
    """The estimators of the map; in one dimension the only factor is the whole sample."""
    pair = sweep_pair(family, dimension, 1.0, 0.0)
    offered = offered_estimators(pair, SAMPLERS["iid"], [*ESTIMATORS])
    return [name for name in offered if dimension > 1 or not ESTIMATORS[name].sums]


def _rows(law: Law, names: Sequence[str], samples: Sequence[int]) -> Iterator[dict[str, Any]]:
    for name in names:
        unit, mirrored = ESTIMATORS[name].theory(law, False), math.nan
        error = unit.relative_error
        if name == K1.name and law.mirrored:
            pair = K1.theory(law, True)  # of two samples
            mirrored, error = 2.0 * pair.variance, max(error, pair.relative_error)
        for n in samples:
            yield {
                "samples": n,
                "estimator": name,
                "exact_bias": unit.bias,
                "exact_variance": unit.variance / n,
                "antithetic_variance": mirrored / n,
                "theory": unit.kind,
                "relative_error": error,
            }


class Surface(NamedTuple):
    """An estimator's bias and log variance on the fine grid, and whether it is a leading order."""

    bias: Vector
    log_variance: Vector
    asymptotic: bool

    @property
    def log_mse(self) -> Vector:
        """The log of the mean squared error."""
        with np.errstate(divide="ignore"):
            return np.logaddexp(self.log_variance, 2.0 * np.log(np.abs(self.bias)))


class RegimeMap(NamedTuple):
    """The theory of one family, dimension and number of samples over the fine grid.

    border      the scale from which on the variance of k3 is infinite; inf if it never is
    estimators  the surfaces of each estimator, by name
    excess      the variance of k1 over antithetic samples less that over iid ones, for one sample
                of one coordinate; where it is positive, antithetic pairs hurt
    """

    border: float
    estimators: Mapping[str, Surface]
    excess: Vector


def regime_map(rows: pd.DataFrame, scale: Vector, offset: Vector) -> RegimeMap:
    """The map of one family, dimension and number of samples.

    rows           The rows of regimes.parquet of this family, dimension and number of samples.
    scale, offset  The fine grid, shapes (scales,) and (offsets,).
    """
    border = ratio_border(str(rows["family"].iloc[0]))
    names = list(dict.fromkeys(rows["estimator"]))
    sides = []
    for inside, covered in ((rows["scale"] < border, scale < border),
                     (rows["scale"] >= border, scale >= border)):  # fmt: skip
        if covered.any():
            sides.append(_side(rows[inside], names, (np.log(scale[covered]), offset)))
    estimators = {
        name: Surface(
            np.concatenate([side[name].bias for side, _ in sides]),
            np.concatenate([side[name].log_variance for side, _ in sides]),
            any(side[name].asymptotic for side, _ in sides),
        )
        for name in names
    }
    return RegimeMap(border, estimators, np.concatenate([excess for _, excess in sides]))


def _side(
    rows: pd.DataFrame, names: Sequence[str], fine: tuple[Vector, Vector]
) -> tuple[dict[str, Surface], Vector]:
    """The surfaces on one side of the border, and the excess of antithetic samples."""
    rows = rows.sort_values(["scale", "offset"], kind="stable")
    scales, offsets = (np.unique(rows[axis].to_numpy(float)) for axis in ("scale", "offset"))
    nodes, n = (np.log(scales), offsets), int(rows["samples"].iloc[0])
    of_each = {name: rows[rows["estimator"] == name] for name in names}

    def at_nodes(name: str, column: str) -> Vector:
        """The values of a column at every node; NaN where not known."""
        values = of_each[name][column].to_numpy(float)
        return values.reshape(scales.size, offsets.size)

    infinite = np.isinf(at_nodes("k3", "exact_variance"))
    # If the variance of k3 diverges only at some offsets, a cubic spline would oscillate.
    degree = 3 if infinite.all() or not infinite.any() else 1
    out = {}
    for name in names:
        with np.errstate(divide="ignore"):
            log_variance = np.log(n * at_nodes(name, "exact_variance"))
        if not np.isinf(log_variance).all():
            log_variance = np.clip(_carried(log_variance), -_HOPELESS, _HOPELESS)
        out[name] = Surface(
            _fine(nodes, np.nan_to_num(at_nodes(name, "exact_bias")), fine, 3),
            _fine(nodes, log_variance, fine, degree) - math.log(n),
            bool((of_each[name]["theory"] == "asymptotic").any()),
        )
    excess = n * (at_nodes("k1", "antithetic_variance") - at_nodes("k1", "exact_variance"))
    excess = np.where(np.isnan(excess), -1.0, excess / int(rows["dimension"].iloc[0]))
    return out, _fine(nodes, excess, fine, 3)


def _carried(values: Vector) -> Vector:
    """Fill values that are not known, or too large, from the previous scale."""
    out = np.array(values)
    before = np.full(out.shape[1], _HOPELESS)
    for row in out:
        row[:] = before = np.where(np.isnan(row), before, row)
    return out


def _fine(
    nodes: tuple[Vector, Vector], values: Vector, fine: tuple[Vector, Vector], degree: int
) -> Vector:
    from scipy.interpolate import RectBivariateSpline

    if not np.isfinite(values).all():
        return np.full((fine[0].size, fine[1].size), math.inf)
    kx, ky = (min(degree, len(x) - 1) for x in nodes)
    return np.asarray(RectBivariateSpline(*nodes, values, kx=kx, ky=ky)(*fine))


def is_symmetric(family: str) -> bool:
    """Whether an offset and its negative make pairs with the same KL."""
    one, other = (sweep_pair(family, 1, 1.25, x).law.kl for x in (0.5, -0.5))
    return math.isclose(one, other, rel_tol=1e-9)
