"""The exact law of a mean over balanced scrambled Sobol' points, for functions of one number.

Among the first n = 2^m scrambled Sobol' points, each coordinate has exactly one point in each of n
equal strata of [0, 1). It is uniform within its stratum, and the positions in any three strata are
independent (Owen 2003 shows that the linear scramble has the variance of the nested one).
Therefore a mean of sum_d f_d(u_d) has the variance

    n^-2 sum_d sum_strata Var(f_d | stratum).

Its third cumulant is that of independent strata (`mckl.exact.dyadic` has their sums). So is its
fourth, except for terms from quadruples of strata with bitwise sum 0, which are dependent under
SciPy's linear matrix scramble (docs/theory.md, section 6).

Only three functions occur in a quadratic form: a normal g, its square, and a chi-square w.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.quantiles import chisquare_of_normal
from mckl.exact.dyadic import Dyadic, Sums

# The most strata for which quadruples are summed; skewness and kurtosis hardly change beyond.
MOST_STRATA = 2**15


class Quadratic(Protocol):
    """A quadratic form in normals and chi-squares (`mckl.families.quadratic_form`)."""

    kl: float
    square: Vector
    linear: Vector
    chi: Vector
    dof: Vector


_WALSH_LEVELS = 5  # the first 2^5 Walsh functions of the position within a stratum


class NormalStrata(NamedTuple):
    """Sums over n equal strata of the standard normal law, for functions a g^2 + b g.

    `square` and `linear` are the sums of Var(g^2) and of Var(g) within strata. `third` has the
    coefficients of a^3 and 3 a b^2 in the third cumulant of the sum over strata, and `fourth` those
    of a^4, 6 a^2 b^2 and b^4 in the fourth.
    """

    square: float
    linear: float
    third: tuple[float, float]
    fourth: tuple[float, float, float]


def walsh_hadamard(x: Vector) -> Vector:
    """The Walsh-Hadamard transform along axis 0, whose length is a power of two."""
    n = x.shape[0]
    x = np.array(x.reshape(n, -1), order="C")  # a copy, which is transformed in place
    step = 1
    while step < n:
        y = x.reshape(n // (2 * step), 2, -1)
        first, second = y[:, 0], y[:, 1]
        difference = first - second
        first += second
        second[...] = difference
        step *= 2
    return x


def _linked(*functions: Vector) -> float:
    """The terms of quadruples of strata with bitwise sum 0 in the mean of a product of four sums.

    Each function has shape (strata, positions): its values at equally spaced positions within each
    stratum. Under the linear scramble, if the bitwise sum x + y + z + w is 0, then the position in
    stratum w is the bitwise sum of the positions in the other three. So the product's mean is the
    sum over Walsh functions k of the product of the four k-th coefficients. Quadruples with equal
    strata are counted elsewhere.
    """
    n, positions = functions[0].shape
    if n < 4:
        return 0.0
    # The four functions are often the same; each is transformed once, to shape (strata, k > 0).
    once = {id(f): (walsh_hadamard(f.T) / positions)[1:].T for f in functions}
    twice = {key: walsh_hadamard(x) for key, x in once.items()}
    h, H = [once[id(f)] for f in functions], [twice[id(f)] for f in functions]
    every = (H[0] * H[1] * H[2] * H[3]).sum() / n
    pairs = sum(
        ((h[i] * h[j]).sum(axis=0) * (h[k] * h[m]).sum(axis=0)).sum()
        for i, j, k, m in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2))
    )
    return float(every - pairs + 2.0 * (h[0] * h[1] * h[2] * h[3]).sum())


def _positions(n: int) -> Vector:
    """Equally spaced points u within each of n strata, shape (n, 2^levels)."""
    cells = 2**_WALSH_LEVELS
    return np.asarray((np.arange(n)[:, None] + (np.arange(cells) + 0.5) / cells) / n)


def _of_normal(*functions: Callable[[Vector], Vector]) -> Dyadic:
    """The strata of functions of a normal; its quantiles keep their digits at both ends."""

    def values(u: Vector, upper: bool) -> Vector:
        g = (-1.0 if upper else 1.0) * scipy.special.ndtri(u)
        return np.stack([function(g) for function in functions])

    return Dyadic(values)


@lru_cache(maxsize=1)
def _normal() -> Dyadic:
    """The strata of g^2, of g and of their sum."""
    return _of_normal(np.square, np.array, lambda g: g * g + g)


@lru_cache(maxsize=128)
def _chi(dof: float) -> Dyadic:
    return _of_normal(chisquare_of_normal(dof))


@lru_cache(maxsize=64)
def normal_strata(n: int) -> NormalStrata:
    """`NormalStrata` for n = 2^m equal strata, as many as `MOST_STRATA`."""
    square, linear, both = _normal().sums(n)
    at = scipy.special.ndtri(_positions(n))
    s, g = at**2 - (at**2).mean(axis=1, keepdims=True), at - at.mean(axis=1, keepdims=True)
    # Terms that are odd in g cancel between the two halves of the line.
    return NormalStrata(
        square.second,
        linear.second,
        (square.third, (both.third - square.third) / 3.0),
        (
            square.fourth + _linked(s, s, s, s),
            (both.fourth - square.fourth - linear.fourth) / 6.0 + _linked(s, s, g, g),
            linear.fourth + _linked(g, g, g, g),
        ),
    )


@lru_cache(maxsize=1024)
def chi_strata(n: int, dof: float) -> Sums:
    """The sums over n = 2^m equal strata of the chi-square law, at most `MOST_STRATA`."""
    if n == 1:
        # With one stratum these are the chi-square's own cumulants.
        return Sums(2.0 * dof, 8.0 * dof, 48.0 * dof)
    at = chisquare_of_normal(dof)(scipy.special.ndtri(_positions(n)))
    at -= at.mean(axis=1, keepdims=True)
    (sums,) = _chi(dof).sums(n)
    return sums._replace(fourth=sums.fourth + _linked(at, at, at, at))


def balanced_variance(form: Quadratic, n: int) -> float:
    """Variance of the mean of l over n = 2^m balanced scrambled Sobol' points, n to 2^30."""
    square, linear, _ = _normal().sums(n)
    total = float(form.square @ form.square) * square.second
    total += float(form.linear @ form.linear) * linear.second
    dofs, group = np.unique(form.dof, return_inverse=True)
    weights = np.bincount(group, weights=form.chi**2, minlength=dofs.size)
    chi = [_chi(float(k)).sums(n)[0].second for k in dofs]
    total += sum(w * second for w, second in zip(weights, chi, strict=True))
    return float(total) / n**2


