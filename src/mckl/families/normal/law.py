"""The law of a quadratic form l = KL + sum a (g^2 - 1) + b g in independent standard normals g.

With Q = sum a (g^2 - 1) and L = sum b g, its joint cumulant generating function is elementary
(theory.md, section 2),

    log E e^{T (KL + Q) + S L} = T KL + sum  m(-T t)/2 + S^2 b^2 / (2 (1 - T t)),
                                 t = 2a,  m(x) = x - log(1 + x),

finite where every 1 - T t > 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mckl.arrays import Complex, Vector
from mckl.exact.law import AnalyticLaw, Tilt
from mckl.exact.moments import EPS, Bounded, Function, Moments, settled
from mckl.exact.remainders import x_minus_log1p
from mckl.exact.tilted import Tilted, is_coarse, joint_moments
from mckl.families.normal.moments import BORDER, BoundedCoefficients, coordinate_moments


class Coefficients(NamedTuple):
    """The coefficients that the law of l depends on, one row for each distinct coordinate.

    a, b      as in the module's formula
    kl        the coordinate's share of KL(q||p), computed without cancellation
    weight    how many coordinates have this row

    All have shape (rows,).
    """

    a: Vector
    b: Vector
    kl: Vector
    weight: Vector


class Errors(NamedTuple):
    """Bounds on the errors of the coefficients.

    a, b, kl  of each coordinate
    mixed     where coordinates are the eigenvectors of a matrix, whose errors turn them, a bound on
              how far they turn the other coordinates' b into this one's, relative to those of 2a;
              else 0

    All have shape (rows,).
    """

    a: Vector
    b: Vector
    kl: Vector
    mixed: Vector


def coefficient_errors(c: Coefficients) -> Errors:
    """The errors where each coefficient is computed from its coordinate's parameters alone.

    The logarithm in kl costs digits of its own where q and p have scales unlike each other.
    """
    a, b, kl = np.abs(c.a), np.abs(c.b), np.abs(c.kl)
    of_kl = EPS * np.minimum(32.0 * kl, 8.0 * kl + 8.0)
    return Errors(4.0 * EPS * a, 4.0 * EPS * b, of_kl, np.zeros_like(a))


class _Sums(NamedTuple):
    """Sums over coordinates under the tilt T, with s = t / (1 - T t) and c = b^2 / (1 - T t).

    cross   the sum of t s
    plain   the sums of s^i, indexed by i
    with_b  the sums of s^i c, indexed by i
    """

    cross: float
    plain: Vector
    with_b: Vector


_PIECE = 2**15  # coordinates whose moments are kept at a time
# Of more distinct coordinates than this, moments of (r, k3) come from tilted laws where their
# bounds are relatively this small.
_MANY, _TILTED_ERROR = 1000, 1e-9
_ROWS = 2**13  # coordinates that are worked on at a time, so that arrays stay in cache


def _sum_of_m(T: float, t: Vector, weight: Vector) -> float:
    """The sum of m(T t) over coordinates."""
    return sum(
        float((weight[i : i + _ROWS] * x_minus_log1p(T * t[i : i + _ROWS])).sum())
        for i in range(0, t.size, _ROWS)
    )


def _sums(t: Vector, b2: Vector, weight: Vector, T: float, order: int) -> _Sums:
    cross = 0.0
    plain, with_b = np.zeros(order + 1), np.zeros(order + 1)
    for start in range(0, t.size, _ROWS):
        rows = slice(start, start + _ROWS)
        w, tt = weight[rows], T * t[rows]
        s, c = t[rows] / (1.0 - tt), w * (b2[rows] / (1.0 - tt))
        cross += float((w * (t[rows] * s)).sum())
        power = w.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range(order + 1):
                plain[i] += power.sum()
                with_b[i] += c.sum()
                if i < order:
                    power *= s
                    c *= s
    return _Sums(cross, plain, with_b)


def _cumulants(sums: _Sums, T: float, S: float, paired: bool) -> Vector:
    """The cumulants of Q + L, or of Q if paired, under the tilt; entry 0 is 0."""
    out = np.zeros_like(sums.plain)
    for n in range(1, out.size):
        half = 0.5 * math.factorial(n)
        out[n] = (
            half * (sums.plain[n] / n if n > 1 else T * sums.cross) + half * S * S * sums.with_b[n]
        )
        if not paired:
            out[n] += 2.0 * half * S * sums.with_b[n - 1]
            out[n] += half * sums.with_b[n - 2] if n > 1 else 0.0
    return out


def _complex_m(x: Complex) -> Complex:
    """m(x) = x - log(1 + x) without cancellation, as `x_minus_log1p` has it for real x."""
    near = np.abs(x) < 0.5
    out = np.empty_like(x)
    if not near.all():
        far = x[~near]
        out[~near] = far - np.log(1.0 + far)
    x = x[near]
    y = x / (2.0 + x)
    square = y * y
    largest = float(np.abs(square).max(initial=1e-17))
    series = np.zeros_like(y)
    for k in range(math.ceil(-39.0 / math.log(largest)), 0, -1):  # until a term is below 1e-17
        series += 1.0 / (2 * k + 1)
        series *= square
    out[near] = y * (x - 2.0 * series)
    return out


class QuadraticLaw(AnalyticLaw):
    """The law of l for these coefficients (theory.md, section 2)."""

    def __init__(
        self, c: Coefficients, errors: Errors | None = None, of_sum: float | None = None
    ) -> None:
        """`of_sum` bounds the error of the sum of all kl where the sum of the errors is larger."""
        self._coefficients, self._errors = c, coefficient_errors(c) if errors is None else errors
        self._only_rounded = errors is None
        self._t, self._b2, self._weight = 2.0 * c.a, c.b * c.b, c.weight
        self._range = float(self._t.min()), float(self._t.max())
        self.kl: float = float(np.sum(c.kl * c.weight))
        of_sum = float(self._errors.kl @ c.weight) if of_sum is None else of_sum
        self.kl_error: float = of_sum + self._rounding_of_sum * self.kl
        self._sums: dict[float, _Sums] = {}
        self._logs: dict[float, float] = {}

    @property
    def _rounding_of_sum(self) -> float:
        return EPS * (2.0 + math.log2(self._weight.size))

    def factor_moments(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> tuple[Moments, Vector]:
        c, e = self._coefficients, self._errors
        # Turned eigenvectors count as much as the tilted means of g, which are at most a few b, and
        # below 2^7 where moments of r do not overflow.
        b_error = e.b + 2.0 * e.a * np.minimum(2.0 * e.mixed, 2.0**7)
        rows = BoundedCoefficients(c.a, c.b, c.kl, e.a, b_error, e.kl)
        return coordinate_moments(rows, functions, paired, order), self._weight

    def pieces(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> Iterator[tuple[Moments, Vector]]:
        for start in range(0, self._weight.size, _PIECE):
            rows = slice(start, start + _PIECE)
            c = Coefficients(*(x[rows] for x in self._coefficients))
            e = self._errors
            e = Errors(*(x[rows] for x in e))
            yield QuadraticLaw(c, e).factor_moments(functions, paired, order)

    def block(self, paired: bool, order: int, slope: float = 0.0, rest: float = 1.0) -> Moments:
        if self._only_rounded and self._weight.size > _MANY:
            block = self._tilted_block(paired, order, rest)
            if not any(is_coarse(block, n, _TILTED_ERROR) for n in range(2, order + 1)):
                return block
        return super().block(paired, order, slope, rest)

    def _tilted_block(self, paired: bool, order: int, rest: float) -> Moments:
        """The same moments from laws tilted by powers of r, in sums over all coordinates."""
        laws = {
            (a, b): self._tilted_by(a, b, paired, order)
            for a in range(order + 1)
            for b in range(order + 1 - a if paired else 1)
        }
        return joint_moments(laws, paired, order, rest, Bounded(1.0, 0.0))

    @np.errstate(over="ignore", invalid="ignore")
    def _tilted_by(self, a: int, b: int, paired: bool, order: int) -> Tilted:
        """The law of l - KL, or of Q if paired, tilted by r^a r'^b; for `rounding` of coefficients.

        Coefficients are off by at most 4 EPS of themselves, and 1 - T t by at most 5 EPS u of
        itself, where u is the largest of 1 and every 1 / (1 - T t). Hence the terms of all sums of
        powers s^n, and those of m, are off by at most (20 + 8 n) EPS u of themselves.
        """
        T, S = -float(a + b), -float(a - b)
        even = order - a - b + (order - a - b) % 2
        lowest = 1.0 - T * self._range[0]
        doubt = 4.0 * EPS * abs(1.0 - lowest)
        if lowest <= BORDER:
            infinite = T < -1.0 and lowest + doubt <= BORDER
            unknown = Moments(*np.full((2, even + 1), math.inf))
            return Tilted(Bounded(math.inf, 0.0 if infinite else math.inf), unknown)
        sums = self._tilted(T, even)
        # Sums of some rows are pairwise; 4 EPS more for what is done with the sums.
        of_sums = EPS * (20.0 + 0.5 * math.ceil(self._t.size / _ROWS))
        relative = of_sums + EPS * (20.0 + 8.0 * np.arange(even + 1)) * max(1.0, 1.0 / lowest)
        sizes = []
        for powers in (sums.plain[: even + 1], sums.with_b[: even + 1]):
            absolute = powers.copy()  # odd powers may cancel, and are bounded by their neighbours
            absolute[1::2] = np.sqrt(powers[:-1:2] * powers[2::2])
            sizes.append(relative * absolute)
        errors = _Sums(relative[min(1, even)] * sums.cross, *sizes)
        finite = _Sums(sums.cross, sums.plain[: even + 1], sums.with_b[: even + 1])
        cumulants = Moments(
            _cumulants(finite, T, S, paired), _cumulants(errors, abs(T), abs(S), paired)
        )
        log = self.log_mgf((T, S))
        size = abs(T) * self.kl + self._logs[T] + 0.5 * S * S * float(sums.with_b[0])
        log_error = abs(T) * self.kl_error + float(relative[0]) * size
        return Tilted(Bounded(log, log_error), cumulants)

    def parts(self, order: int) -> Moments:
        """As `Law.parts`: (i - 1)!/2 times the sum of t^i, and i! times that of t^i b^2."""
        value, error = (np.zeros((order + 1, order + 1)) for _ in range(2))
        t, b, w, e = self._t, np.abs(self._coefficients.b), self._weight, self._errors
        t_error, t_size, b_size = 2.0 * e.a, np.abs(t) + 2.0 * e.a, b + e.b
        rounding = self._rounding_of_sum + 2.0 * order * EPS
        # The powers t^i and (|t| + its error)^(i - 1)
        power, below = np.ones_like(t), np.ones_like(t)
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range(order + 1):
                moved = i * below * t_error  # a bound on the error of t^i
                if i >= 2:
                    half = 0.5 * math.factorial(i - 1)
                    value[i, 0] = half * (power @ w)
                    error[i, 0] = half * ((moved + rounding * np.abs(power)) @ w)
                if i <= order - 2:
                    whole = math.factorial(i)
                    value[i, 2] = whole * ((power * self._b2) @ w)
                    of_b = (np.abs(power) + moved) * 2.0 * e.b * b_size
                    each = (
                        moved * b_size * np.maximum(b_size, e.mixed)
                        + rounding * np.abs(power) * self._b2
                    )
                    error[i, 2] = whole * ((of_b + each) @ w)
                power = power * t
                if i:
                    below = below * t_size
        return settled(value, error)

    def is_finite(self, s: float, order: int = 0) -> bool:
        border = BORDER if s < -1.0 else 0.0  # E r is finite for every pair
        return s == 0.0 or all(1.0 - s * t > border for t in self._range)

    @property
    def lowest_tilt(self) -> float:
        return 1.0 / self._range[0] if self._range[0] < 0 else -math.inf

    def log_mgf(self, tilt: Tilt) -> float:
        T, S = tilt
        if not self.is_finite(T):
            return math.inf
        if T not in self._logs:
            self._logs[T] = 0.5 * _sum_of_m(-T, self._t, self._weight) if T else 0.0
        return T * self.kl + self._logs[T] + 0.5 * S * S * float(self._tilted(T, 0).with_b[0])

    def complex_log_mgf(self, s: Complex, paired: bool) -> Complex:
        total = s * self.kl
        rows = max(_ROWS // s.size, 1)
        for start in range(0, self._t.size, rows):
            part = slice(start, start + rows)
            x = -s[:, None] * self._t[part]
            total = total + 0.5 * (_complex_m(x) @ self._weight[part])
            if not paired:
                total += 0.5 * s * s * ((1.0 / (1.0 + x)) @ (self._weight[part] * self._b2[part]))
        return np.asarray(total)

    def _tilted(self, T: float, order: int) -> _Sums:
        """The sums over coordinates under the tilt T, with powers up to at least `order`."""
        sums = self._sums.get(T)
        if sums is None or sums.plain.size <= order:
            sums = self._sums[T] = _sums(self._t, self._b2, self._weight, T, order)
        return sums

    def tilted(self, s: float, paired: bool) -> tuple[float, float]:
        of_l = 0.0 if paired else s
        with np.errstate(over="ignore", invalid="ignore"):
            kappa = _cumulants(self._tilted(s, 2), s, of_l, paired)
        return self.kl + float(kappa[1]), float(kappa[2])
