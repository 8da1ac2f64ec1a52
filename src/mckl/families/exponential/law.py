"""Moments of functions of l for one factor of an exponential family, from cumulants along its line.

Let x = l - KL. The mean of x^a l^m e^(-u l) is e^(K(-u)) times a moment of the law tilted by -u,
whose cumulants are K^(n)(-u). As

    r - 1 = -l  integral over 0 < t < 1 of e^(-t l) dt,
    k3 = r - 1 + l = l^2  integral over 0 < t < 1 of (1 - t) e^(-t l) dt,

the mean of x^a (r - 1)^i k3^j is, with m = i + 2 j and for i + j > 0,

    (-1)^i  integral over 0 < u < i + j of h(u) e^(K(-u)) E_(-u)[x^a l^m] du,

where h is the convolution of i times the function 1 and j times 1 - t, all on 0 < t < 1. For even a
and m the integrand is positive, so nothing cancels whatever the law. K' and K are integrals of K''.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.moments import EPS, Bounded, Function, Moments, settled

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_LARGEST_CHANGE_BY_HALVING = (
    1e-14  # the largest change by halving a panel, relative to the whole integral
)
_MOST_PANELS = 2**10  # more are due to rounding
_DEEPEST = 60  # the most times that a panel is halved

Powers = tuple[int, int, int]  # of x = l - KL, of r - 1 and of k3
_Polynomial = dict[Powers, float]
_Piece = list[Fraction]  # coefficients of the powers of s


class LineLaw(NamedTuple):
    """What is known of l.

    derivatives  K'' and the cumulants after it, up to an order, of the laws at start + t
    kl           E l
    cumulants    those of l up to order 8
    finite_power the largest k for which E r^k is below the largest float64
    is_infinite  whether E r^k is infinite
    """

    derivatives: Callable[[Vector, int, Vector], Moments]
    kl: Bounded
    cumulants: Moments
    finite_power: int
    is_infinite: Callable[[int], bool]

    def moments(self, functions: Sequence[Function], order: int) -> Moments:
        """The joint central moments, as `mckl.exact.law.Law.factor_moments` has them."""
        shape = (order + 1,) * len(functions)
        value, error, infinite = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
        indices = [i for i in joint.indices(len(functions), order) if sum(i) != 1]
        ways = {i: [_product(way, i) for way in self._ways(functions)] for i in indices}
        needed = {powers for each in ways.values() for way in each for powers in way}
        means = self._means(needed)
        # The polynomials have KL and Var l in their coefficients.
        relative = 16.0 * EPS + order * (self.kl.relative + self.cumulants.at(2).relative)
        for index, each in ways.items():
            sums = [_sum(way, means, relative) for way in each]
            value[index], error[index] = min(sums, key=lambda total: total.error)
            infinite[index] = math.isinf(value[index])
        for first, function in zip(joint.firsts(len(functions)), functions, strict=True):
            value[first], error[first] = self._mean(function)
        return settled(value, error, infinite)

    def _mean(self, function: Function) -> Bounded:
        if function.name == "half_square":
            kl, variance = self.kl, self.cumulants.at(2)
            value = 0.5 * (kl.value**2 + variance.value)
            return Bounded(value, kl.value * kl.error + 0.5 * variance.error + 2.0 * EPS * value)
        return self.kl if function.name in ("ell", "k3", "rb") else Bounded(0.0, 0.0)

    def _ways(self, functions: Sequence[Function]) -> list[list[_Polynomial]]:
        """The functions less their means as polynomials, by k3 and by k3 = l + r - 1."""
        kl, variance = self.kl.value, float(self.cumulants.value[2])
        out: list[list[_Polynomial]] = []
        for by_ell in (False, True) if any(f.name == "k3" for f in functions) else (False,):
            integrands = {
                "ell": {(1, 0, 0): 1.0},
                "half_square": {(2, 0, 0): 0.5, (1, 0, 0): kl, (0, 0, 0): -0.5 * variance},
                "ratio": {(0, 1, 0): 1.0},
            }
            out.append([])
            for name, slope, rest, _ in functions:
                if name == "k3" and by_ell:
                    out[-1].append({(1, 0, 0): 1.0, (0, 1, 0): rest})
                elif name == "k3":
                    out[-1].append({(0, 0, 1): 1.0, (0, 0, 0): -kl, (0, 1, 0): -slope})
                else:  # constant: given the past, a factor's KL, and without a mirror image the gap
                    out[-1].append(integrands.get(name, {}))
        return out

    def _means(self, needed: set[Powers]) -> dict[Powers, Bounded]:
        """The means of the products of powers."""
        central = joint.central_moments(self.cumulants, 1)
        out = {
            (0, 1, 0): Bounded(0.0, 0.0),
            (0, 0, 1): self.kl,
            **{(a, 0, 0): central.at(a) for a in range(len(central.value))},
        }
        left = sorted(needed - set(out))
        unknown = [powers for powers in left if powers[1] + powers[2] > self.finite_power]
        for powers in unknown:
            infinite = self.is_infinite(powers[1] + powers[2])
            out[powers] = Bounded(math.inf, 0.0) if infinite else Bounded(math.nan, math.inf)
        left = [powers for powers in left if powers not in out]
        if left:
            integrals = self._integrals(left)
            out |= {powers: integrals.at(k) for k, powers in enumerate(left)}
        return out

    @np.errstate(over="ignore", under="ignore", invalid="ignore")
    def _integrals(self, needed: Sequence[Powers]) -> Moments:
        """The integrals over u, on panels that first serve K'', which is in all of them."""
        units = max(i + j for _, i, j in needed)
        zero, one = np.zeros(units), np.ones(units)
        panels, _ = self._settled(_UnitPanels(np.arange(float(units)), zero, one, one, zero), ())
        return self._settled(panels, needed)[1]

    def _settled(
        self, panels: _UnitPanels, needed: Sequence[Powers]
    ) -> tuple[_UnitPanels, Moments]:
        """Halve panels until that changes no integral; the panels and the integrals."""
        for _ in range(_DEEPEST):
            halves = panels.halved()
            coarse, fine = self._on_panels(panels, needed), self._on_panels(halves, needed)
            value, rounding = (column.reshape(len(column), -1, 2).sum(axis=2) for column in fine)
            change, size = np.abs(value - coarse.value), np.abs(value).sum(axis=1, keepdims=True)
            wrong = (change > _LARGEST_CHANGE_BY_HALVING * size + 0.1 * rounding).any(axis=0)
            if not wrong.any() or wrong.size > _MOST_PANELS:
                break
            panels = panels.where(~wrong).joined(panels.where(wrong).halved())
        error = (change + rounding).sum(axis=1) + 20.0 * EPS * size[:, 0]
        return panels, Moments(value.sum(axis=1)[1:], error[1:])

    def _on_panels(self, panels: _UnitPanels, needed: Sequence[Powers]) -> Moments:
        """The integrals of K'' and of what is needed over each panel, shape (integrals, panels)."""
        u, s, rest, half = panels.nodes()
        order = max([2, *(a + i + 2 * j for a, i, j in needed)])
        kappa = np.zeros((2, order + 1, u.size))
        # From the nearer end of the unit, beside which the cumulants may change quickly.
        start = -(panels.unit[:, None] + (s > 0.5))
        kappa[:, 2:] = self.derivatives(np.where(s > 0.5, rest, -s).ravel(), order, start.ravel())
        second, its_error = (cumulants[2].reshape(u.shape) for cumulants in kappa)
        mu = joint.central_moments(Moments(*kappa), 1)
        exponent, mean = self._tilted(panels, u, half, second, its_error)
        grown = half[:, None] * _WEIGHTS * np.exp(exponent.value)
        mean = Moments(*(column.ravel() for column in mean))
        away = Moments(mean.value - self.kl.value, mean.error + self.kl.error)
        whole = half * (second @ _WEIGHTS)
        value, error = [whole], [half * (its_error @ _WEIGHTS)]
        expectations: dict[tuple[int, int], Moments] = {}
        for a, i, j in needed:
            m = i + 2 * j
            if (a, m) not in expectations:
                expectations[a, m] = _shifted(mu, a, away, m, mean)
            e, e_error = (column.reshape(u.shape) for column in expectations[a, m])
            h = _at(_density(i, j), panels.unit, s, rest)
            weight = (-1.0) ** i * h * grown
            value.append((weight * e).sum(axis=1))
            rounding = e_error + np.abs(e) * (exponent.error + 16.0 * EPS)
            error.append((np.abs(weight) * rounding).sum(axis=1))
        return Moments(np.array(value), np.array(error))

    def _tilted(
        self, panels: _UnitPanels, u: Vector, half: Vector, second: Vector, second_error: Vector
    ) -> tuple[Moments, Moments]:
        """K(-u) and K'(-u), the mean of l under the tilt, by integrals of K'' from 0 or from 1."""
        kl, n = self.kl, int(np.count_nonzero(panels.unit == 0.0))
        slope, curve = np.empty_like(u), np.empty_like(u)
        slope_error, curve_error = np.empty_like(u), np.empty_like(u)
        for unit in (slice(0, n), slice(n, None)):  # K is 0 at both
            slope[unit], curve[unit] = _twice_integrated(second[unit], half[unit])
            # As the rule for parts of a panel has negative weights, twice the error.
            slope_error[unit], curve_error[unit] = _twice_integrated(
                2.0 * second_error[unit] + 12.0 * EPS * second[unit], half[unit]
            )
        weights = half[:n, None] * _WEIGHTS * u[:n]
        reverse = Bounded(  # -K'(-1)
            float((weights * second[:n]).sum()),
            float((weights * (second_error[:n] + 12.0 * EPS * second[:n])).sum()),
        )
        first = (np.arange(len(u)) < n)[:, None]
        start = np.where(first, kl.value, -reverse.value)
        start_error = np.where(first, kl.error, reverse.error) + 2.0 * EPS * np.abs(start)
        along = np.where(first, u, u - 1.0)
        exponent = curve - along * start
        exponent_error = curve_error + along * start_error + 4.0 * EPS * np.abs(exponent)
        mean_error = slope_error + start_error
        return Moments(exponent, exponent_error), Moments(start - slope, mean_error)


