"""The Laplace law: tails like e^-|x|, and a kink at its centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact.ends import LINEAR, Tail
from mckl.families.base import About
from mckl.families.coordinates.independent import LOCATION, SCALE, independent_family
from mckl.families.coordinates.univariate import Terms, Univariate
from mckl.families.parameters import aliases, spread_aliases

_LEAST = 2.0**-53  # the probability that replaces a uniform number of 0


@dataclass(frozen=True)
class Laplace(Univariate):
    """The Laplace law; its standard deviation is sqrt(2) scale."""

    location: Any = 0.0
    scale: Any = 1.0
    name = "laplace"
    smooth = True
    seconds: ClassVar[Seconds] = Seconds(7e-9, 4e-9, 15e-9, 19e-9)

    @property
    def tensorflow(self) -> Distribution:
        return Distribution("Laplace", {"loc": self.location, "scale": self.scale})

    @property
    def tails(self) -> tuple[Tail, Tail]:
        tail = Tail({LINEAR: 1.0 / self.scale})
        return tail, tail

    def terms(self, x: Vector) -> Terms:
        return -np.abs(x - self.location) / self.scale, -np.log(2.0 * self.scale)

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, Laplace):
            return super().ratio_terms(p, x)
        y = (x - p.location) / p.scale
        x, location, scale, excess, log_scale = self._relative(p, x)
        # |y| - |x|, without the part that cancels on each side of 0
        side = np.where(x < 0, -1.0, 1.0)
        crossed = np.where(side * y < 0, 2.0 * np.abs(y), 0.0)
        return -np.abs(x) * (excess / scale), -side * (location / scale), crossed, log_scale

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        y = (x - self.location) / self.scale * (-1.0 if upper else 1.0)
        tail = 0.5 * np.exp(-np.abs(y))
        return np.asarray(np.where(y < 0, tail, 1.0 - tail))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        low = np.minimum(u, 1.0 - u)
        y = np.where(u <= 0.5, 1.0, -1.0) * np.log(2.0 * low)
        return np.asarray(self.location + self.scale * (-y if upper else y))

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        # One logarithm of a whole array is several times as fast as NumPy's Laplace variates.
        x = generator.random(shape)
        x *= 2.0
        x -= 1.0
        size = np.abs(x)
        np.subtract(1.0, size, out=size)
        np.log(np.maximum(size, _LEAST, out=size), out=size)
        return np.copysign(size, x, out=size)

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        if any(p.kind != self.kind for p in ps):
            return super().sums(x, ps)
        columns = x.shape[-1]
        ones = np.ones(columns)
        own = np.abs(x) @ ones
        out = np.empty((len(ps), len(x)))
        for i, p in enumerate(ps):
            y = x - p.location
            np.abs(y, out=y)
            out[i] = y @ (ones / p.scale)
            out[i] += columns * np.mean(np.log(p.scale)) - own
        return out


LAPLACE = independent_family(
    "laplace",
    Laplace,
    {"location": LOCATION, "scale": SCALE},
    aliases=aliases(location="loc mu mean", scale="b") | spread_aliases("scale", math.sqrt(2.0)),
    about=About(
        "real numbers", "E r² if p's scale is less than twice q's", "as scipy.stats.laplace"
    ),
)
