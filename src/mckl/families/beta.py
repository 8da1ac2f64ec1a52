"""The beta law, in the coordinate log(x / (1 - x)), which keeps its digits near 0 and near 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact.integrands import x_minus_log1p
from mckl.exact.product import Tail
from mckl.families.gamma_function import stirling_rest, stirling_rise
from mckl.families.independent import Parameter, independent_family
from mckl.families.log_gamma import log_gammas
from mckl.families.univariate import Univariate
from mckl.text import with_shapes

_SMALLEST = 1e-290
_LARGEST = 700.0  # e^w is finite for w up to this


@dataclass(frozen=True)
class Beta(Univariate):
    """The beta law of x, as a law of log(x / (1 - x))."""

    a: float
    b: float
    domain = "(0, 1)"
    symmetric = False
    seconds = Seconds(70e-9, 3300e-9, 1360e-9, 30e-9)

    @property
    def kind(self) -> str:
        return with_shapes("beta", (self.a, self.b))

    def at(self, location: Any, scale: Any) -> Beta:
        return self

    @property
    def tensorflow(self) -> Distribution:
        # The law is that of x itself. x rounds to 1 where log(x / (1 - x)) keeps all its digits.
        where = {"concentration1": self.a, "concentration0": self.b}
        sizes = np.array([self.a, self.b, self.a + self.b])
        terms = 1.0 + sizes[2] + float(np.abs(scipy.special.gammaln(sizes)).sum())
        return Distribution("Beta", where, points=False, terms=terms)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        return Tail(linear=self.a), Tail(linear=self.b)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (math.log(self.a / self.b),)

    @property
    def _flipped(self) -> Beta:
        """The law of 1 - x."""
        return Beta(self.b, self.a)

    def _around(self, x: Vector) -> tuple[Vector, Vector]:
        """The distance w of the coordinate from that of the mean m, and log(1 - m + m e^w).

        They are log(x / m) + L and L, as log((1 - x) / (1 - m)) is -L.
        """
        mean = self.a / (self.a + self.b)
        w = np.asarray(x - math.log(self.a / self.b))
        rest = np.asarray(np.log1p(mean * np.expm1(np.minimum(w, _LARGEST))))
        far = w > _LARGEST
        if far.any():
            rest[far] = np.logaddexp(math.log1p(-mean), math.log(mean) + w[far])
        return w, rest

    def log_density(self, x: Vector) -> Vector:
        if self.a > self.b:  # m is kept away from 1, where 1 - m has lost digits
            return self._flipped.log_density(-x)
        w, rest = self._around(x)
        n = self.a + self.b
        level = 0.5 * math.log(self.a * (self.b / n) / (2.0 * math.pi)) + stirling_rest(n)
        level -= stirling_rest(self.a) + stirling_rest(self.b)
        return np.asarray(level + self.a * w - n * rest)

    def log_ratio(self, p: Univariate, x: Vector) -> Vector:
        if not isinstance(p, Beta):
            return super().log_ratio(p, x)
        if self.a > self.b:
            return self._flipped.log_ratio(p._flipped, -x)
        w, rest = self._around(x)
        near_0, near_1 = self.a - p.a, self.b - p.b
        return np.asarray(self._level(p) + near_0 * w - (near_0 + near_1) * rest)

    def _level(self, p: Beta) -> float:
        """log q - log p at the mean of q, without the large terms that the two densities share."""
        a, b = p.a - self.a, p.b - self.b
        n, p_n = self.a + self.b, p.a + p.b
        turned = (a * self.b - self.a * b) / p_n  # the means' difference, times n
        level = p.a * _gap(turned / self.a) + p.b * _gap(-turned / self.b)
        level += 0.5 * (_log_rise(n, a + b) - _log_rise(self.a, a) - _log_rise(self.b, b))
        return level + math.fsum(
            (stirling_rise(self.a, a), stirling_rise(self.b, b), -stirling_rise(n, a + b))
        )

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        a, b, x = (self.b, self.a, -x) if upper else (self.a, self.b, x)
        # Integrated from the end that x is nearer to, where no digit is lost.
        return np.asarray(
            np.where(
                x < 0,
                scipy.special.betainc(a, b, scipy.special.expit(x)),
                scipy.special.betaincc(b, a, scipy.special.expit(-x)),
            )
        )

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        a, b = (self.b, self.a) if upper else (self.a, self.b)
        low = np.asarray(scipy.special.betaincinv(a, b, u))  # x, and then 1 - x
        far = low >= 0.5
        high = np.ones_like(low)
        high[far] = scipy.special.betainccinv(b, a, np.asarray(u)[far])
        y = np.where(
            low < 0.5,
            np.log(np.maximum(low, _SMALLEST)) - np.log1p(-np.minimum(low, 0.5)),
            np.log1p(-np.minimum(high, 0.5)) - np.log(np.maximum(high, _SMALLEST)),
        )
        # Where x is too small for float64, u = x^a / (a B(a, b)).
        tiny = low < _SMALLEST
        y = np.where(tiny, (np.log(u) + math.log(a) + scipy.special.betaln(a, b)) / a, y)
        # Where 1 - x is too small, 1 - u = (1 - x)^b / (b B(a, b)).
        tiny = (high < _SMALLEST) & ~tiny
        rest = np.log1p(-np.where(tiny, u, 0.0)) + math.log(b) + scipy.special.betaln(a, b)
        y = np.where(tiny, -rest / b, y)
        return np.asarray(-y if upper else y)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        logs = log_gammas(generator, shape, np.array([self.a, self.b]))
        return np.asarray(logs[..., 0] - logs[..., 1])

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        laws = [p for p in ps if isinstance(p, Beta)]
        if len(laws) < len(ps):
            return super().sums(x, ps)
        if self.a > self.b:
            return self._flipped.sums(-x, [p._flipped for p in laws])
        w, rest = (v.sum(axis=-1) for v in self._around(x))
        out = np.empty((len(ps), len(x)))
        for i, p in enumerate(laws):
            near_0, near_1 = self.a - p.a, self.b - p.b
            out[i] = near_0 * w - (near_0 + near_1) * rest + x.shape[-1] * self._level(p)
        return out


def _gap(e: float) -> float:
    """The function log(1 + e) - e / (1 + e)."""
    return float(x_minus_log1p(-e / (1.0 + e)))


def _log_rise(a: float, h: float) -> float:
    """The difference log(a + h) - log a."""
    return math.log1p(h / a) if abs(h) < 0.5 * a else math.log(a + h) - math.log(a)


BETA = independent_family(
    "beta",
    Beta,
    {
        "a": Parameter("power of x, plus 1", above=0.0),
        "b": Parameter("power of 1 - x, plus 1", above=0.0),
    },
)
