"""Functions of l at the nodes of a grid, with bounds on their rounding errors.

Values are kept as logarithms. Where r is large, a function that contains r is kept over r, whose
powers are among the weights (`mckl.exact.grid.Grid.weights`): neither overflows there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.exact.grid import LARGE, Grid
from mckl.exact.moments import EPS, WITH_RATIO, Function
from mckl.exact.remainders import phi

EVEN, ODD = Function("even"), Function("odd")  # the parts of l about KL
OF_IMAGES = ("even", "odd", "gap")  # functions of l at a point and at its mirror image
# The power of l in each function, beside r.
DEGREES = {"ell": 1, "half_square": 2, "k3": 1, "even": 1, "odd": 1, "ratio": 0, "gap": 0, "rb": 0}


def product_is_finite(names: Sequence[str], is_finite: Callable[[float, int], bool]) -> bool:
    """Whether the mean of a product of these functions is finite.

    The product is a sum of powers of r times powers of l. For every power k of r the largest power
    of l that occurs with it decides. Means over antithetic pairs have moments as large.

    is_finite  Whether E |l|^order e^{s l} is finite, as a function of s and the order.
    """
    ratios = sum(name in WITH_RATIO for name in names)
    whole = sum(DEGREES[name] for name in names)
    plain = ratios - names.count("k3")  # the factors r - 1, without l
    return all(is_finite(-float(k), whole - max(k - plain, 0)) for k in range(ratios + 1))


class Values(NamedTuple):
    """A function less its mean at the nodes, arrays of shape (nodes,).

    sign        the sign of its values
    log_size    the logarithm of their absolute values
    log_most    the logarithm of their absolute values plus a bound on their errors
    share       this bound as a share of that sum
    mean        the mean that has been subtracted
    mean_error  a bound on its error
    ratio       whether the function contains r
    """

    sign: Vector
    log_size: Vector
    log_most: Vector
    share: Vector
    mean: float
    mean_error: float
    ratio: bool


class _Given(NamedTuple):
    """Values and bounds on their errors, without the factor e^growth, and their mean."""

    value: Vector
    error: Vector
    growth: Vector
    mean: float = 0.0
    mean_error: float = 0.0


@lru_cache(maxsize=32)  # moments of several orders and of several functions share them
@np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
def values(grid: Grid, function: Function, paired: bool) -> Values:
    """The function, or its mean over antithetic pairs, at the nodes of a grid."""
    name = function.name
    made = (_with_ratio if name in WITH_RATIO else _without_ratio)(grid, function, paired)
    size = np.abs(made.value)
    most = size + made.error
    return Values(
        np.sign(made.value), np.log(size) + made.growth, np.log(most) + made.growth,
        _share(made.error, made.value), made.mean, made.mean_error,
        name in WITH_RATIO,
    )  # fmt: skip


def _sides(grid: Grid, paired: bool) -> list[tuple[Vector, Vector]]:
    """l and its error at each point of a unit."""
    if not paired:
        return [(grid.ell, grid.ell_error)]
    return [
        (grid.even + grid.odd, grid.ell_error), (grid.even - grid.odd, grid.image_error),
    ]  # fmt: skip


def _without_ratio(grid: Grid, function: Function, paired: bool) -> _Given:
    name = function.name
    if name == "rb":
        nothing = np.zeros_like(grid.w)
        return _Given(nothing, nothing, nothing, grid.kl, grid.kl_error)
    mirrored = paired or name in ("even", "odd")
    error = np.maximum(grid.ell_error, grid.image_error) if mirrored else grid.ell_error
    if name == "odd":
        growth = np.where(grid.growth > 0.0, grid.growth - grid.beyond, 0.0)
        return _Given(grid.odd, error + EPS * np.abs(grid.odd), growth)
    sides = [ell for ell, _ in _sides(grid, paired)]
    if name == "half_square":
        # Squares of l beyond 1e100 are kept over the largest, lest they overflow.
        sides, ell = [side + function.shift for side in sides], grid.ell + function.shift
        top = np.max(np.abs(sides), axis=0)
        unit = np.where(top > 1e100, top, 1.0)
        growth = 2.0 * (grid.growth + np.log(unit))
        terms = 0.5 * np.square(ell / unit) * np.exp(grid.log_w + growth)
        mean = float(terms.sum())
        share = grid.w_error + 4.0 * EPS + 2.0 * _share(grid.ell_error, ell)
        mean_error = grid.lost(terms) + float(terms @ share)
        square = 0.5 * np.mean(np.square(np.array(sides) / unit), axis=0)
        value = square - np.where(growth > 0.0, 0.0, mean)
        error = (top / unit) * (error / unit) + mean_error + 4.0 * EPS * (square + mean)
        return _Given(value, error, growth, mean, mean_error)
    value = (grid.even if name == "even" else np.mean(sides, axis=0)) - grid.kl
    error = error + grid.kl_error + EPS * (np.abs(value) + grid.kl)
    mean = 0.0 if name == "even" else grid.kl
    return _Given(value, error, grid.growth, mean, grid.kl_error)


def _with_ratio(grid: Grid, function: Function, paired: bool) -> _Given:
    """y = k3 - slope (r - 1) is also l + rest (r - 1); the form with the smaller terms is taken."""
    name, slope, rest, _ = function
    log_ratio, sides = grid.log_ratio(paired), _sides(grid, paired)
    large = log_ratio > LARGE
    over = np.exp(-np.where(large, log_ratio, 0.0))  # 1 / r where r is large, else 1
    ratios = [np.exp(-ell - np.where(large, log_ratio, 0.0)) for ell, _ in sides]
    growth = DEGREES[name] * grid.growth
    if name == "gap":
        share = np.tanh(grid.odd)  # (r' - r) / (r' + r)
        value = -share * np.where(large, 1.0, np.exp(log_ratio))
        error = _mean([r * e for r, (_, e) in zip(ratios, sides, strict=True)])
        return _Given(value, error + 4.0 * EPS * np.abs(value), growth)
    less = [
        np.where(large, r - over, np.expm1(-ell)) for r, (ell, _) in zip(ratios, sides, strict=True)
    ]
    x = _mean(less)
    if name == "ratio":
        error = _mean([r * e for r, (_, e) in zip(ratios, sides, strict=True)])
        return _Given(x, error + 4.0 * EPS * np.abs(x), growth)
    ell = _mean([ell for ell, _ in sides])
    curved = _mean([
        np.where(large, y + over * ell, phi(-ell)) for y, (ell, _) in zip(less, sides, strict=True)
    ])  # fmt: skip
    centre, nothing = over * grid.kl, np.zeros_like(x)
    ways = np.array([
        (curved, -centre, -slope * x), (over * (ell - grid.kl), rest * x, nothing)
    ])  # fmt: skip
    sizes = np.abs(ways).sum(axis=1)
    # Where r is large the function phi is itself a sum, of r, -1 and l.
    sizes[0] += np.where(large, 1.0 + over * (1.0 + np.abs(ell)), 0.0)
    sizes[1] += over * np.abs(ell)
    first = sizes[0] <= sizes[1]
    value = np.where(first, ways[0].sum(axis=0), ways[1].sum(axis=0))
    error = _mean([
        np.abs(over - rest * r) * e for r, (_, e) in zip(ratios, sides, strict=True)
    ])  # fmt: skip
    error = error + over * grid.kl_error + 4.0 * EPS * np.min(sizes, axis=0)
    return _Given(value, error, growth, grid.kl, grid.kl_error)


def _share(error: Vector, value: Vector) -> Vector:
    """The error as a share of the value, at most 1."""
    size = np.abs(value) + error
    return np.where(size > 0.0, error / size, 0.0)


def _mean(arrays: list[Vector]) -> Vector:
    return np.asarray(np.mean(arrays, axis=0))
