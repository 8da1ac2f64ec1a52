"""The law of l for one factor, a pair of one-dimensional densities, by quadrature.

Every integral is compared with those of the rules with half and a quarter of the nodes
(`mckl.exact.double_exponential`). The step is halved until they agree. Whether an expectation is
finite is decided from the tails (`mckl.exact.ends`), never by the rule.

Nothing cancels near q = p, as KL is the integral of r - 1 + l >= 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mckl.arrays import Vector
from mckl.exact import ends, joint
from mckl.exact.grid import DensityPair, Grid, edges_of
from mckl.exact.moments import EPS, WITH_RATIO, Function, Moments, settled
from mckl.exact.node_values import OF_IMAGES, Values, product_is_finite, values

_COARSEST, _FINEST = 16, 256  # nodes per unit of the rule's own variable
_TARGET = 2e-14  # the step is halved where the rule may leave a larger share of an integral


class FactorLaw:
    """The law of one factor. Integrals are computed once and kept.

    kl, kl_error  KL of the factor and a bound on its error, in nats.
    """

    kl: float
    kl_error: float

    def __init__(self, factor: DensityPair) -> None:
        self.factor = factor
        self._moments: dict[object, Moments] = {}
        self._finite: dict[tuple[float, int], bool] = {}
        self._edges: dict[bool, tuple[float, ...]] = {}
        self._per_unit = _COARSEST
        while not _is_settled(grid := self._grid(self._per_unit)) and self._per_unit < _FINEST:
            self._per_unit *= 2
        self.kl, self.kl_error = grid.kl, grid.kl_error

    def _grid(self, per_unit: int, mirrored: bool = False) -> Grid:
        """The grid for functions of l; with `mirrored`, also for those of l at the mirror image."""
        # One grid serves both, unless the one without images needs far fewer nodes.
        if not self.factor.smooth_width:
            mirrored = True
        if mirrored not in self._edges:
            self._edges[mirrored] = tuple(edges_of(self.factor, mirrored))
        return _grid(self.factor, self._edges[mirrored], per_unit, mirrored)

    def is_finite(self, s: float, order: int) -> bool:
        """Whether E |l|^order e^{s l} is finite."""
        key = s, order
        if key not in self._finite:
            tails = self.factor.tails
            self._finite[key] = all(ends.is_finite(q, p, s, order) for q, p in tails)
        return self._finite[key]

    def moments(self, functions: Sequence[Function], paired: bool, order: int) -> Moments:
        """The joint central moments of functions of l, as `Law.factor_moments` defines them."""
        key = tuple(functions), paired, order
        mirrored = paired or any(f.name in OF_IMAGES for f in functions)
        # Each starts with the step of KL, so that none depends on which were asked for before.
        per_unit, moments = self._per_unit, self._moments.get(key)
        while moments is None:
            grid = self._grid(per_unit, mirrored)
            moments = self._joint_moments(grid, *key, last=per_unit >= _FINEST)
            per_unit *= 2
        self._moments[key] = moments
        return moments

    @np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
    def _joint_moments(
        self, grid: Grid, functions: tuple[Function, ...], paired: bool, order: int, last: bool
    ) -> Moments | None:
        """The moments; None if a smaller step is needed, unless this is the `last` one."""
        shape = (order + 1,) * len(functions)
        value, error, infinite = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
        value[(0,) * len(functions)] = 1.0
        weights: dict[int, tuple[Vector, Vector]] = {}
        # Where the step is too large, the highest moments show it first.
        for index in reversed(joint.indices(len(functions), order)):
            names = [f.name for f, i in zip(functions, index, strict=True) for _ in range(i)]
            if not names or (names.count("odd") + names.count("gap")) % 2:
                continue  # by symmetry
            infinite[index] = not product_is_finite(names, self.is_finite)
            if infinite[index] or len(names) == 1:
                continue
            power = sum(name in WITH_RATIO for name in names)
            if power not in weights:
                weights[power] = grid.weights(power, paired)
            powers = [
                (values(grid, f, paired), i) for f, i in zip(functions, index, strict=True) if i
            ]
            terms, rounding = _terms(powers, *weights[power])
            left = grid.left(terms)
            if not (last or _is_little(left, terms)):
                return None
            value[index] = terms.sum()
            missed = grid.missed if power else grid.missed_without_ratio
            share = (missed + 4.0 * EPS) * abs(float(value[index]))
            error[index] = left + grid.cut_off(terms) + float(rounding.sum()) + share
            if paired or any(f.name in OF_IMAGES for f in functions):
                error[index] += grid.left_by_images(terms)
        for first, function in zip(joint.firsts(len(functions)), functions, strict=True):
            *_, value[first], error[first], _ = values(grid, function, paired)
        return settled(value, error, infinite)


def _is_settled(grid: Grid) -> bool:
    """Whether the step is small enough for KL and for the sum of the weights."""
    return _is_little(grid.left(grid.w), grid.w) and _is_little(grid.left_of_kl, grid.kl_terms)


def _is_little(left: float, terms: Vector) -> bool:
    """Whether so much is little beside an integral with these terms."""
    size = float(np.abs(terms).sum())
    return not math.isfinite(size) or left <= _TARGET * size


def _terms(
    powers: Sequence[tuple[Values, int]], log_w: Vector, w_error: Vector
) -> tuple[Vector, Vector]:
    """The terms of the mean of a product of functions' powers, and bounds on their errors."""
    log_size, log_most, sign = log_w.copy(), log_w.copy(), np.ones_like(log_w)
    error = w_error + EPS * (4.0 + np.abs(log_w))
    for f, power in powers:
        log_size += power * f.log_size
        log_most += power * f.log_most
        error += power * f.share
        if power % 2:  # where a sign is 0, so is the exponential
            sign *= f.sign
    return sign * np.exp(log_size), np.where(log_most > -np.inf, np.exp(log_most) * error, 0.0)


@lru_cache(maxsize=32)
def _grid(factor: DensityPair, edges: tuple[float, ...], per_unit: int, mirrored: bool) -> Grid:
    """The grid of a factor. Grids take megabytes, so that only the last ones are kept."""
    return Grid(factor, edges, per_unit, 0.0 if mirrored else factor.smooth_width)


@lru_cache(maxsize=4096)
def factor_law(factor: DensityPair) -> FactorLaw:
    """The `FactorLaw` of a factor, which is computed once and kept for all dimensions."""
    return FactorLaw(factor)