class _UnitPanels(NamedTuple):
    """Panels within units k <= u <= k + 1: from `low` to `high` above k, and as far below k + 1."""

    unit: Vector
    low: Vector
    high: Vector
    low_rest: Vector
    high_rest: Vector

    def where(self, chosen: Vector) -> _UnitPanels:
        return _UnitPanels(*(column[chosen] for column in self))

    def joined(self, other: _UnitPanels) -> _UnitPanels:
        every = _UnitPanels(*(np.concatenate(columns) for columns in zip(self, other, strict=True)))
        order = np.lexsort((-every.low_rest, every.low, every.unit))
        return _UnitPanels(*(column[order] for column in every))

    def halved(self) -> _UnitPanels:
        unit, low, high, low_rest, high_rest = self
        middle, middle_rest = 0.5 * (low + high), 0.5 * (low_rest + high_rest)
        columns = (
            (unit, unit), (low, middle), (middle, high),
            (low_rest, middle_rest), (middle_rest, high_rest),
        )  # fmt: skip
        return _UnitPanels(*(np.stack(halves, axis=1).ravel() for halves in columns))

    def nodes(self) -> tuple[Vector, Vector, Vector, Vector]:
        """u, u - k and k + 1 - u at each node, shape (panels, nodes); half of each width."""
        half = 0.5 * np.where(self.low < 0.5, self.high - self.low, self.low_rest - self.high_rest)
        s = self.low[:, None] + half[:, None] * (1.0 + _NODES)
        rest = self.high_rest[:, None] + half[:, None] * (1.0 - _NODES)
        return self.unit[:, None] + s, s, rest, half


