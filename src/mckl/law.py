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

import numpy as np

from mckl.gaussians import Pair, Vector, coefficients, x_minus_log1p

Tilt = tuple[int, int]  # (T, S): the exponential e^{T (KL + Q) + S L}
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


class LogRatioLaw:
    """The law of the log density ratio of a pair (q, p) under z ~ q.

    All its numbers are exact to rounding; `inf` where the expectation diverges or
    exceeds the largest float64.
    """

    def __init__(self, pair: Pair) -> None:
        c = coefficients(pair)
        self._t, self._b2, self._weight = 2.0 * c.a, c.b * c.b, c.weight
        self.kl = float(np.sum(c.kl * c.weight))
        self._raw: dict[Tilt, Vector] = {}

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

    def is_finite(self, tilt_of_q: int) -> bool:
        """Whether E e^{T Q} is finite: every 1 - T t > 0."""
        return bool((1.0 - tilt_of_q * self._t > 0).all())

    def log_mgf(self, tilt: Tilt) -> float:
        """Log E e^{T (KL + Q) + S L}; inf where it diverges."""
        T, S = tilt
        if not self.is_finite(T):
            return math.inf
        tt = T * self._t
        terms = 0.5 * x_minus_log1p(-tt) + 0.5 * S * S * self._b2 / (1.0 - tt)
        return T * self.kl + float(np.sum(terms * self._weight))

    def _cumulant(self, i: int, j: int, tilt: Tilt = (0, 0)) -> float:
        """The joint cumulant of (Q i times, L j times) under the law tilted by e^{T Q + S L}."""
        if j > 2 or (i, j) == (0, 0):
            return 0.0
        T, S = tilt
        t = self._t / (1.0 - T * self._t)
        b2 = self._b2 / (1.0 - T * self._t)
        with_b = math.factorial(i) * t**i * b2
        if j == 2:
            terms = with_b
        elif j == 1:
            terms = S * with_b
        elif i == 1:
            terms = 0.5 * T * self._t * t + 0.5 * S * S * with_b
        else:
            terms = 0.5 * math.factorial(i - 1) * t**i + 0.5 * S * S * with_b
        return float(np.sum(terms * self._weight))

    def _raw_moments(self, rows: int, columns: int, tilt: Tilt) -> Vector:
        """E_tilted Q^i L^j for i < rows and j < columns, from the tilted cumulants.

        mu_{i+1,j} = sum_{k<=i, l<=j} C(i,k) C(j,l) kappa_{k+1,l} mu_{i-k,j-l}, and likewise for j.
        """
        known = self._raw.get(tilt)
        if known is not None and known.shape[0] >= rows and known.shape[1] >= columns:
            return known[:rows, :columns]
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
                    * float(np.sum(binomials * kappa[1 : i + 1, m] * mu[i - 1 :: -1, j - m]))
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
        """R - 1 with r = p/q = e^{-l}; with sign -1 at the mirrored point.

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


# Relative truncation error of a variance: below (1e-2)^6 at the border, far less beyond.
_TAYLOR_BELOW, _TAYLOR_DEGREE = 1e-4, 7