@np.errstate(over="ignore", invalid="ignore")
def stratified(form: Quadratic, n: int) -> tuple[float, float, float]:
    """The variance, skewness and excess kurtosis of the mean of l over n = 2^m Sobol' points."""
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
    """The terms of quadruples of strata in the fourth cumulant of a sum of f(u) over n strata.

    Parameters
    ----------
    values
        f in the middle of `CELLS` equal cells. Means over larger cells serve every n.
    """

    MOST = 2**14  # strata; beyond, it is not known
    CELLS = 4 * MOST

    def __init__(self, values: Vector) -> None:
        values = values - values.mean()
        self._means = {self.CELLS: values}  # by the number of equal cells
        while len(values) > 1:
            values = 0.5 * (values[0::2] + values[1::2])
            self._means[values.size] = values
        # The transform over all cells contains the transforms over the strata of every n. It is
        # two products of matrices, for the higher and the lower half of the cells' bits.
        side = math.isqrt(self.CELLS)
        square = self._means[self.CELLS].reshape(side, side)
        transform = _hadamard(side) @ square @ _hadamard(side)
        self._square = (transform.ravel() / self.CELLS) ** 2

    def __call__(self, n: int) -> float:
        """The terms for n strata: `_linked` with f in all four places.

        By Parseval's identity, sums of squares over strata are sums of squared coefficients.
        """
        if n < 4:
            return 0.0
        positions = min(self.CELLS // n, 2**_WALSH_LEVELS)
        square = self._square.reshape(n, positions, -1)[:, 1:, 0]
        at = self._means[n * positions].reshape(n, positions)
        h = at @ (_hadamard(positions)[:, 1:] / positions)
        h *= h
        every = float(n) ** 3 * np.square(square).sum()
        pairs = float(n) ** 2 * np.square(square.sum(axis=0)).sum()
        return float(every - 3.0 * pairs + 2.0 * np.vdot(h, h))


@lru_cache(maxsize=16)
def _hadamard(n: int) -> Vector:
    return walsh_hadamard(np.eye(n))