def _twice_integrated(second: Vector, half: Vector) -> tuple[Vector, Vector]:
    """The integrals of K'' to each node from where the first panel begins, once and twice."""
    slope = _integrated(second, half)
    return slope, _integrated(slope, half)


def _integrated(f: Vector, half: Vector) -> Vector:
    whole = half * (f @ _WEIGHTS)
    return np.asarray((np.cumsum(whole) - whole)[:, None] + half[:, None] * (f @ _integrator().T))


@lru_cache(maxsize=1)
def _integrator() -> Vector:
    """The matrix of integrals from -1 to each node of a polynomial that is given at the nodes."""
    p = np.polynomial.legendre.legvander(_NODES, _NODES.size)
    # The integral of P_n is (P_(n + 1) - P_(n - 1)) / (2 n + 1), that of P_0 is P_1 + P_0.
    n = np.arange(_NODES.size)
    below = np.column_stack((-p[:, 0], p[:, :-2]))
    integrals = (p[:, 1:] - below) / (2.0 * n + 1.0)
    coefficients = (n + 0.5)[:, None] * (p[:, :-1] * _WEIGHTS[:, None]).T
    return np.asarray(integrals @ coefficients)


def _shifted(mu: Moments, n: int, first: Moments, m: int, second: Moments) -> Moments:
    """The mean of (x + b)^n (x + c)^m where x has the central moments mu; b, c have errors."""
    (b, b_error), (c, c_error) = first, second
    value = size = most = np.zeros_like(b)
    for i, j in itertools.product(range(n + 1), range(m + 1)):
        if n + m - i - j == 1:  # the mean of x is 0
            continue
        times = math.comb(n, i) * math.comb(m, j)
        moment, error = mu.value[n + m - i - j], mu.error[n + m - i - j]
        term = times * b**i * c**j * moment
        value, size = value + term, size + np.abs(term)
        largest = (np.abs(b) + b_error) ** i * (np.abs(c) + c_error) ** j
        most = most + times * largest * (np.abs(moment) + error)
    return Moments(value, np.abs(most - size) + 16.0 * EPS * size)


