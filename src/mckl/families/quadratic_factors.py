"""Moments of functions of l_i = kl + a (g^2 - 1) + b g, for many coordinates at once.

Where l_i is small, the functions are integrated over g by the Gauss-Hermite rule. Elsewhere a
product of them is a sum of polynomials in g times exponentials e^{-j l - k l'}, where l' is l at
-g. Under the law tilted by such an exponential g is normal, so that the rule is exact for the
polynomial.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.integrands import half_square, k3, ratio, x_minus_log1p

# l counts as small up to these values of 2 |a| and b^2; the rule can then integrate e^{-4 l}.
_SMALL = 0.05
_NODES, _NODES_OF_SMALL = 12, 64
_ROWS = 2**10  # coordinates that are worked on at a time, so that arrays stay in cache
_OF_RATIO = ("ratio", "k3")


@lru_cache(maxsize=4)
def _rule(nodes: int) -> tuple[Vector, Vector]:
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    return x, w / w.sum()


def cumulants(
    a: Vector, b: Vector, kl: Vector, names: Sequence[str], paired: bool, order: int
) -> Vector:
    """The joint cumulants of the named functions of each l_i, as `mckl.exact.law.Law.sums` defines.

    `a`, `b` and `kl` have shape (coordinates,), the result ((order + 1,) * len(names),
    coordinates); inf where one diverges.
    """
    out = np.empty(((order + 1),) * len(names) + (a.size,))
    small = (2.0 * np.abs(a) <= _SMALL) & (b * b <= _SMALL)
    for where, moments in ((small, _of_small), (~small, _tilted)):
        which = np.flatnonzero(where)
        for start in range(0, which.size, _ROWS):
            i = which[start : start + _ROWS]
            with np.errstate(over="ignore", invalid="ignore"):
                mu = moments(a[i], b[i], kl[i], names, paired, order)
                kappa = joint.cumulants(mu, len(names))
            kappa[~(np.isfinite(mu) & np.isfinite(kappa))] = math.inf
            for axis, name in enumerate(names):
                kappa[tuple(int(k == axis) for k in range(len(names)))] = _mean(
                    name, a[i], b[i], kl[i]
                )
            out[..., i] = kappa
    return out


def _mean(name: str, a: Vector, b: Vector, kl: Vector) -> Vector:
    if name == "half_square":
        return np.asarray(a * a + 0.5 * b * b + 0.5 * kl * kl)
    return np.zeros_like(kl) if name == "ratio" else kl


def _of_small(
    a: Vector, b: Vector, kl: Vector, names: Sequence[str], paired: bool, order: int
) -> Vector:
    g, weight = _rule(_NODES_OF_SMALL)
    points = []
    for sign in (1.0, -1.0)[: 1 + paired]:
        ell = kl + np.multiply.outer(g * g - 1.0, a) + np.multiply.outer(sign * g, b)
        of = {"ell": lambda x: x, "half_square": half_square, "ratio": ratio, "k3": k3}
        points.append([of[name](ell) if name != "rb" else kl + 0.0 * ell for name in names])
    values = [sum(pair) / len(points) - _mean(name, a, b, kl)
              for name, pair in zip(names, zip(*points, strict=True), strict=True)]  # fmt: skip
    mu = np.zeros(((order + 1),) * len(names) + (a.size,))
    for index in joint.indices(len(names), order):
        product = weight[:, None]
        for value, power in zip(values, index, strict=True):
            product = product * value**power
        mu[index] = product.sum(axis=0)
    return mu


def _tilted(
    a: Vector, b: Vector, kl: Vector, names: Sequence[str], paired: bool, order: int
) -> Vector:
    """Moments by tilted laws. Each function is a polynomial P(g), to which r is added for some.

    If paired, r is the mean of its values at g and at -g.
    """
    mu = np.zeros(((order + 1),) * len(names) + (a.size,))
    with_ratio = [name in _OF_RATIO for name in names]
    most = {index: _most(index, with_ratio) for index in joint.indices(len(names), order)}
    for k in range(max(most.values()) + 1):
        for j in range(k + 1 if paired else 1):
            # the term r^(k - j) r'^j of the k-th power of the mean of r and r'
            log_mass, g, weight, finite = _law(a, b, kl, -float(k), -float(k - 2 * j))
            times = math.comb(k, j) * 2.0**-k if paired else 1.0
            mass = np.exp(np.where(finite, log_mass, math.inf))
            polynomials = [_polynomial(name, g, a, b, kl, paired) for name in names]
            for index, degree in most.items():
                if k > degree:
                    continue
                total = _coefficient(polynomials, index, with_ratio, k)
                expectation = np.where(finite, (weight[:, None] * total).sum(axis=0), 1.0)
                mu[index] += times * mass * expectation
    return mu


def _most(index: Sequence[int], with_ratio: Sequence[bool]) -> int:
    """The largest power of r in the product of the functions' powers `index`."""
    return sum(power for power, has in zip(index, with_ratio, strict=True) if has)


def _law(
    a: Vector, b: Vector, kl: Vector, T: float, S: float
) -> tuple[Vector, Vector, Vector, NDArray[np.bool_]]:
    """log E e^{T (KL + Q) + S L}, nodes and weights for g under this tilt, where it is finite."""
    x, weight = _rule(_NODES)
    t = 2.0 * a
    precision = 1.0 - T * t
    finite = precision > 0
    precision = np.where(finite, precision, 1.0)
    log_mass = T * kl + 0.5 * x_minus_log1p(np.where(finite, -T * t, 0.0))
    log_mass = log_mass + 0.5 * S * S * b * b / precision
    g = S * b / precision + np.multiply.outer(x, 1.0 / np.sqrt(precision))
    return log_mass, g, weight, finite


def _polynomial(name: str, g: Vector, a: Vector, b: Vector, kl: Vector, paired: bool) -> Vector:
    """The polynomial P(g) of a function, less the function's mean."""
    even, odd = a * (g * g - 1.0), b * g  # about KL
    if name == "ratio":
        return np.full_like(g, -1.0)
    if name == "half_square":
        square = (kl + even) ** 2 + odd**2
        if not paired:
            square = square + 2.0 * (kl + even) * odd
        return 0.5 * square - _mean(name, a, b, kl)
    if name == "rb":
        return np.zeros_like(g)
    ell = even if paired else even + odd
    return ell - 1.0 if name == "k3" else ell


def _coefficient(
    polynomials: Sequence[Vector], index: Sequence[int], with_ratio: Sequence[bool], k: int
) -> Vector:
    """The coefficient of (mean of r)^k in the product of the functions' powers."""
    plain: Vector = np.ones_like(polynomials[0])
    for p, power, has in zip(polynomials, index, with_ratio, strict=True):
        if not has:
            plain = plain * p**power
    mixed = [
        (p, power) for p, power, has in zip(polynomials, index, with_ratio, strict=True) if has
    ]
    total = np.zeros_like(plain)
    for taken in itertools.product(*(range(power + 1) for _, power in mixed)):
        if sum(taken) == k:
            term = plain
            for (p, power), chosen in zip(mixed, taken, strict=True):
                term = term * (math.comb(power, chosen) * p ** (power - chosen))
            total = total + term
    return total
