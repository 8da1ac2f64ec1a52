"""The gamma law, whose density is a power of x near 0 and has a tail like e^-x."""

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
from mckl.exact.ends import LINEAR, Tail
from mckl.exact.gamma_function import (
    gamma_ratio_at_mean,
    log_gamma_rest,
    log_gamma_rise,
    stirling_rest,
)
from mckl.exact.moments import EPS
from mckl.exact.remainders import log_quotient, x_minus_log1p
from mckl.families import wide
from mckl.families.base import About
from mckl.families.coordinates.independent import Parameter, exp_of, independent_family
from mckl.families.coordinates.log_gamma import LogGamma
from mckl.families.coordinates.univariate import Coordinates, Terms, Univariate, between
from mckl.families.parameters import Synonym, aliases, parameter_numbers

_LEAST_SHAPE = 0.1  # with smaller shapes, ordinary quantiles are too small for float64
_MANY = 16.0  # from this shape on, the terms of the log density are large beside it
_SMALLEST = 1e-300


@dataclass(frozen=True)
class Gamma(Univariate):
    """The gamma law; `scale` is the inverse of its rate, and `rate` the rate if it was given."""

    shape: float
    scale: Any = 1.0
    rate: float | None = None
    name = "gamma"
    support: ClassVar[tuple[float, float]] = (0.0, math.inf)
    symmetric = False
    seconds: ClassVar[Seconds] = Seconds(12e-9, 700e-9, 470e-9, 16e-9)

    def at(self, location: Any, scale: Any) -> Gamma:
        return Gamma(self.shape, scale)

    @property
    def tensorflow(self) -> Distribution:
        terms = 1.0 + self.shape + abs(float(scipy.special.gammaln(self.shape)))
        rate = 1.0 / self.scale if self.rate is None else self.rate
        return Distribution("Gamma", {"concentration": self.shape, "rate": rate}, terms=terms)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        upper = Tail({LINEAR: 1.0 / self.scale}, 1.0 - self.shape)
        return Tail(power=self.shape + 1.0), upper

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.shape * self.scale,)

    def _excess(self, p: Univariate) -> Any:
        q_rate, p_rate = self.rate, getattr(p, "rate", None)
        if q_rate is None or p_rate is None:
            return super()._excess(p)
        return (q_rate - p_rate) / p_rate  # the inverses have lost digits near q = p

    @property
    def tiny(self) -> bool:
        return self.shape < _LEAST_SHAPE

    def logarithm(self) -> LogGamma:
        if self.rate is None:
            return LogGamma(self.shape, wide.log(self.scale))
        return LogGamma(self.shape, -wide.log(self.rate))

    def affine(self, shift: float, scale: float) -> Gamma | None:
        if shift != 0.0 or scale < 0.0:
            return None
        own = self.scale if self.rate is None else wide.quotient(1.0, self.rate)
        return Gamma(self.shape, wide.times(own, scale))

    def _from_mean(self, y: Vector) -> tuple[Vector, Vector, Vector]:
        """u = y / mean - 1 in the standard coordinate, log(1 + u) and u - log(1 + u)."""
        u = (y - self.shape) / self.shape
        near, log = np.abs(u) < 0.5, log_quotient(y, self.shape)
        return u, log, np.where(near, x_minus_log1p(np.where(near, u, 0.0)), u - log)

    def terms(self, x: Vector) -> Terms:
        y = x / self.scale
        if self.shape < _MANY:
            log_x = np.log(x) if self.shape != 1.0 else 0.0 * x  # x may be 0
            of_x = (self.shape - 1.0) * log_x, -y
            rest = (1.0 - self.shape) * np.log(self.scale), -np.log(self.scale)
            return *of_x, *rest, -float(scipy.special.gammaln(self.shape))
        _, log_y, gap = self._from_mean(y)
        constant = -0.5 * math.log(2.0 * math.pi * self.shape) - stirling_rest(self.shape).value
        return -self.shape * gap, -log_y, constant, -np.log(self.scale)

    def log_density_error(self, x: Vector) -> Vector:
        # Near the mean, u has the rounding error of y.
        moved = np.abs(x / self.scale - self.shape) if self.shape >= _MANY else 0.0
        return np.asarray(super().log_density_error(x) + 2.0 * EPS * (1.0 + moved))

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, Gamma):
            return super().ratio_terms(p, x)
        x, _, scale, excess, log_scale = self._relative(p, x)
        less, steep = self.shape - p.shape, excess / scale
        if min(self.shape, p.shape) < _MANY:
            rise = log_gamma_rest(self.shape, -less, p.shape).value
            rises = p.shape * log_scale, rise, -less * math.log(self.shape)
            return less * np.log(x), -x * steep, *rises
        slope = less - self.shape * steep
        u, _, gap = self._from_mean(x)
        level = gamma_ratio_at_mean(self.shape, p.shape, 1.0 / scale, slope)
        return *level, slope * u, -less * gap

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        error = super().log_ratio_error(p, x)
        if not isinstance(p, Gamma):
            return error
        x, _, scale, excess, _ = self._relative(p, x)
        less, steep = self.shape - p.shape, self.shape * (excess / scale)
        if min(self.shape, p.shape) < _MANY:
            of_rise = log_gamma_rest(self.shape, -less, p.shape).error
            return np.asarray(error + 2.0 * EPS * abs(less) + of_rise)
        # u has the rounding error of x, and the slope those of its two terms.
        slope, sizes = np.abs(less - steep), abs(less) + np.abs(steep)
        u = np.abs(x / self.shape - 1.0)
        moved = slope * (1.0 + u) + abs(less) * u
        moved += sizes * (u + np.minimum(slope / p.shape, 1.0))
        return np.asarray(error + 2.0 * EPS * moved)

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        if self.shape == 0.5:  # the square of a normal number, whose functions are more exact
            root = scipy.special.erfc if upper else scipy.special.erf
            return np.asarray(root(np.sqrt(x / self.scale)))
        tail = scipy.special.gammaincc if upper else scipy.special.gammainc
        return np.asarray(tail(self.shape, x / self.scale))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        if self.shape == 0.5:
            small = np.minimum(u, 0.5), np.minimum(np.subtract(1.0, u), 0.5)
            above, below = small if upper else small[::-1]
            root = np.where(above < 0.5, scipy.special.erfcinv(above), scipy.special.erfinv(below))
            return np.asarray(self.scale * np.maximum(root * root, _SMALLEST))
        inverse = scipy.special.gammainccinv if upper else scipy.special.gammaincinv
        y = inverse(self.shape, u)
        return np.asarray(self.scale * np.maximum(y, _SMALLEST))

    @property
    def tabled(self) -> bool:  # type: ignore[override]
        return self.shape != 1.0

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        if self.shape == 1.0:
            return generator.standard_exponential(shape)
        if self.shape == 0.5:  # half of the square of a normal number, which takes less time
            drawn = generator.standard_normal(shape)
            return np.asarray(0.5 * drawn * drawn)
        return generator.standard_gamma(self.shape, shape)

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        laws = [p for p in ps if isinstance(p, Gamma)]
        if len(laws) < len(ps):
            return super().sums(x, ps)
        if self.shape >= _MANY:
            return np.stack([self.log_ratio(p, x).sum(axis=-1) for p in laws])
        columns = x.shape[-1]
        logs = np.log(x).sum(axis=-1) if any(p.shape != self.shape for p in laws) else 0.0
        total = x.sum(axis=-1)
        out = np.empty((len(ps), len(x)))
        for i, p in enumerate(laws):
            steep = (1.0 - p.scale) / p.scale
            out[i] = total * steep if np.ndim(steep) == 0 else x @ steep
            out[i] += (self.shape - p.shape) * logs
            constant = log_gamma_rise(self.shape, p.shape - self.shape)
            out[i] += columns * (p.shape * np.mean(np.log(p.scale)) + constant)
        return out


def _sweep(shapes: Sequence[float], dimension: int, scale: float, offset: float) -> Coordinates:
    """The pair whose q has shape k e^offset and scale 1, and whose p has shape k and `scale`."""
    (k,) = shapes
    for shape in (k, k * exp_of(offset)):
        parameter_numbers("gamma", "shape", shape, above=0.0)
    return Coordinates([between(Gamma(k * exp_of(offset)), Gamma(k, scale))], [dimension])


GAMMA = independent_family(
    "gamma",
    lambda shape, rate: Gamma(shape, 1.0 / rate, rate),
    {
        "shape": Parameter("shape; the mean is shape / rate", above=0.0),
        "rate": Parameter("rate, the inverse of the scale", default=1.0, above=0.0),
    },
    shapes=("shape",),
    sweep=_sweep,
    aliases=aliases(shape="alpha a k concentration", rate="beta lambda")
    | dict.fromkeys(("scale", "theta"), Synonym("rate", lambda scale: 1.0 / scale)),
    about=About(
        "positive numbers",
        "E r² if 2 shape_p > shape_q and 2 rate_p > rate_q",
        "exponential family; as scipy.stats.gamma",
    ),
)
