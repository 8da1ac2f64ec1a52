"""The probability that k1's estimate over balanced Sobol' points is negative.

The estimate is a sum over coordinates and, in each, over n strata (theory.md, section 6). The
first binary digit of a point's position within stratum y is r.y + e modulo 2, where each coordinate
has one random r and e. So with probability 1/n all points are in the same half of their strata.
Given these digits, the positions are treated as independent. Then log E e^{s x} follows from one
Walsh-Hadamard transform, and the probability from the formula of Lugannani & Rice, "Saddle point
approximation for the distribution of the sum of independent random variables" (1980).
theory.md, section 6, gives the error of this approximation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from mckl.arrays import Vector
from mckl.draw.quantiles import chisquare_of_normal
from mckl.exact.negative import SMALLEST, lugannani_rice
from mckl.exact.quadruples import walsh_hadamard
from mckl.exact.strata import Quadratic, balanced_variance

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_DEPTH = 45.0  # an integrand is cut where its logarithm has fallen by this much
_MOST = 2**11  # the most rows times strata; more would take over a tenth of a second
_WIDEST = 10.0  # the largest ratio of the standard deviation to KL; beyond it the formula cancels
_LEAST = 1e-5  # the smallest probability that simulations have confirmed
_CUT = 9.5  # moments are integrated up to here; the probability beyond is 1e-21


class _Rows(NamedTuple):
    """Coordinates of one kind, normals or chi-squares, with f = square x^2 + linear x.

    x is a normal, or the root of a chi-square, with a density proportional to x^power e^{-x^2 / 2}.
    `low` and `high` are the ends of the halves of strata; `times` says how many coordinates have
    each row.
    """

    square: Vector
    linear: Vector
    times: Vector
    power: float
    low: Vector
    high: Vector

    def log_integral(self, s: float) -> Vector:
        """The logarithm of the integral of x^power e^{s f - x^2 / 2}, by row and half stratum."""
        bend = (1.0 - 2.0 * s * self.square)[:, None]
        push = (s * self.linear)[:, None]
        # Within a stratum the integrand is log-concave, so a window about its mode is enough.
        mode = np.clip((push + np.sqrt(push**2 + 4.0 * bend * self.power)) / (2.0 * bend)
                       if self.power else push / bend, self.low, self.high)  # fmt: skip
        with np.errstate(divide="ignore", invalid="ignore"):
            steep = np.abs(push - bend * mode + (self.power / mode if self.power else 0.0))
        steep = np.where(np.isfinite(steep), steep, 0.0)
        reach = 2.0 * _DEPTH / (steep + np.sqrt(steep**2 + 2.0 * bend * _DEPTH))
        low, high = np.maximum(mode - reach, self.low), np.minimum(mode + reach, self.high)
        half = 0.5 * (high - low)[..., None]
        x = low[..., None] + half * (1.0 + _NODES)
        exponent = push[..., None] * x - 0.5 * bend[..., None] * x * x
        if self.power:
            about = math.sqrt(self.power)
            exponent += self.power * np.log(x / about) + 0.5 * self.power
        top = exponent.max(axis=-1, keepdims=True)
        total = (half * _WEIGHTS * np.exp(exponent - top)).sum(axis=-1)
        return np.asarray(np.log(total) + top[..., 0])

    def least(self) -> Vector:
        """The infimum of the sum of f over strata, less the sum of f's means, by row."""
        a, b = self.square[:, None], self.linear[:, None]
        with np.errstate(all="ignore"):  # values at infinity are computed, but not used
            vertex = np.nan_to_num(np.clip(-b / (2.0 * a), self.low, self.high))
            low, high, bend = (
                np.where(np.isfinite(x), a * x * x + b * x, np.where(a > 0, np.inf, -np.inf))
                for x in (self.low, self.high, vertex)
            )
        halves = np.where(a > 0, bend, np.minimum(low, high))
        strata = halves.reshape(self.times.size, -1, 2).min(axis=-1)
        return np.asarray(strata.sum(axis=1) - strata.shape[1] * self.square * (self.power + 1.0))

    def mean(self) -> Vector:
        """The mean of f, by row and half of a stratum."""
        low, high = np.maximum(self.low, -_CUT), np.minimum(self.high, _CUT + math.sqrt(self.power))
        x = low[:, None] + 0.5 * (high - low)[:, None] * (1.0 + _NODES)
        log_weight = -0.5 * x * x
        if self.power:
            log_weight += self.power * np.log(x / math.sqrt(self.power)) + 0.5 * self.power
        weight = _WEIGHTS * np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        m1, m2 = (weight * x).sum(axis=1), (weight * x * x).sum(axis=1)
        return np.asarray(self.square[:, None] * m2 + self.linear[:, None] * m1)


