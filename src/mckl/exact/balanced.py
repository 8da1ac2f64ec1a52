"""The variance of k1 over balanced Sobol' points, at one cost for every n = 2^m.

The variance is n^-2 sum over strata of Var(f | stratum) (`mckl.exact.strata`, docs/theory.md,
section 6). In the outer 256 strata at either end every term is integrated. Between them f is
smooth on the scale of a stratum of width h = 1/n in u, where Var(f | stratum) is
h/12 times the integral of f'(u)^2 over it, to a relative error of about (strata from the end)^-2:
their sum is one integral. The whole errs by less than 1e-8 of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.quantiles import chisquare_of_normal
from mckl.exact.strata import _OUTERMOST, Quadratic, _nodes

_OUTER = 256  # strata at either end that are integrated one by one
_PANELS = 64  # of the integral between them


def _edges(n: int) -> tuple[Vector, Vector]:
    """Normal quantiles of the edges of the lowest and of the highest strata."""
    low = scipy.special.ndtri(np.arange(_OUTER + 1) / n)
    low[0] = -_OUTERMOST
    return low, -low[::-1]


def _variances(
    edges: Vector, log_density: Callable[[Vector], Vector], f: Callable[[Vector], Vector]
) -> float:
    x, weight = _nodes(edges, log_density)
    y = f(x)
    y = y - (weight * y).sum(axis=1, keepdims=True)
    return float((weight * y * y).sum())


def _integral(edges: Vector, f: Callable[[Vector], Vector]) -> float:
    """The integral of f over all panels."""
    x, weight = _nodes(edges, np.zeros_like)
    return float(((weight * f(x)).sum(axis=1) * np.diff(edges)).sum())


@lru_cache(maxsize=64)
def normal_sums(n: int) -> tuple[float, float]:
    """Sums of Var(g^2) and Var(g) over n equal strata of the standard normal law."""
    if n == 1:
        return 2.0, 1.0

    def log_density(x: Vector) -> Vector:
        return np.asarray(-0.5 * x * x)

    if n <= 2 * _OUTER:
        edges = scipy.special.ndtri(np.arange(n + 1) / n)
        edges[0], edges[-1] = -_OUTERMOST, _OUTERMOST
        return _variances(edges, log_density, np.square), _variances(edges, log_density, np.array)
    outer, _ = _edges(n)  # the upper half mirrors it
    inner = np.linspace(outer[-1], -outer[-1], _PANELS + 1)
    root = np.sqrt(2.0 * np.pi)
    return (
        2.0 * _variances(outer, log_density, np.square)
        + _integral(inner, lambda x: 4.0 * x * x * root * np.exp(0.5 * x * x)) / (12.0 * n),
        2.0 * _variances(outer, log_density, np.array)
        + _integral(inner, lambda x: root * np.exp(0.5 * x * x)) / (12.0 * n),
    )


@lru_cache(maxsize=4096)
def chi_sum(n: int, dof: float) -> float:
    """Sum of Var(w) over n equal strata of the chi-square law; integrated over x = sqrt(w)."""
    if n == 1:
        return 2.0 * dof
    quantile = chisquare_of_normal(dof)

    def root_quantile(edges: Vector) -> Vector:
        return np.asarray(np.sqrt(np.maximum(quantile(edges), 0.0)))

    mode = np.sqrt(max(dof - 1.0, 0.0))
    log_mode = (dof - 1.0) * np.log(mode) - 0.5 * mode**2 if mode > 0 else 0.0

    def log_density(x: Vector) -> Vector:
        return np.asarray((dof - 1.0) * np.log(x) - 0.5 * x * x - log_mode)

    if n <= 2 * _OUTER:
        edges = scipy.special.ndtri(np.arange(n + 1) / n)
        edges[0], edges[-1] = -_OUTERMOST, _OUTERMOST
        return _variances(root_quantile(edges), log_density, np.square)
    low, high = _edges(n)
    outer = sum(_variances(root_quantile(e), log_density, np.square) for e in (low, high))
    whole = root_quantile(np.linspace(-_OUTERMOST, _OUTERMOST, _PANELS + 1))
    inner = root_quantile(np.linspace(low[-1], high[0], _PANELS + 1))
    mass = _integral(whole, lambda x: np.asarray(np.exp(log_density(x))))
    smooth = _integral(inner, lambda x: 4.0 * x * x * np.exp(-log_density(x)))
    return outer + mass * smooth / (12.0 * n)


def balanced_variance(form: Quadratic, n: int) -> float:
    """Variance of the mean of l over n = 2^m balanced scrambled Sobol' points."""
    square, linear = normal_sums(n)
    total = float(form.square @ form.square) * square + float(form.linear @ form.linear) * linear
    dofs, group = np.unique(form.dof, return_inverse=True)
    weights = np.bincount(group, weights=form.chi**2, minlength=dofs.size)
    total += sum(w * chi_sum(n, float(k)) for k, w in zip(dofs, weights, strict=True))
    return float(total) / n**2
