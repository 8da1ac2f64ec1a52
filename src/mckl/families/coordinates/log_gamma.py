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
from mckl.exact.ends import LINEAR, Growth, Tail
from mckl.exact.gamma_function import gamma_ratio_at_mean, stirling_rest, stirling_rise
from mckl.exact.moments import EPS
from mckl.exact.remainders import phi
from mckl.families.coordinates.univariate import Terms, Univariate

_LEAST = 1e-290  # of x = rate e^y: below it, the probability below x is x^shape / Gamma(shape + 1)


@dataclass(frozen=True)
class LogGamma(Univariate):
    """The law of y = log x, where x has a gamma law; its location is -log rate."""

    shape: float
    rate: Any = 1.0
    name = "log-gamma"
    domain = "(0, inf)"
    symmetric = False
    seconds = Seconds(130e-9, 3500e-9, 900e-9, 30e-9)

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
        upper = Tail({Growth(1.0, 0.0): self.rate, LINEAR: -self.shape})
        return Tail({LINEAR: self.shape}), upper

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (math.log(self.shape / self.rate),)

    def _from_mean(self, y: Vector) -> Vector:
        """The logarithm of x over its mean."""
        return np.asarray(y - np.log(self.shape / self.rate))

    @property
    def centre(self) -> float:
        return 0.0  # a translation would round the rate

    def terms(self, x: Vector) -> Terms:
        constant = 0.5 * math.log(self.shape / (2.0 * math.pi)), -stirling_rest(self.shape).value
        return -self.shape * phi(self._from_mean(x)), *map(np.asarray, constant)

    def _moved(self, t: Vector) -> Vector:
        """A bound on the rounding error of t = `_from_mean`, and what matters as much in e^t."""
        return np.asarray(2.0 * EPS * (1.0 + abs(np.log(self.shape / self.rate)) + np.abs(t)))

    def log_density_error(self, x: Vector) -> Vector:
        t = self._from_mean(x)
        moved = self.shape * np.abs(np.expm1(t)) * self._moved(t)
        return np.asarray(super().log_density_error(x) + moved + stirling_rest(self.shape).error)

    def _slopes(self, p: LogGamma) -> tuple[Vector, Vector]:
        """The slope of log q - log p in y at the mean, and the share of it that is due to rates."""
        steep = self.shape * ((self.rate - p.rate) / self.rate)
        return self.shape - p.shape - steep, steep

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, LogGamma):
            return super().ratio_terms(p, x)
        slope, steep = self._slopes(p)
        t = self._from_mean(x)
        level = gamma_ratio_at_mean(self.shape, p.shape, p.rate / self.rate, slope)
        return (*level, slope * t, -steep * phi(t))

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        error = super().log_ratio_error(p, x)
        if not isinstance(p, LogGamma):
            return error
        slope, steep = self._slopes(p)
        t = self._from_mean(x)
        of_slope = 2.0 * EPS * (abs(self.shape - p.shape) + np.abs(steep))
        moved = np.abs(slope - steep * np.expm1(t)) * self._moved(t)
        moved += of_slope * (np.abs(t) + np.minimum(np.abs(slope) / p.shape, 1.0))
        return np.asarray(error + moved + stirling_rise(self.shape, p.shape).error)

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
