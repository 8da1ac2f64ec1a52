"""Exact expectations under the joint law of an antithetic pair of log density ratios.

Write l(epsilon) = KL + Q + L with Q = sum a (epsilon^2 - 1) even and L = sum b epsilon odd:
an antithetic pair is (KL + Q + L, KL + Q - L). Their joint moment generating function is
elementary (docs/theory.md, section 2),

    log E e^{T (KL + Q) + S L} = T KL + sum  m(-T t)/2 + S^2 b^2 / (2 (1 - T t)),
                                 t = 2a,  m(x) = x - log(1 + x),

finite where every 1 - T t > 0. A polynomial in Q, L and such exponentials has therefore an
exact expectation: tilt the law by the exponential, take the moments from the tilted
cumulants. That is all an estimator's bias, variance, skewness and kurtosis need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.families.normal import Pair, Vector, coefficients, x_minus_log1p

Complex = NDArray[np.complex128]
Tilt = tuple[float, float]  # (T, S): the exponential e^{T (KL + Q) + S L}
# A function of (Q, L): for every tilt the coefficients c[i, j] of Q^i L^j times it.
Expression = Mapping[Tilt, Vector]


def add(f: Expression, g: Expression, weight: float = 1.0) -> Expression:
    """The expression f + weight g."""
    out = dict(f)
    for tilt, c in g.items():
        if tilt not in out:
            out[tilt] = weight * c
            continue
        shape = np.maximum(out[tilt].shape, c.shape)
        total = np.zeros(shape)
        total[: out[tilt].shape[0], : out[tilt].shape[1]] += out[tilt]
        total[: c.shape[0], : c.shape[1]] += weight * c
        out[tilt] = total
    return out


def multiply(f: Expression, g: Expression) -> Expression:
    """The expression f g."""
    out: Expression = {}
    for (t, s), a in f.items():
        for (u, v), b in g.items():
            c = np.zeros((a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1))
            for i, j in np.argwhere(b):
                c[i : i + a.shape[0], j : j + a.shape[1]] += b[i, j] * a
            out = add(out, {(t + u, s + v): c})
    return out


def constant(value: float) -> Expression:
    """The expression that is `value` everywhere."""
    return {(0, 0): np.array([[value]])}


class _Sums(NamedTuple):
    """Sums over coordinates under the tilt T, with s = t / (1 - T t) and c = b^2 / (1 - T t).

    cross   sum t s
    plain   sum s^i, by i
    with_b  sum s^i c, by i
    """

    cross: float
    plain: Vector
    with_b: Vector


_ROWS = 2**13  # coordinates at a time: what is made of them stays in cache


def _sum_of_m(T: float, t: Vector, weight: Vector) -> float:
    """Sum m(T t) over coordinates."""
    return sum(
        float(weight[i : i + _ROWS] @ x_minus_log1p(T * t[i : i + _ROWS]))
        for i in range(0, t.size, _ROWS)
    )


def _sums(t: Vector, b2: Vector, weight: Vector, T: float, order: int) -> _Sums:
    cross = 0.0
    plain, with_b = np.zeros(order + 1), np.zeros(order + 1)
    for start in range(0, t.size, _ROWS):
        here = slice(start, start + _ROWS)
        w, tt = weight[here], T * t[here]
        s, c = t[here] / (1.0 - tt), w * (b2[here] / (1.0 - tt))
        cross += float(w @ (t[here] * s))
        power = w.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range(order + 1):
                plain[i] += power.sum()
                with_b[i] += c.sum()
                if i < order:
                    power *= s
                    c *= s
    return _Sums(cross, plain, with_b)


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


class LogRatioLaw:
    """The law of the log density ratio of a pair (q, p) under z ~ q.

    All its numbers are exact to rounding; `inf` where the expectation diverges or
    exceeds the largest float64.
    """

    def __init__(self, pair: Pair) -> None:
        c = coefficients(pair)
        self._t, self._b2, self._weight = 2.0 * c.a, c.b * c.b, c.weight
        self._range = float(self._t.min()), float(self._t.max())
        self.kl = float(np.sum(c.kl * c.weight))
        self._raw: dict[Tilt, Vector] = {}
        self._sums: dict[float, _Sums] = {}
        self._logs: dict[float, float] = {}

    @property
    def variance(self) -> float:
        """Var l, in nats squared."""
        return float(self._cumulant(2, 0) + self._cumulant(0, 2))

    def cumulants(self, order: int) -> list[float]:
        """The cumulants kappa_1 ... kappa_order of l: kappa_1 = KL, kappa_2 = Var l.

        kappa_m = sum (m-1)! t^m / 2 + m! t^(m-2) b^2 / 2 for m >= 2.
        """
        even = [self._cumulant(m, 0) for m in range(2, order + 1)]
        odd = [
            math.comb(m, 2) * self._cumulant(m - 2, 2) for m in range(2, order + 1)
        ]  # the cumulants of Q + L: only the terms with 0 or 2 factors of L are not 0
        return [self.kl, *(e + o for e, o in zip(even, odd, strict=True))]

    def is_finite(self, tilt_of_q: float) -> bool:
        """Whether E e^{T Q} is finite: every 1 - T t > 0."""
        return all(1.0 - tilt_of_q * t > 0 for t in self._range)

    @property
    def lowest_tilt(self) -> float:
        """The infimum of the T with a finite E e^{T Q}."""
        return 1.0 / self._range[0] if self._range[0] < 0 else -math.inf

    def log_mgf(self, tilt: Tilt) -> float:
        """The logarithm of E e^{T (KL + Q) + S L}; inf where it diverges."""
        T, S = tilt
        if not self.is_finite(T):
            return math.inf
        if T not in self._logs:
            self._logs[T] = 0.5 * _sum_of_m(-T, self._t, self._weight) if T else 0.0
        return T * self.kl + self._logs[T] + 0.5 * S * S * float(self._tilted(T, 0).with_b[0])

    def complex_log_mgf(self, s: Complex, paired: bool) -> Complex:
        """log E e^{s x} at complex s, shape (nodes,): x = l, or KL + Q of a pair.

        On any line that crosses the real axis where `log_mgf` is finite, and nowhere else.
        """
        total = s * self.kl
        rows = max(_ROWS // s.size, 1)
        for start in range(0, self._t.size, rows):
            here = slice(start, start + rows)
            x = -s[:, None] * self._t[here]
            total = total + 0.5 * (_complex_m(x) @ self._weight[here])
            if not paired:
                total += 0.5 * s * s * ((1.0 / (1.0 + x)) @ (self._weight[here] * self._b2[here]))
        return np.asarray(total)

    def groups(self) -> tuple[int, int]:
        """How many values a has over the coordinates, and how many of them occur twice or more."""
        order = np.argsort(self._t) if self._weight.max() > 1 else None
        t = np.sort(self._t) if order is None else self._t[order]
        first = np.flatnonzero(np.concatenate(([True], t[1:] != t[:-1])))
        size = np.diff(np.append(first, t.size))
        if order is not None:
            size = np.add.reduceat(self._weight[order], first)
        return first.size, int((size > 1).sum())

    def tilted(self, T: float, paired: bool) -> tuple[float, float]:
        """Mean and variance of x under the law tilted by e^{T x}: x = l, or KL + Q of a pair."""
        tilt = (T, 0.0 if paired else T)
        mean, variance = self.kl + self._cumulant(1, 0, tilt), self._cumulant(2, 0, tilt)
        if not paired:
            mean += self._cumulant(0, 1, tilt)
            variance += 2.0 * self._cumulant(1, 1, tilt) + self._cumulant(0, 2, tilt)
        return mean, variance

    def _tilted(self, T: float, order: int) -> _Sums:
        """The sums over coordinates under the tilt T, with powers up to `order` at least."""
        known = self._sums.get(T)
        if known is None or known.plain.size <= order:
            known = self._sums[T] = _sums(self._t, self._b2, self._weight, T, order)
        return known

    def _cumulant(self, i: int, j: int, tilt: Tilt = (0, 0)) -> float:
        """The joint cumulant of (Q i times, L j times) under the law tilted by e^{T Q + S L}."""
        if j > 2 or (i, j) == (0, 0):
            return 0.0
        T, S = tilt
        sums = self._tilted(T, i)
        with_b = math.factorial(i) * float(sums.with_b[i])
        if j == 2:
            return with_b
        if j == 1:
            return S * with_b
        if i == 1:
            return 0.5 * T * sums.cross + 0.5 * S * S * with_b
        return 0.5 * math.factorial(i - 1) * float(sums.plain[i]) + 0.5 * S * S * with_b

    def _raw_moments(self, rows: int, columns: int, tilt: Tilt) -> Vector:
        """E_tilted Q^i L^j for i < rows and j < columns, from the tilted cumulants.

        mu_{i+1,j} = sum_{k<=i, l<=j} C(i,k) C(j,l) kappa_{k+1,l} mu_{i-k,j-l}, and likewise for j.
        """
        known = self._raw.get(tilt)
        if known is not None and known.shape[0] >= rows and known.shape[1] >= columns:
            return known[:rows, :columns]
        self._tilted(tilt[0], rows)  # all powers in one pass
        kappa = np.array([[self._cumulant(i, j, tilt) for j in range(3)] for i in range(rows + 1)])
        mu = np.zeros((rows, columns))
        mu[0, 0] = 1.0
        for j in range(1, columns):
            mu[0, j] = sum(
                math.comb(j - 1, m) * kappa[0, m + 1] * mu[0, j - 1 - m] for m in range(min(j, 2))
            )
        for i in range(1, rows):
            binomials = np.array([math.comb(i - 1, k) for k in range(i)], dtype=float)
            for j in range(columns):
                mu[i, j] = sum(
                    math.comb(j, m)
                    * float((binomials * kappa[1 : i + 1, m]) @ mu[i - 1 :: -1, j - m])
                    for m in range(min(j, 2) + 1)
                )
        self._raw[tilt] = mu
        return mu

    def expectation(self, f: Expression) -> float:
        """E f(Q, L); inf where an exponential in it has no finite expectation.

        The ones in e^K = 1 + (e^K - 1) are added up apart: near scale 1 every exponential
        is close to 1, and what remains is the small difference that is wanted.
        """
        plain, excess = 0.0, 0.0
        for tilt, c in f.items():
            if not c.any():
                continue
            log_mgf = self.log_mgf(tilt)
            if not math.isfinite(log_mgf):
                return math.inf
            rows, columns = c.shape
            moment = float(np.sum(c * self._raw_moments(rows, columns, tilt)))
            plain += moment
            if moment:
                with np.errstate(over="ignore"):
                    excess += moment * float(np.expm1(log_mgf))
        total = plain + excess
        return total if math.isfinite(total) else math.inf

    def ell(self, sign: int = 1) -> Expression:
        """The log density ratio l = KL + Q + L; with sign -1 that of the mirrored point."""
        return {(0, 0): np.array([[self.kl, float(sign)], [1.0, 0.0]])}

    def ratio_minus_one(self, sign: int = 1) -> Expression:
        """The ratio less one, r - 1 with r = p/q = e^{-l}; with sign -1 at the mirrored point.

        Where l is small, r - 1 and -l agree in nearly every digit and what an estimator
        makes of their sum would be rounding: there r is its own Taylor polynomial.
        """
        if self.variance + self.kl**2 > _TAYLOR_BELOW:
            return add({(-1, -sign): np.ones((1, 1))}, constant(1.0), -1.0)
        ell, power, total = self.ell(sign), constant(1.0), constant(0.0)
        for m in range(1, _TAYLOR_DEGREE + 1):
            power = multiply(power, ell)
            total = add(total, power, (-1.0) ** m / math.factorial(m))
        return total


# At the border the truncation costs a variance less than 1e-10 of itself, and rounding costs a
# fourth moment by exponentials 1e-3; both fall off fast on their side of it.
_TAYLOR_BELOW, _TAYLOR_DEGREE = 2e-3, 11