@lru_cache(maxsize=64)
def _density(i: int, j: int) -> Vector:
    """h on each [k, k + 1] in Bernstein's basis, shape (i + j, degree + 1); none is below 0."""
    pieces: list[_Piece] = []
    for slope in [0] * i + [1] * j:
        pieces = _convolved(pieces, slope) if pieces else [[Fraction(1), Fraction(-slope)]]
    degree = i + 2 * j - 1
    return np.array(
        [
            [
                float(sum(c * Fraction(math.comb(k, n), math.comb(degree, n))
                          for n, c in enumerate(piece[: k + 1])))
                for k in range(degree + 1)
            ]
            for piece in pieces
        ]
    )  # fmt: skip


def _convolved(pieces: list[_Piece], slope: int) -> list[_Piece]:
    """The integral over 0 < t < 1 of (1 - slope t) f(u - t), f and it in pieces on [k, k + 1].

    With v the place within f's piece, t = s - v in the piece of u, and s + 1 - v in the one before.
    """
    out = []
    for k in range(len(pieces) + 1):
        piece = [Fraction(0)] * (max(map(len, pieces)) + 2)
        for f, before in ((k, 0), (k - 1, 1)):
            if not 0 <= f < len(pieces):
                continue
            for n, c in enumerate(pieces[f]):
                # c v^n (1 - slope (s + before - v)), over v from 0 to s or from s to 1
                sign = -1 if before else 1
                piece[n + 1] += sign * c * (1 - slope * before) / (n + 1)
                piece[n + 2] += sign * c * slope * (Fraction(1, n + 2) - Fraction(1, n + 1))
                if before:
                    piece[0] += c * (1 - slope) / (n + 1) + c * Fraction(slope, n + 2)
                    piece[1] -= c * Fraction(slope, n + 1)
        out.append(piece)
    return [piece[: max(map(len, pieces)) + 1 + slope] for piece in out]


def _at(bernstein: Vector, unit: Vector, s: Vector, rest: Vector) -> Vector:
    """h at the points s above k and `rest` below k + 1; 0 beyond the last piece."""
    inside = unit < len(bernstein)
    rows = bernstein[np.where(inside, unit, 0).astype(np.intp)] * inside[:, None]
    degree = bernstein.shape[1] - 1
    out = np.zeros_like(s)
    for k in range(degree + 1):
        out += math.comb(degree, k) * rows[:, k : k + 1] * s**k * rest ** (degree - k)
    return out


def _product(functions: Sequence[_Polynomial], index: joint.Index) -> _Polynomial:
    """The product of powers of polynomials."""
    out: _Polynomial = {(0, 0, 0): 1.0}
    for f, power in zip(functions, index, strict=True):
        for _ in range(power):
            more: _Polynomial = {}
            for (a, x), (b, y) in itertools.product(out.items(), f.items()):
                powers = a[0] + b[0], a[1] + b[1], a[2] + b[2]
                more[powers] = more.get(powers, 0.0) + x * y
            out = more
    return {powers: x for powers, x in out.items() if x}


def _sum(polynomial: _Polynomial, means: dict[Powers, Bounded], relative: float) -> Bounded:
    """The mean of a polynomial, whose coefficients have relative errors; inf if a term is."""
    value = error = 0.0
    for powers, times in polynomial.items():
        mean, bound = means[powers]
        value += times * mean
        error += abs(times) * (bound + relative * abs(mean)) if mean or bound else 0.0
    if any(math.isinf(means[powers].value) for powers in polynomial):
        return Bounded(math.inf, 0.0)
    return Bounded(value, error)
