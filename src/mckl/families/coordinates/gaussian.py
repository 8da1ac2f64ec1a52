"""The normal law in one dimension, for pairs in which the other side is of another family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact.ends import LINEAR, SQUARE, Tail
from mckl.families.coordinates.independent import Parameter, independent_family
from mckl.families.coordinates.univariate import Terms, Univariate, smaller
from mckl.families.parameters import aliases, spread_aliases

_LOG_ROOT = 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True)
class Gaussian(Univariate):
    """The normal law with mean `location` and standard deviation `scale`."""

    location: Any = 0.0
    scale: Any = 1.0
    name = "normal"
    analytic = True
    smooth = True
    seconds: ClassVar[Seconds] = Seconds(20e-9, 12e-9, 26e-9, 15e-9)

    @property
    def tensorflow(self) -> Distribution:
        return Distribution("Normal", {"loc": self.location, "scale": self.scale})

    @property
    def tails(self) -> tuple[Tail, Tail]:
        steep, slope = 0.5 / self.scale**2, self.location / self.scale**2
        return Tail({SQUARE: steep, LINEAR: slope}), Tail({SQUARE: steep, LINEAR: -slope})

    def terms(self, x: Vector) -> Terms:
        y = (x - self.location) / self.scale
        return -0.5 * y * y, -np.log(self.scale), -_LOG_ROOT

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, Gaussian):
            other = p.over_normal(x)
            if other is None:
                return super().ratio_terms(p, x)
            normal = self.ratio_terms(Gaussian(p.location, p.scale), x)
            return smaller((*normal, *(-term for term in other)), super().ratio_terms(p, x))
        x, location, scale, excess, log_scale = self._relative(p, x)
        square = scale * scale
        return (
            -0.5 * x * x * (excess * (2.0 + excess) / square),
            -x * (location / square),
            0.5 * location * location / square,
            log_scale,
        )

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        y = (x - self.location) / self.scale
        return np.asarray(scipy.special.ndtr(-y if upper else y))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        y = scipy.special.ndtri(u)
        return np.asarray(self.location + self.scale * (-y if upper else y))

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return generator.standard_normal(shape)

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        if any(p.kind != self.kind for p in ps):
            return super().sums(x, ps)
        own, columns = np.einsum("ij,ij->i", x, x), x.shape[-1]
        out = np.empty((len(ps), len(x)))
        for i, p in enumerate(ps):
            y = x * (1.0 / p.scale)
            y -= p.location / p.scale
            out[i] = 0.5 * (np.einsum("ij,ij->i", y, y) - own)
            out[i] += columns * np.mean(np.log(p.scale))
        return out


GAUSSIAN = independent_family(
    "normal",
    Gaussian,
    {
        "mean": Parameter("mean", default=0.0),
        "sd": Parameter("standard deviation", default=1.0, above=0.0),
    },
    aliases=aliases(mean="mu loc location", sd="sigma scale") | spread_aliases("sd"),
)
