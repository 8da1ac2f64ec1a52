"""Student's t, whose tails fall like |x|^-(df + 1)."""

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
from mckl.families.gamma_function import log_gamma_rise
from mckl.families.independent import LOCATION, SCALE, Parameter, independent_family
from mckl.families.univariate import Univariate, log_of_products
from mckl.text import with_shapes

_TINY = 1e-100  # below this probability SciPy 1.17's stdtrit is off by up to 60 %, or infinite


@dataclass(frozen=True)
class StudentT(Univariate):
    """Student's t with `df` degrees of freedom."""

    df: float
    location: Any = 0.0
    scale: Any = 1.0
    seconds = Seconds(33e-9, 6e-9, 350e-9, 24e-9)

    @property
    def kind(self) -> str:
        return with_shapes("student-t", (self.df,))

    def at(self, location: Any, scale: Any) -> StudentT:
        return StudentT(self.df, location, scale)

    @property
    def tensorflow(self) -> Distribution:
        where = {"df": self.df, "loc": self.location, "scale": self.scale}
        return Distribution("StudentT", where)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        tail = Tail(power=self.df + 1.0)
        return tail, tail

    def terms(self, x: Vector) -> tuple[Vector, ...]:
        y = (x - self.location) / self.scale
        return (
            -0.5 * (self.df + 1.0) * np.log1p(y * y / self.df),
            log_gamma_rise(0.5 * self.df, 0.5) - 0.5 * math.log(0.5 * self.df),
            -0.5 * math.log(2.0 * math.pi),
            -np.log(self.scale),
        )

    def ratio_terms(self, p: Univariate, x: Vector) -> tuple[Vector, ...]:
        if not isinstance(p, StudentT):
            return super().ratio_terms(p, x)
        x, location, scale, excess, log_scale = self._relative(p, x)
        more = p.df - self.df
        step = (-x * excess - location) / scale  # y - x, with y = (x - location) / scale
        y, square = x + step, x * x
        # (1 + y^2 / df_p) / (1 + x^2 / df_q) - 1
        bend = (step * (2.0 * x + step) - square * (more / self.df)) * (self.df / p.df)
        bend /= self.df + square
        near, own = np.abs(bend) < 0.5, np.log1p(y * y / p.df)
        apart = np.where(
            near, np.log1p(np.where(near, bend, 0.0)), own - np.log1p(square / self.df)
        )
        out = 0.5 * (self.df + 1.0) * apart, log_scale
        if not more:
            return out
        half = 0.5 * more
        constant = log_gamma_rise(0.5 * self.df, half) + 0.5 * math.log1p(more / self.df)
        return (*out, half * own, constant - log_gamma_rise(0.5 * self.df + 0.5, half))

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


STUDENT_T = independent_family(
    "student-t",
    StudentT,
    {
        "df": Parameter("degrees of freedom", above=0.0),
        "location": LOCATION,
        "scale": SCALE,
    },
    shapes=("df",),
)
