"""The logistic law: tails like e^-|x|, smooth everywhere."""

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
from mckl.families.base import About
from mckl.families.coordinates.independent import LOCATION, SCALE, independent_family
from mckl.families.coordinates.univariate import Terms, Univariate, log_of_products
from mckl.families.parameters import aliases, spread_aliases

_LEAST = 2.0**-54  # of a probability, where a uniform number is 0


@dataclass(frozen=True)
class Logistic(Univariate):
    """The logistic law; its standard deviation is pi scale / sqrt(3)."""

    location: Any = 0.0
    scale: Any = 1.0
    name = "logistic"
    analytic = True
    smooth = True
    seconds: ClassVar[Seconds] = Seconds(22e-9, 14e-9, 36e-9, 65e-9)

    @property
    def tensorflow(self) -> Distribution:
        return Distribution("Logistic", {"loc": self.location, "scale": self.scale})

    @property
    def tails(self) -> tuple[Tail, Tail]:
        tail = Tail({LINEAR: 1.0 / self.scale})
        return tail, tail

    def terms(self, x: Vector) -> Terms:
        y = np.abs(x - self.location) / self.scale
        return 2.0 * scipy.special.log_expit(y), -y, -np.log(self.scale)

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, Logistic):
            return super().ratio_terms(p, x)
        y = (x - p.location) / p.scale
        x, location, scale, excess, log_scale = self._relative(p, x)
        side = np.where(x < 0, -1.0, 1.0)
        stretch, shift = -x * side * (excess / scale), -side * (location / scale)
        x, y, step = x * side, y * side, stretch + shift  # step is y - x
        # By symmetry x may be replaced by |x|. Then log q - log p is
        # step + 2 log((1 + e^-y) / (1 + e^-x)) + log scale, and the logarithm of this quotient is
        # log(1 + e^-x (e^-step - 1) / (1 + e^-x)).
        far = -step > 30.0  # e^-step overflows or loses digits, though e^-x makes up for it
        bend = np.log1p(scipy.special.expit(-x) * np.expm1(np.where(far, 0.0, -step)))
        direct = np.where(far, np.logaddexp(0.0, -y) - np.logaddexp(0.0, -x), 0.0)
        return stretch, shift, 2.0 * bend, 2.0 * direct, log_scale

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        y = (x - self.location) / self.scale
        return np.asarray(scipy.special.expit(-y if upper else y))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        y = scipy.special.logit(u)
        return np.asarray(self.location + self.scale * (-y if upper else y))

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        # One logarithm of a whole array is several times as fast as NumPy's logistic variates.
        u = generator.random(shape)
        np.maximum(u, _LEAST, out=u)
        np.divide(u, 1.0 - u, out=u)
        return np.log(u, out=u)

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        if any(p.kind != self.kind for p in ps):
            return super().sums(x, ps)
        # log f(x) = -|x| - 2 log(1 + e^-|x|), and one logarithm of a product replaces many.
        columns = x.shape[-1]
        own = _log_of_density(np.abs(x))
        out = np.empty((len(ps), len(x)))
        for i, p in enumerate(ps):
            y = x * (1.0 / p.scale)
            y -= p.location / p.scale
            np.abs(y, out=y)
            out[i] = own - _log_of_density(y)
            out[i] += columns * np.mean(np.log(p.scale))
        return out


def _log_of_density(size: Vector) -> Vector:
    """Sum of -size - 2 log(1 + e^-size) over the last axis; overwrites size."""
    np.negative(size, out=size)
    total = size @ np.ones(size.shape[-1])
    np.exp(size, out=size)
    size += 1.0
    return np.asarray(total - 2.0 * log_of_products(size, 2.0))


LOGISTIC = independent_family(
    "logistic",
    Logistic,
    {"location": LOCATION, "scale": SCALE},
    aliases=aliases(location="loc mu mean", scale="s")
    | spread_aliases("scale", math.pi / math.sqrt(3.0)),
    about=About(
        "real numbers", "E r² if p's scale is less than twice q's", "as scipy.stats.logistic"
    ),
)
