"""Bounded laws in the coordinate log((x - low) / (high - x)), and laws of it in x.

In that coordinate a point near either end keeps all digits of its distance from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.exact.ends import LINEAR, Growth, Tail
from mckl.exact.moments import EPS, Bounded
from mckl.families.coordinates.interval import Interval, Place, log_integral
from mckl.families.coordinates.univariate import Terms, Univariate, rounding

_STEP = 2.0**-20
_LEAST = 1e-300


@dataclass(frozen=True)
class Logit(Univariate):
    """The law of log((x - low) / (high - x)) for a law of x."""

    law: Univariate
    low: float
    high: float
    name = "logit"
    symmetric = False

    @property
    def kind(self) -> str:
        return f"logit({self.law.kind}, {self.low!r}, {self.high!r})"

    @property
    def label(self) -> str:
        return self.law.label

    @property
    def domain(self) -> str:  # type: ignore[override]
        return f"({self.low:.17g}, {self.high:.17g})"

    def at(self, location: Any, scale: Any) -> Logit:
        return self

    def place(self, y: Vector) -> Place:
        """The point x with its distances from the ends."""
        width = self.high - self.low
        below, above = width * scipy.special.expit(y), width * scipy.special.expit(-y)
        near_low = self.low + np.maximum(below, _LEAST)  # x = 0 would have no log density
        return Place(np.where(y < 0, near_low, self.high - above), below, above)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        low, high = self.law.tails
        return self._tail(low), self._tail(high)

    def _tail(self, tail: Tail) -> Tail:
        # The distance from an end is about width e^-|y|.
        width = self.high - self.low
        powers = {Growth(g.power, 0.0): c * width**-g.power for g, c in tail.coefficients.items()}
        return Tail({**powers, LINEAR: tail.power - 1.0})

    @property
    def breakpoints(self) -> tuple[float, ...]:
        inner = [x for x in self.law.breakpoints if self.low < x < self.high]
        return tuple(sorted({0.0, *(math.log((x - self.low) / (self.high - x)) for x in inner)}))

    def _jacobian(self, y: Vector) -> Terms:
        logs = scipy.special.log_expit(y), scipy.special.log_expit(-y)
        return math.log(self.high - self.low), *logs

    def terms(self, x: Vector) -> Terms:
        return (*_terms(self.law, self.place(x)), *self._jacobian(x))

    def log_density_error(self, x: Vector) -> Vector:
        place = self.place(x)
        of_x = rounding((*_terms(self.law, place), *self._jacobian(x)))
        return np.asarray(of_x + self.law.terms_error(place.x) + _moved(self.law, None, place))

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, Logit):
            return super().ratio_terms(p, x)
        return _ratio_terms(self.law, p.law, self.place(x))

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        if not isinstance(p, Logit):
            return np.asarray(self.log_density_error(x) + p.log_density_error(x))
        place = self.place(x)
        error = _ratio_error(self.law, p.law, place)
        return np.asarray(error + _moved(self.law, p.law, place))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        place, law = self.place(x), self.law
        if isinstance(law, Interval):
            return law.probability_at(place, upper)
        return law.probability(place.x, upper)

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        law = self.law
        if isinstance(law, Interval):
            place = law.place_of(u, upper)
        else:
            x = law.quantile(u, upper)
            place = Place(x, x - self.low, self.high - x)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(place.below) - np.log(place.above))

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return self.quantile(generator.random(shape) + 2.0**-54)


def _terms(law: Univariate, place: Place) -> Terms:
    return law.terms_at(place) if isinstance(law, Interval) else law.terms(place.x)


def _ratio_terms(law: Univariate, p: Univariate, place: Place) -> Terms:
    if isinstance(law, Interval) and isinstance(p, Interval):
        return law.ratio_terms_at(p, place)
    return law.ratio_terms(p, place.x)


def _ratio_error(law: Univariate, p: Univariate, place: Place) -> Vector:
    if isinstance(law, Interval) and isinstance(p, Interval):
        return law.ratio_error_at(p, place)
    return law.log_ratio_error(p, place.x)


def _by_distance(law: Univariate) -> bool:
    return isinstance(law, Interval) and law.by_distance


def _moved(law: Univariate, p: Univariate | None, place: Place) -> Vector:
    """A bound on what the rounding of a place changes in a log density, or in a log ratio."""
    if p is not None and _by_distance(law) != _by_distance(p):
        return np.asarray(_moved(law, None, place) + _moved(p, None, place))
    near = np.minimum(place.below, place.above)
    inward = np.where(place.below <= place.above, 1.0, -1.0)
    # A law of distances is as right as these are, and any other as right as x.
    size = near if _by_distance(law) else np.abs(place.x)
    step = inward * (_STEP * near + (0.0 if _by_distance(law) else _STEP**1.5 * size))
    there = Place(place.x + step, place.below + step, place.above - step)

    def value(at: Place) -> Vector:
        terms = _terms(law, at) if p is None else _ratio_terms(law, p, at)
        return np.asarray(sum(terms))

    with np.errstate(all="ignore"):
        change = np.abs(value(there) - value(place)) * (4.0 * EPS * size / np.abs(step))
    return np.asarray(np.nan_to_num(change, nan=0.0, posinf=0.0))


@dataclass(frozen=True)
class Plain(Interval):
    """The law of x in (0, 1) itself, for a law of log(x / (1 - x))."""

    law: Univariate
    low: float = 0.0
    high: float = 1.0
    name = "plain"

    @property
    def kind(self) -> str:
        return f"plain({self.law.kind})"

    @property
    def label(self) -> str:
        return self.law.label

    def at(self, location: Any, scale: Any) -> Plain:
        return self

    @staticmethod
    def _logit(place: Place) -> Vector:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(place.below) - np.log(place.above))

    @property
    def tails(self) -> tuple[Tail, Tail]:
        low, high = (tail.coefficients[LINEAR] for tail in self.law.tails)
        return Tail(power=low + 1.0), Tail(power=high + 1.0)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return tuple(float(scipy.special.expit(y)) for y in self.law.breakpoints)

    def terms_at(self, place: Place) -> Terms:
        with np.errstate(divide="ignore"):
            jacobian = -np.log(place.below), -np.log(place.above)
        return (*self.law.terms(self._logit(place)), *jacobian)

    def terms_error(self, x: Vector) -> Vector | float:
        y = self._logit(self.place(x))
        own = self.law.log_density_error(y)
        return np.nan_to_num(np.asarray(own), nan=0.0, posinf=0.0)

    def ratio_terms_at(self, p: Interval, place: Place) -> Terms:
        if not isinstance(p, Plain):
            return super().ratio_terms_at(p, place)
        return self.law.ratio_terms(p.law, self._logit(place))

    def log_mass(self, low: float, high: float) -> Bounded:
        ends = [self._logit(self.place(np.asarray(x))) for x in (low, high)]
        return log_integral(self.law, float(ends[0]), float(ends[1]))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        return self.probability_at(self.place(x), upper)

    def probability_at(self, place: Place, upper: bool = False) -> Vector:
        return self.law.probability(self._logit(place), upper)

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        return np.asarray(scipy.special.expit(self.law.quantile(u, upper)))

    def place_of(self, u: Vector, upper: bool = False) -> Place:
        y = self.law.quantile(u, upper)
        below, above = scipy.special.expit(y), scipy.special.expit(-y)
        return Place(below, below, above)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return np.asarray(scipy.special.expit(self.law.draw(generator, shape)))
