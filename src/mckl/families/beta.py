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
from mckl.exact.ends import Tail
from mckl.families.gamma import log_gammas
from mckl.families.gamma_function import log_gamma_rise
from mckl.families.independent import Parameter, independent_family
from mckl.families.univariate import Univariate
from mckl.text import with_shapes

_SMALLEST = 1e-290


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

    def terms(self, x: Vector) -> tuple[Vector, ...]:
        return (
            self.a * scipy.special.log_expit(x),
            self.b * scipy.special.log_expit(-x),
            -scipy.special.betaln(self.a, self.b),
        )

    def ratio_terms(self, p: Univariate, x: Vector) -> tuple[Vector, ...]:
        if not isinstance(p, Beta):
            return super().ratio_terms(p, x)
        return (
            (self.a - p.a) * scipy.special.log_expit(x),
            (self.b - p.b) * scipy.special.log_expit(-x),
            self._rise(p),
        )

    def _rise(self, p: Beta) -> float:
        """log B(p) - log B(q)."""
        a, b = p.a - self.a, p.b - self.b
        apart = log_gamma_rise(self.a, a) + log_gamma_rise(self.b, b)
        return apart - log_gamma_rise(self.a + self.b, a + b)

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
        total, near_0 = x.sum(axis=-1), scipy.special.log_expit(x).sum(axis=-1)
        out = np.empty((len(ps), len(x)))
        for i, p in enumerate(laws):
            # log(1 - x) is log x less the coordinate
            out[i] = (self.a - p.a + self.b - p.b) * near_0 - (self.b - p.b) * total
            out[i] += x.shape[-1] * self._rise(p)
        return out


BETA = independent_family(
    "beta",
    Beta,
    {
        "a": Parameter("power of x, plus 1", above=0.0),
        "b": Parameter("power of 1 - x, plus 1", above=0.0),
    },
)
