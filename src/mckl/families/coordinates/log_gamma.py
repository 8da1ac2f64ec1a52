"""The law of location + scale log x for a gamma law of x, whichever sign this has.

It has the laws of log x where x itself underflows, and those of the logarithms of all powers of
gamma variates: of Weibull, Fréchet and inverse gamma variates, and of chi variates such as the
absolute value of a normal one. Those of exponential variates are the Gumbel laws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact.ends import LINEAR, Growth, Tail
from mckl.exact.gamma_function import (
    gamma_ratio_at_mean,
    log_gamma_rest,
    stirling_rest,
    stirling_rise,
)
from mckl.exact.moments import EPS
from mckl.exact.remainders import phi
from mckl.families import wide
from mckl.families.coordinates.univariate import Terms, Univariate, chosen, rounding
from mckl.text import with_shapes

_LEAST = 1e-290  # of x: below it, the probability below x is x^shape / Gamma(shape + 1)
_NEAR = 1.0  # how far apart log x may be under q and p, for terms that keep the digits of l
_MOST = 700.0  # the logarithm of the largest coefficient of a tail
_MANY = 16.0  # from this shape on, the terms of the log density are large beside it


@dataclass(frozen=True)
class LogGamma(Univariate):
    """The law of location + scale side log x with x of a gamma law of rate 1; side is 1 or -1."""

    shape: float
    location: Any = 0.0
    scale: Any = 1.0
    side: int = 1
    name = "log-gamma"
    symmetric = False
    seconds: ClassVar[Seconds] = Seconds(20e-9, 3500e-9, 900e-9, 30e-9)

    @property
    def kind(self) -> str:
        return ("" if self.side == 1 else "-") + with_shapes(self.name, [self.shape])

    def affine(self, shift: float, scale: float) -> LogGamma:
        location = wide.affine(shift, scale, self.location)
        size = wide.times(abs(scale), self.scale)
        return LogGamma(self.shape, location, size, self.side if scale > 0.0 else -self.side)

    @property
    def tensorflow(self) -> Distribution | None:
        if self.side != 1 or not np.all(np.equal(self.scale, 1.0)):
            return None
        terms = 1.0 + self.shape + abs(float(scipy.special.gammaln(self.shape)))
        where = {"concentration": self.shape, "rate": np.exp(-np.asarray(self.location))}
        return Distribution("ExpGamma", where, terms=terms)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        slope = self.shape / self.scale
        size = math.exp(max(-_MOST, min(-self.side * self.location / self.scale, _MOST)))
        far = Tail({Growth(1.0 / self.scale, 0.0): size, LINEAR: -slope})
        near = Tail({LINEAR: slope})
        return (near, far) if self.side == 1 else (far, near)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.location + self.side * self.scale * math.log(self.shape)),)

    def _log_x(self, y: Vector) -> Vector:
        """The logarithm of x."""
        return np.asarray(self.side * ((y - self.location) / self.scale))

    def _from_mean(self, y: Vector) -> Vector:
        """The logarithm of x over its mean."""
        return self._log_x(y) - math.log(self.shape)

    def terms(self, x: Vector) -> Terms:
        constant = 0.5 * math.log(self.shape / (2.0 * math.pi)), -stirling_rest(self.shape).value
        return -self.shape * phi(self._from_mean(x)), *constant, -np.log(self.scale)

    def _moved(self, t: Vector) -> Vector:
        """A bound on the rounding error of t = `_from_mean`, and what matters as much in e^t."""
        return np.asarray(2.0 * EPS * (1.0 + 2.0 * abs(math.log(self.shape)) + 2.0 * np.abs(t)))

    def terms_error(self, x: Vector) -> Vector:
        t = self._from_mean(x)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = self.shape * np.abs(np.expm1(t)) * self._moved(t)
        return np.asarray(moved + stirling_rest(self.shape).error)

    def _against(self, p: LogGamma, x: Vector) -> tuple[Vector, Vector, Vector, Any]:
        """t of this law, by how much log x is larger under p, its two terms' size, log(scales)."""
        z, location, scale, excess, log_scale = self._relative(p, x)
        stretch, shift = -z * (excess / scale), -(location / scale)
        apart, size = self.side * (stretch + shift), np.abs(stretch) + np.abs(shift)
        return self.side * z - math.log(self.shape), apart, size, log_scale

    @np.errstate(over="ignore", invalid="ignore")
    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, LogGamma) or p.side != self.side:
            return super().ratio_terms(p, x)
        t, apart, _, log_scale = self._against(p, x)
        near = np.abs(apart) < _NEAR
        if not near.any():
            return super().ratio_terms(p, x)
        if _equal(self.scale, p.scale):  # log x differs by the same everywhere
            grown = self.shape * np.expm1(apart)
            slope = self.shape - p.shape + grown
            level = gamma_ratio_at_mean(self.shape, p.shape, np.exp(apart), slope)
            return *level, slope * t, grown * phi(t)
        w, less = np.where(near, apart, 0.0), self.shape - p.shape
        terms = (
            self.shape * np.expm1(t) * np.expm1(w), self.shape * phi(w), less * t, less * w,
            log_gamma_rest(self.shape, -less, p.shape).value, log_scale,
        )  # fmt: skip
        return terms if near.all() else chosen(near, terms, super().ratio_terms(p, x))

    @np.errstate(over="ignore", invalid="ignore")
    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        if not isinstance(p, LogGamma) or p.side != self.side:
            return super().log_ratio_error(p, x)
        t, apart, size, _ = self._against(p, x)
        near, less = np.abs(apart) < _NEAR, self.shape - p.shape
        w = np.where(near, apart, 0.0)
        slope = less + self.shape * np.exp(t) * np.expm1(w)
        moved = np.abs(slope) * self._moved(t)
        moved += 4.0 * EPS * size * np.abs(self.shape * np.exp(t + w) - p.shape)
        if _equal(self.scale, p.scale):
            constants = stirling_rise(self.shape, p.shape).error
            grown = self.shape * np.expm1(w)
            of_slope = 2.0 * EPS * (abs(less) + np.abs(grown))
            least = np.minimum(np.abs(less + grown) / p.shape, 1.0)
            constants = constants + of_slope * (np.abs(t) + least)
        else:
            constants = log_gamma_rest(self.shape, -less, p.shape).error
        error = rounding(self.ratio_terms(p, x))
        far = self.terms_error(x) + p.terms_error(x)
        return np.asarray(error + np.where(near, moved + constants, far))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        z, upper = self._log_x(x), upper == (self.side == 1)
        with np.errstate(over="ignore"):
            if self.shape == 1.0:
                large = np.exp(z)
                return np.asarray(np.exp(-large) if upper else -np.expm1(-large))
            tail = scipy.special.gammaincc if upper else scipy.special.gammainc
            large = tail(self.shape, np.exp(z))
        log_below = self.shape * np.minimum(z, 0.0) - scipy.special.gammaln(self.shape + 1.0)
        tiny = -np.expm1(log_below) if upper else np.exp(log_below)
        return np.asarray(np.where(z < math.log(_LEAST), tiny, large))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        upper = upper == (self.side == 1)
        log_below = np.log1p(-np.asarray(u)) if upper else np.log(u)
        if self.shape == 1.0:
            z = np.log(-np.log(u) if upper else -np.log1p(-np.asarray(u)))
        else:
            inverse = scipy.special.gammainccinv if upper else scipy.special.gammaincinv
            x = inverse(self.shape, u)
            small = (log_below + scipy.special.gammaln(self.shape + 1.0)) / self.shape
            z = np.where(x < _LEAST, small, np.log(np.maximum(x, _LEAST)))
        return np.asarray(self.location + self.scale * (self.side * z))

    @property
    def tabled(self) -> bool:  # type: ignore[override]
        return self.shape != 1.0

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        if self.shape == 1.0:
            drawn = np.log(generator.standard_exponential(shape))
        elif self.shape == 0.5:  # half of the square of a normal number
            drawn = generator.standard_normal(shape)
            drawn *= drawn
            drawn = np.log(np.maximum(0.5 * drawn, _LEAST))
        elif self.shape > 1.0:
            drawn = np.log(generator.standard_gamma(self.shape, shape))
        else:
            drawn = log_gammas(generator, shape, np.array([self.shape]))[..., 0]
        return drawn if self.side == 1 else np.negative(drawn, out=drawn)

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        alike = all(isinstance(p, LogGamma) and p.side == self.side for p in ps)
        if not alike or self.shape >= _MANY:
            return np.stack([self.log_ratio(p, x).sum(axis=-1) for p in ps])
        columns, out = x.shape[-1], np.empty((len(ps), len(x)))
        own = _log_of_density(self.side * x, self.shape)
        for i, p in enumerate(ps):
            assert isinstance(p, LogGamma)
            y = x * (self.side / p.scale)
            y -= self.side * (p.location / p.scale)
            out[i] = own - _log_of_density(y, p.shape)
            rise = log_gamma_rest(self.shape, p.shape - self.shape, p.shape).value
            rise += (p.shape - self.shape) * math.log(self.shape)
            out[i] += columns * (rise + np.mean(np.log(p.scale)))
        return out


def _equal(scale: Any, other: Any) -> bool:
    return np.ndim(scale) == np.ndim(other) == 0 and bool(scale == other)


def _log_of_density(z: Vector, shape: float) -> Vector:
    """Sums of shape z - e^z over the last axis; z may be overwritten."""
    total = z @ np.full(z.shape[-1], shape)
    return np.asarray(total - np.exp(z, out=z).sum(axis=-1))


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
