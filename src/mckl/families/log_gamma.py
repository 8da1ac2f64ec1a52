"""The law of log x for a gamma law of x, for shapes at which x itself underflows."""

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
from mckl.exact.phi import phi
from mckl.exact.product import Tail
from mckl.families.gamma_function import gamma_ratio_at_mean, stirling_rest
from mckl.families.univariate import Univariate
from mckl.text import with_shapes

_LEAST = 1e-290  # of x = rate e^y: below it, the probability below x is x^shape / Gamma(shape + 1)


@dataclass(frozen=True)
class LogGamma(Univariate):
    """The law of y = log x, where x has a gamma law; its location is -log rate."""

    shape: float
    rate: Any = 1.0
    domain = "(0, inf)"
    symmetric = False
    seconds = Seconds(130e-9, 3500e-9, 900e-9, 30e-9)

    @property
    def kind(self) -> str:
        return with_shapes("log-gamma", (self.shape,))

    @property
    def location(self) -> Any:
        return -np.log(self.rate)

    def at(self, location: Any, scale: Any) -> LogGamma:
        return LogGamma(self.shape, np.exp(-location))

    @property
    def tensorflow(self) -> Distribution:
        terms = 1.0 + self.shape + abs(float(scipy.special.gammaln(self.shape)))
        where = {"concentration": self.shape, "rate": self.rate}
        return Distribution("ExpGamma", where, terms=terms)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        # At the upper end e^y rules, in q as in p, so that only the ratio of the rates counts.
        return Tail(linear=self.shape), Tail(quadratic=self.rate)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (math.log(self.shape / self.rate),)

    def _from_mean(self, y: Vector) -> Vector:
        """The logarithm of x over its mean."""
        return np.asarray(y - np.log(self.shape / self.rate))

    def log_density(self, x: Vector) -> Vector:
        t = self._from_mean(x)
        level = 0.5 * math.log(self.shape / (2.0 * math.pi)) - stirling_rest(self.shape)
        return np.asarray(level - self.shape * phi(t))

    def log_ratio(self, p: Univariate, x: Vector) -> Vector:
        if not isinstance(p, LogGamma):
            return super().log_ratio(p, x)
        steep = self.shape * ((self.rate - p.rate) / self.rate)
        slope = self.shape - p.shape - steep
        t = self._from_mean(x)
        level = gamma_ratio_at_mean(self.shape, p.shape, p.rate / self.rate, slope)
        return np.asarray(level + slope * t - steep * phi(t))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        z = x + np.log(self.rate)
        small = z < math.log(_LEAST)
        tail = scipy.special.gammaincc if upper else scipy.special.gammainc
        with np.errstate(over="ignore"):
            large = tail(self.shape, np.exp(z))
        log_below = self.shape * np.minimum(z, 0.0) - scipy.special.gammaln(self.shape + 1.0)
        tiny = -np.expm1(log_below) if upper else np.exp(log_below)
        return np.asarray(np.where(small, tiny, large))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        inverse = scipy.special.gammainccinv if upper else scipy.special.gammaincinv
        x = inverse(self.shape, u)
        log_below = np.log1p(-np.asarray(u)) if upper else np.log(u)
        small = (log_below + scipy.special.gammaln(self.shape + 1.0)) / self.shape
        y = np.where(x < _LEAST, small, np.log(np.maximum(x, _LEAST)))
        return np.asarray(y - np.log(self.rate))

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return log_gammas(generator, shape, np.array([self.shape]))[..., 0]

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        return np.stack([self.log_ratio(p, x).sum(axis=-1) for p in ps])


def log_gammas(generator: np.random.Generator, shape: tuple[int, ...], shapes: Vector) -> Vector:
    """Logarithms of gamma variates, shape (*shape, len(shapes)), for shapes however small.

    Below shape 1 they follow from G(a) = G(a + 1) U^(1/a) with a uniform U, as a variate of a small
    shape would underflow. The numbers of one sample are drawn one after the other, so that they do
    not depend on how many samples are drawn at a time.
    """
    small = np.flatnonzero(shapes < 1.0)
    every = np.concatenate((shapes, np.ones(small.size)))
    every[small] += 1.0
    drawn = generator.standard_gamma(every, (*shape, every.size))
    logs = np.log(drawn[..., : shapes.size])
    logs[..., small] -= drawn[..., shapes.size :] / shapes[small]
    return np.asarray(logs)