def _log_mean(halves: Vector) -> Vector:
    """The logarithm of E e^{s sum f} by row, from those of halves, shape (rows, strata, 2)."""
    difference = 0.5 * (halves[..., 0] - halves[..., 1])
    # The sum of the halves' logarithms for every r with e = 0; with e = 1 its sign changes.
    sums = np.abs(walsh_hadamard(difference.T).T)
    top = sums.max(axis=1, keepdims=True)
    cosh = 0.5 * (np.exp(sums - top) + np.exp(-sums - top))
    return np.asarray(halves.mean(axis=-1).sum(axis=1) + top[:, 0] + np.log(cosh.mean(axis=1)))


def probability_negative_balanced(form: Quadratic, n: int) -> float | None:
    """The probability that k1 over n = 2^m scrambled Sobol' points is negative.

    It is exactly 0 where the estimate cannot be negative. None means not known: the result is below
    1e-5, where no simulation has confirmed the formula; or the standard deviation is more than ten
    times KL; or the coordinates have too many strata in all.
    """
    if form.kl == 0.0:
        return 0.0
    total = n**2 * balanced_variance(form, n)
    if total > (_WIDEST * n * form.kl) ** 2:
        return None
    rows = _rows(form, n)
    if n * sum(r.times.size for r in rows) > _MOST:
        return None
    if n * form.kl + sum(float(r.times @ r.least()) for r in rows) >= 0.0:
        return 0.0  # even with the smallest value in every stratum the estimate is not negative
    constant = [r.log_integral(0.0) for r in rows]
    mean = [r.mean() for r in rows]

    def exponent(s: float) -> float:
        """log E e^{s n x}."""
        value = s * n * form.kl
        for r, c, m in zip(rows, constant, mean, strict=True):
            halves = (r.log_integral(s) - c).reshape(r.times.size, n, 2)
            value += float(r.times @ (_log_mean(halves) - s * m.sum(axis=1) / 2.0))
        return value

    squares = np.concatenate([r.square for r in rows])
    edge = 0.5 / squares.min() if squares.min() < 0.0 else -math.inf
    low = _before_root(exponent, edge, n * form.kl / total)
    if low is None:
        return None
    s = float(minimize_scalar(exponent, bounds=(low, 0.0), method="bounded",
                              options={"xatol": 1e-7 * -low}).x)  # fmt: skip
    value = exponent(s)
    step = 1e-3 * min(-s, s - edge)
    variance = (exponent(s + step) - 2.0 * value + exponent(s - step)) / step**2
    probability = lugannani_rice(s, value, variance)
    return probability if probability >= _LEAST else None


def _rows(form: Quadratic, n: int) -> list[_Rows]:
    """The distinct coordinates of each kind, with the ends of the halves of their strata."""
    index = np.arange(2 * n + 1)
    edges = np.where(index > n, -ndtri((2 * n - index) / (2 * n)), ndtri(index / (2 * n)))
    pairs, count = np.unique(np.stack((form.square, form.linear)), axis=1, return_counts=True)
    rows = [_Rows(pairs[0], pairs[1], count.astype(float), 0.0, edges[:-1], edges[1:])]
    for dof in np.unique(form.dof):
        square, count = np.unique(form.chi[form.dof == dof], return_counts=True)
        roots = np.sqrt(chisquare_of_normal(float(dof))(edges[1:-1]))
        roots = np.concatenate(([0.0], roots, [math.inf]))
        rows.append(
            _Rows(square, np.zeros_like(square), count.astype(float), float(dof) - 1.0,
                  roots[:-1], roots[1:])
        )  # fmt: skip
    return rows


def _before_root(exponent: Callable[[float], float], edge: float, guess: float) -> float | None:
    """An s below the minimizer of the exponent; None where the exponent falls below `SMALLEST`."""
    before, s = 0.0, max(-guess, 0.5 * edge)
    value = exponent(s)
    while value < before:
        if value < SMALLEST:
            return None
        before, s = value, max(2.0 * s, 0.5 * (s + edge))
        value = exponent(s)
    return s
