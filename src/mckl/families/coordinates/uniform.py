"""The uniform law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact.ends import Tail
from mckl.exact.moments import EPS, Bounded
from mckl.families.base import About
from mckl.families.coordinates.independent import Parameter, independent_family
from mckl.families.coordinates.interval import FLAT, Interval, Place
from mckl.families.coordinates.univariate import Terms, Univariate
from mckl.families.parameters import aliases
from mckl.families.wide import affine


@dataclass(frozen=True)
class Uniform(Interval):
    """The uniform law between `low` and `high`."""

    low: float
    high: float
    name = "uniform"
    alike = True
    seconds: ClassVar[Seconds] = Seconds(3e-9, 4e-9, 8e-9, 3e-9)

    @property
    def movable(self) -> bool:
        return True

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        return self.low == -self.high

    def at(self, location: Any, scale: Any) -> Uniform:
        return Uniform(location + scale * self.low, location + scale * self.high)

    def affine(self, shift: float, scale: float) -> Uniform:
        return Uniform(*sorted(float(affine(shift, scale, x)) for x in self.support))

    def within(self, low: float, high: float) -> Uniform:
        return Uniform(low, high)

    @property
    def tensorflow(self) -> Distribution:
        return Distribution("Uniform", {"low": self.low, "high": self.high})

    @property
    def tails(self) -> tuple[Tail, Tail]:
        return FLAT, FLAT

    def terms_at(self, place: Place) -> Terms:
        return (np.full(np.shape(place.x), -math.log(self.high - self.low)),)

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, Uniform):
            return super().ratio_terms(p, x)
        more = (p.high - self.high) + (self.low - p.low)  # of width, without its rounding
        width = self.high - self.low
        return (np.full(np.shape(x), math.log1p(more / width)),)

    def ratio_terms_at(self, p: Interval, place: Place) -> Terms:
        both_uniform = isinstance(p, Uniform)
        return self.ratio_terms(p, place.x) if both_uniform else super().ratio_terms_at(p, place)

    def log_mass(self, low: float, high: float) -> Bounded:
        share = (high - low) / (self.high - self.low)
        rest = ((low - self.low) + (self.high - high)) / (self.high - self.low)
        value = math.log(share) if share < 0.5 else math.log1p(-rest)
        error = 4.0 * EPS * (1.0 if share < 0.5 else rest / share)
        return Bounded(value, error + EPS * abs(value))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        return self.probability_at(self.place(x), upper)

    def probability_at(self, place: Place, upper: bool = False) -> Vector:
        share = (place.above if upper else place.below) / (self.high - self.low)
        return np.asarray(np.clip(share, 0.0, 1.0))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        step = (self.high - self.low) * np.asarray(u)
        return np.asarray(self.high - step if upper else self.low + step)

    def place_of(self, u: Vector, upper: bool = False) -> Place:
        u, width = np.asarray(u), self.high - self.low
        near, far = width * u, width * (1.0 - u)
        return Place(self.quantile(u, upper), *((far, near) if upper else (near, far)))

    def mirror(self, x: Vector) -> Vector:
        return np.asarray((self.low + self.high) - x)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        x = generator.random(shape)
        x *= self.high - self.low
        x += self.low
        largest = (1.0 - 2.0**-53) * (self.high - self.low) + self.low
        return x if largest <= self.high else np.minimum(x, self.high, out=x)


def _made(low: float, high: float) -> Uniform:
    if not low < high:
        raise ValueError(f"uniform: low {low:g} and high {high:g}, expected low < high")
    return Uniform(low, high)


UNIFORM = independent_family(
    "uniform",
    _made,
    {
        "low": Parameter("lower end of the support", default=0.0),
        "high": Parameter("upper end of the support", default=1.0),
    },
    aliases=aliases(low="a lower min minval left", high="b upper max maxval right"),
    about=About(
        "numbers from low to high", "all; q's interval must lie in p's", "as scipy.stats.uniform"
    ),
)
