"""Student's t, whose tails fall like |x|^-(df + 1)."""

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
from mckl.exact.ends import Tail
from mckl.exact.gamma_function import half_rise
from mckl.exact.remainders import x_minus_log1p
from mckl.families.base import About
from mckl.families.coordinates.gaussian import Gaussian
from mckl.families.coordinates.independent import LOCATION, SCALE, Parameter, independent_family
from mckl.families.coordinates.univariate import Terms, Univariate, chosen, log_of_products, smaller
from mckl.families.parameters import aliases

_TINY = 1e-100  # below this probability SciPy 1.17's stdtrit is off by up to 60 %, or infinite

_LEAST_DF = 0.2  # with fewer, this holds for probabilities of 2^-54 too


@dataclass(frozen=True)
class StudentT(Univariate):
    """Student's t with `df` degrees of freedom."""

    df: float
    location: Any = 0.0
    scale: Any = 1.0
    name = "student-t"
    seconds: ClassVar[Seconds] = Seconds(22e-9, 6e-9, 350e-9, 19e-9)

    @property
    def tensorflow(self) -> Distribution:
        where = {"df": self.df, "loc": self.location, "scale": self.scale}
        return Distribution("StudentT", where)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        tail = Tail(power=self.df + 1.0)
        return tail, tail

    def terms(self, x: Vector) -> Terms:
        y = (x - self.location) / self.scale
        constant = -0.5 * math.log(2.0 * math.pi), half_rise(0.5 * self.df)
        return -0.5 * (self.df + 1.0) * np.log1p(y * y / self.df), *constant, -np.log(self.scale)

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if isinstance(p, Gaussian):
            near = Gaussian(self.location, self.scale).ratio_terms(p, x)
            return smaller((*self.over_normal(x), *near), super().ratio_terms(p, x))
        if not isinstance(p, StudentT):
            return super().ratio_terms(p, x)
        normal = Gaussian(self.location, self.scale)
        *lines, log_scale = normal.ratio_terms(Gaussian(p.location, p.scale), x)
        more, half = p.df - self.df, 0.5 * (self.df + 1.0)
        v = np.square((x - p.location) / p.scale) / p.df
        part = more / self.df * (v / (1.0 + v))
        # If x and y are a point in units of this law and of p, `lines` add up to (y^2 - x^2) / 2,
        # and 1 + x^2 / df is 1 + v, which is p's, times 1 + bend.
        drops = [-line * (2.0 / self.df / (1.0 + v)) for line in lines]
        bend = sum(drops) + part
        near = (np.abs(bend) < 0.5) & (abs(more) < 0.5 * self.df)
        terms = (
            *(-half * drop for drop in drops),
            half * x_minus_log1p(np.where(near, bend, 0.0)),
            0.5 * more * _bent(v) - 0.5 * part if more else 0.0,
            half_rise(0.5 * self.df, 0.5 * p.df),
            log_scale,
        )
        return terms if near.all() else chosen(near, terms, super().ratio_terms(p, x))

    def log_ratio(self, p: Univariate, x: Vector) -> Vector:
        if p.kind != self.kind:
            return super().log_ratio(p, x)
        # The sum of `ratio_terms`, with one logarithm where p is near.
        z, location, scale, excess, log_scale = self._relative(p, x)
        step = (-z * excess - location) / scale  # (x - p.location) / p.scale - at
        bend = step * (2.0 * z + step) / (self.df + z * z)
        near = np.abs(bend) < 0.5
        out = 0.5 * (self.df + 1.0) * np.log1p(np.where(near, bend, 0.0)) + log_scale
        return np.asarray(out if near.all() else np.where(near, out, super().log_ratio(p, x)))

    def over_normal(self, x: Vector) -> Terms:
        """Terms of the log density less that of the normal law with this location and scale."""
        w = np.square((x - self.location) / self.scale) / self.df
        return 0.5 * self.df * x_minus_log1p(w), -0.5 * np.log1p(w), half_rise(0.5 * self.df)

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        y = (x - self.location) / self.scale
        return np.asarray(scipy.special.stdtr(self.df, -y if upper else y))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        y = np.asarray(scipy.special.stdtrit(self.df, u))
        tiny = np.asarray(u) < _TINY
        if tiny.any():
            beta = scipy.special.betaincinv(0.5 * self.df, 0.5, 2.0 * np.asarray(u)[tiny])
            ratio = np.divide(1.0 - beta, beta, out=(y[tiny] / self.df) * y[tiny], where=beta > 0)
            y[tiny] = -np.sqrt(self.df * ratio)
        return np.asarray(self.location + self.scale * (-y if upper else y))

    @property
    def tabled(self) -> bool:  # type: ignore[override]
        return self.df >= _LEAST_DF

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return generator.standard_t(self.df, shape)

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        if any(p.kind != self.kind for p in ps):
            return super().sums(x, ps)
        half, columns = 0.5 * (self.df + 1.0), x.shape[-1]
        under_q = self.df + x * x
        out = np.empty((len(ps), len(x)))
        for i, p in enumerate(ps):
            y = x * (1.0 / p.scale)
            y -= p.location / p.scale
            y *= y
            y += self.df
            y /= under_q  # exactly 1 where q = p, unlike a product with the inverse
            # (df + y^2) / (df + x^2) lies between 1 / bound and bound
            bound = 4.0 * np.max((1.0 + p.location**2 / self.df) * (1.0 + p.scale**2 + p.scale**-2))
            out[i] = half * log_of_products(y, float(bound))
            out[i] += columns * np.mean(np.log(p.scale))
        return out


def _bent(v: Vector) -> Vector:
    """The function log(1 + v) - v / (1 + v) of v >= 0."""
    near = v < 1.0
    part = v / (1.0 + v)
    return np.where(near, x_minus_log1p(np.where(near, -part, 0.0)), np.log1p(v) - part)


STUDENT_T = independent_family(
    "student-t",
    StudentT,
    {"df": Parameter("degrees of freedom", above=0.0), "location": LOCATION, "scale": SCALE},
    shapes=("df",),
    aliases=aliases(df="nu", location="loc mu", scale="sigma"),
    about=About(
        "real numbers",
        "E r^k if k (df_p + 1) − (k − 1)(df_q + 1) > 1, so E r² if 2 df_p > df_q",
        "as scipy.stats.t",
    ),
)
