"""The exact law of a mean over balanced scrambled Sobol' points, for functions of one number.

Among the first n = 2^m scrambled Sobol' points each coordinate has exactly one point in each
of n equal strata of [0, 1), uniform within it, and any three of them are independent (so is
every pair; Owen 2003 shows that the linear scramble has the variance of the nested one).
A mean of sum_d f_d(u_d) therefore has variance

    n^-2 sum_d sum_strata Var(f_d | stratum),

and the fourth cumulant of independent strata plus what quadruples of strata with
bitwise sum 0 add under SciPy's linear matrix scramble (docs/theory.md, section 6).

Only three functions occur: a normal g, its square, and a chi-square w.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.quantiles import chisquare_of_normal

# Beyond, the strata are not summed one by one; skewness and kurtosis have all but settled by then.
MOST_STRATA = 2**15


class Quadratic(Protocol):
    """A quadratic form in normals and chi-squares (`mckl.families.quadratic_form`)."""

    kl: float
    square: Vector
    linear: Vector
    chi: Vector
    dof: Vector


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_OUTERMOST = 9.5  # where the outer strata are cut: beyond lies a probability of 1e-21
_WALSH_LEVELS = 5  # the first 2^5 Walsh functions of the position within a stratum


class NormalStrata(NamedTuple):
    """Sums over n equal strata of the standard normal law.

    The two of order 2 are the sums of Var(g^2) and Var(g) within strata; `third` holds the
    coefficients of a^3 and 3 a b^2 in the third cumulant of the sum of a g^2 + b g, `fourth`
    those of a^4, 6 a^2 b^2 and b^4 in its fourth.
    """

    square: float
    linear: float
    third: tuple[float, float]
    fourth: tuple[float, float, float]


class ChiStrata(NamedTuple):
    """The second, third and fourth cumulants of the sum of w over n equal strata."""

    second: float
    third: float
    fourth: float


def _nodes(edges: Vector, log_density: Callable[[Vector], Vector]) -> tuple[Vector, Vector]:
    """Gauss-Legendre nodes within each stratum and weights that add up to 1 in it."""
    half = 0.5 * np.diff(edges)[:, None]
    x = edges[:-1, None] + half * (1.0 + _NODES)
    with np.errstate(divide="ignore"):
        weight = half * _WEIGHTS * np.exp(log_density(x))
    return x, weight / weight.sum(axis=1, keepdims=True)


def walsh_hadamard(x: Vector) -> Vector:
    """The Walsh-Hadamard transform along axis 0, whose length is a power of two."""
    n = x.shape[0]
    step = 1
    while step < n:
        y = x.reshape(n // (2 * step), 2, step, -1)
        x = np.stack((y[:, 0] + y[:, 1], y[:, 0] - y[:, 1]), axis=1).reshape(n, -1)
        step *= 2
    return np.asarray(x)


def _linked(*functions: Vector) -> float:
    """What quadruples of strata with bitwise sum 0 add to E of a product of four sums.

    Each function has shape (strata, positions): its value at equally spaced positions within
    each stratum. Under the linear scramble, x + y + z + w = 0 makes the position in w the
    bitwise sum of the other three, so the product's mean is the sum over Walsh functions k
    of the four k-th coefficients' product. Coincident strata are counted elsewhere.
    """
    n, positions = functions[0].shape
    if n < 4:
        return 0.0
    # Most of the four are one and the same; transformed once, of shape (strata, k > 0).
    once = {id(f): (walsh_hadamard(f.T) / positions)[1:].T for f in functions}
    twice = {key: walsh_hadamard(x) for key, x in once.items()}
    h, H = [once[id(f)] for f in functions], [twice[id(f)] for f in functions]
    every = (H[0] * H[1] * H[2] * H[3]).sum() / n
    pairs = sum(
        ((h[i] * h[j]).sum(axis=0) * (h[k] * h[m]).sum(axis=0)).sum()
        for i, j, k, m in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2))
    )
    return float(every - pairs + 2.0 * (h[0] * h[1] * h[2] * h[3]).sum())


def _centred(x: Vector, weight: Vector, f: Callable[[Vector], Vector]) -> Vector:
    y = f(x)
    return np.asarray(y - (weight * y).sum(axis=1, keepdims=True))


def _normal_edges(n: int) -> Vector:
    edges = scipy.special.ndtri(np.arange(n + 1) / n)
    edges[0], edges[-1] = -_OUTERMOST, _OUTERMOST
    return np.asarray(edges)


def _positions(n: int) -> Vector:
    """Equally spaced u within each of n strata, shape (n, 2^levels)."""
    cells = 2**_WALSH_LEVELS
    return np.asarray((np.arange(n)[:, None] + (np.arange(cells) + 0.5) / cells) / n)


@lru_cache(maxsize=64)
def normal_strata(n: int) -> NormalStrata:
    """`NormalStrata` for n equal strata, n a power of two."""
    edges = _normal_edges(n)
    if n == 1:
        edges = np.array([edges[0], 0.0, edges[-1]])
    x, weight = _nodes(edges, lambda x: -0.5 * x * x)
    if n == 1:  # one stratum over the whole line, in two panels
        x, weight = x.reshape(1, -1), weight.reshape(1, -1) / 2.0
    square = _centred(x, weight, np.square)
    linear = _centred(x, weight, lambda x: x)
    vs, vl = (weight * square**2).sum(axis=1), (weight * linear**2).sum(axis=1)
    cross = (weight * square * linear).sum(axis=1)
    at = scipy.special.ndtri(_positions(n))
    s, g = at**2 - (at**2).mean(axis=1, keepdims=True), at - at.mean(axis=1, keepdims=True)
    f40, f22, f04 = (
        ((weight * square**4).sum(axis=1) - 3.0 * vs**2).sum() + _linked(s, s, s, s),
        ((weight * square**2 * linear**2).sum(axis=1) - vs * vl - 2.0 * cross**2).sum()
        + _linked(s, s, g, g),
        ((weight * linear**4).sum(axis=1) - 3.0 * vl**2).sum() + _linked(g, g, g, g),
    )
    third = ((weight * square**3).sum(), (weight * square * linear**2).sum())
    return NormalStrata(
        float(vs.sum()),
        float(vl.sum()),
        (float(third[0]), float(third[1])),
        (float(f40), float(f22), float(f04)),
    )


@lru_cache(maxsize=1024)
def chi_strata(n: int, dof: float) -> ChiStrata:
    """`ChiStrata` for n equal strata of the chi-square law with `dof` degrees of freedom.

    Integrated over x = sqrt(w), in which the density is smooth at 0 for one degree too.
    """
    quantile = chisquare_of_normal(dof)
    edges = np.sqrt(np.maximum(quantile(_normal_edges(n)), 0.0))  # rounding may pass 0
    mode = np.sqrt(max(dof - 1.0, 0.0))
    log_mode = (dof - 1.0) * np.log(mode) - 0.5 * mode**2 if mode > 0 else 0.0

    def log_density(x: Vector) -> Vector:
        return (dof - 1.0) * np.log(x) - 0.5 * x * x - log_mode

    if n == 1:
        # The cumulants of the whole law are elementary.
        return ChiStrata(2.0 * dof, 8.0 * dof, 48.0 * dof)
    x, weight = _nodes(edges, log_density)
    w = _centred(x, weight, np.square)
    variance = (weight * w**2).sum(axis=1)
    at = quantile(scipy.special.ndtri(_positions(n)))
    at -= at.mean(axis=1, keepdims=True)
    fourth = ((weight * w**4).sum(axis=1) - 3.0 * variance**2).sum() + _linked(at, at, at, at)
    return ChiStrata(float(variance.sum()), float((weight * w**3).sum()), float(fourth))


@np.errstate(over="ignore", invalid="ignore")
def stratified(form: Quadratic, n: int) -> tuple[float, float, float]:
    """Variance, skewness and excess kurtosis of the mean of l over n = 2^m Sobol' points."""
    normal = normal_strata(n)
    a, b2 = form.square, form.linear**2
    variance = float((a**2).sum()) * normal.square + float(b2.sum()) * normal.linear
    third = (a**3).sum() * normal.third[0] + 3.0 * (a * b2).sum() * normal.third[1]
    f40, f22, f04 = normal.fourth
    fourth = (a**4).sum() * f40 + 6.0 * (a**2 * b2).sum() * f22 + (b2**2).sum() * f04
    for chi, dof in zip(form.chi, form.dof, strict=True):
        strata = chi_strata(n, float(dof))
        variance += float(chi) ** 2 * strata.second
        third += float(chi) ** 3 * strata.third
        fourth += float(chi) ** 4 * strata.fourth
    if variance == 0.0:
        return 0.0, 0.0, 0.0
    return (
        variance / n**2,
        float(third / np.power(variance, 1.5)),
        float(fourth / np.square(variance)),
    )


class Linked:
    """What quadruples of strata add to the fourth cumulant of a sum of f(u) over n = 2^m of them.

    The function is looked at on one grid, whose means over cells serve every n.
    """

    MOST = 2**14  # strata; beyond, it is not known

    def __init__(self, function: Callable[[Vector], Vector]) -> None:
        self._values = function((np.arange(4 * self.MOST) + 0.5) / (4 * self.MOST))

    def __call__(self, n: int) -> float:
        """What n strata add."""
        cells = min(4 * self.MOST // n, 2**_WALSH_LEVELS)
        at = self._values.reshape(n, cells, -1).mean(axis=2)
        at = at - at.mean(axis=1, keepdims=True)
        return _linked(at, at, at, at)
