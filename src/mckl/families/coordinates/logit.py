"""Laws on an interval in a variable whose ends are infinite, and laws of it on the interval.

The variable is log((x - low) / (high - x)), or log(x - low) where `high` is infinite. In it a point
near an end keeps all digits of its distance from that.
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
from mckl.families.base import OtherFamilyError
from mckl.families.coordinates.interval import Interval, Place, log_integral
from mckl.families.coordinates.univariate import Terms, Univariate, rounding

_STEP = 2.0**-20
_LEAST = 1e-300


@dataclass(frozen=True)
class Logit(Univariate):
    """The law of location + scale log((x - low) / (high - x)) for a law of x."""

    law: Univariate
    low: float
    high: float
    location: Any = 0.0
    scale: Any = 1.0
    name = "logit"
    symmetric = False

    @property
    def kind(self) -> str:
        return f"logit({self.law!r}, {self.low!r}, {self.high!r})"

    def _standard(self, y: Vector) -> Vector:
        return np.asarray((y - self.location) / self.scale)

    @np.errstate(over="ignore")
    def place(self, y: Vector) -> Place:
        """The point x with its distances from the ends."""
        z = self._standard(y)
        if math.isinf(self.high):
            below = np.exp(z)
            return Place(self.low + np.maximum(below, _LEAST), below, np.full(z.shape, np.inf))
        width = self.high - self.low
        below, above = width * scipy.special.expit(z), width * scipy.special.expit(-z)
        near_low = self.low + np.maximum(below, _LEAST)  # x = 0 would have no log density
        return Place(np.where(z < 0, near_low, self.high - above), below, above)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        low, high = self.law.tails
        return self._tail(low, 1.0), self._tail(high, -1.0)

    def _tail(self, tail: Tail, end: float) -> Tail:
        # 1 / (the distance from an end), or x - low if `high` is infinite, is about this e^|z|.
        size = 1.0 if math.isinf(self.high) else 1.0 / (self.high - self.low)
        if any(g.rate for g in tail.coefficients):
            raise OtherFamilyError("mckl has no theory of the logarithm of this law")
        powers = {
            Growth(g.power / self.scale, 0.0): c
            * math.exp(g.power * (math.log(size) + end * self.location / self.scale))
            for g, c in tail.coefficients.items()
        }
        return Tail({**powers, LINEAR: (tail.power - 1.0) / self.scale})

    @property
    def breakpoints(self) -> tuple[float, ...]:
        inner = np.array([x for x in self.law.breakpoints if self.low < x < self.high])
        above = 1.0 if math.isinf(self.high) else self.high - inner
        z = sorted({0.0, *np.log((inner - self.low) / above).tolist()})
        return tuple(float(self.location + self.scale * x) for x in z)

    def _jacobian(self, y: Vector) -> Terms:
        z = self._standard(y)
        if math.isinf(self.high):
            return z, -np.log(self.scale)
        logs = scipy.special.log_expit(z), scipy.special.log_expit(-z)
        return math.log(self.high - self.low), *logs, -np.log(self.scale)

    def _rounded(self, y: Vector) -> Any:
        """How many roundings the standard coordinate differs by from a location, and 1 more."""
        if np.all(np.equal(self.location, 0.0)):
            return 1.0
        return 1.0 + np.abs(self.location / self.scale) + np.abs(self._standard(y))

    def terms(self, x: Vector) -> Terms:
        return (*_terms(self.law, self.place(x)), *self._jacobian(x))

    def log_density_error(self, x: Vector) -> Vector:
        place, times = self.place(x), self._rounded(x)
        of_x = rounding((*_terms(self.law, place), *self._jacobian(x))) + 2.0 * EPS * times
        moved = _moved(self.law, None, place) * times
        return np.asarray(of_x + self.law.terms_error(place.x) + moved)

    def _is_beside(self, p: Univariate) -> bool:
        """Whether the two variables are one function of x."""
        if not isinstance(p, Logit) or (p.low, p.high) != (self.low, self.high):
            return False
        return bool(np.all(np.equal(self.location, p.location) & np.equal(self.scale, p.scale)))

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not (isinstance(p, Logit) and self._is_beside(p)):
            return super().ratio_terms(p, x)
        return _ratio_terms(self.law, p.law, self.place(x))

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        if not (isinstance(p, Logit) and self._is_beside(p)):
            return np.asarray(self.log_density_error(x) + p.log_density_error(x))
        place = self.place(x)
        error = _ratio_error(self.law, p.law, place)
        return np.asarray(error + _moved(self.law, p.law, place) * self._rounded(x))

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
            z = np.log(place.below)
            if math.isfinite(self.high):
                z = z - np.log(place.above)
        return np.asarray(self.location + self.scale * z)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return self.at(0.0, 1.0).quantile(generator.random(shape) + 2.0**-54)


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
    """The law of location + scale x, where a law of log(x / (1 - x)), or of log x, is given.

    top  the largest x: 1, or infinite for log x
    """

    law: Univariate
    top: float = 1.0
    location: Any = 0.0
    scale: Any = 1.0
    name = "plain"

    @property
    def low(self) -> Any:  # type: ignore[override]
        return self.location

    @property
    def places(self) -> tuple[Any, ...]:
        return (self.location,)

    @property
    def high(self) -> Any:  # type: ignore[override]
        return self.location + self.scale * self.top

    @property
    def kind(self) -> str:
        return f"plain({self.law!r}, {self.location!r}, {self.scale!r}, {self.top!r})"

    def _logs(self, place: Place) -> list[Vector]:
        """Logarithms of the distances from the finite ends."""
        with np.errstate(divide="ignore"):
            finite = [place.below] if math.isinf(self.top) else [place.below, place.above]
            return [np.asarray(np.log(distance)) for distance in finite]

    def _variable(self, place: Place) -> Vector:
        """log(x / (1 - x)), or log x."""
        low, *high = self._logs(place)
        return np.asarray(low - (high[0] if high else np.log(self.scale)))

    @property
    def tails(self) -> tuple[Tail, Tail]:
        low, high = self.law.tails
        return self._tail(low, self.scale), self._tail(high, 1.0 / self.scale)

    def _tail(self, tail: Tail, size: float) -> Tail:
        size = self.scale if math.isfinite(self.top) else size
        if any(g.power and g != LINEAR for g in tail.coefficients):  # a power of a logarithm
            raise OtherFamilyError("mckl has no theory of e^x for this law of x")
        powers = {
            Growth(0.0, g.rate): c * size**g.rate for g, c in tail.coefficients.items() if g.rate
        }
        return Tail(powers, tail.coefficients.get(LINEAR, 0.0) + 1.0)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        made = np.exp if math.isinf(self.top) else scipy.special.expit
        return tuple(float(self.location + self.scale * made(y)) for y in self.law.breakpoints)

    def _jacobian(self, place: Place) -> Terms:
        logs = self._logs(place)
        return *(-log for log in logs), *((np.log(self.scale),) if len(logs) == 2 else ())

    def terms_at(self, place: Place) -> Terms:
        return (*self.law.terms(self._variable(place)), *self._jacobian(place))

    def terms_error(self, x: Vector) -> Vector | float:
        place = self.place(x)
        y = self._variable(place)
        own = self.law.log_density_error(y) + self._slope(self.law.log_density, place)
        return np.nan_to_num(np.asarray(own), nan=0.0, posinf=0.0)

    def _slope(self, function: Any, place: Place) -> Vector:
        """What the rounding of the variable changes in a function of it."""
        y = self._variable(place)
        lost = 2.0 * EPS * (1.0 + sum(np.abs(log) for log in self._logs(place)))
        with np.errstate(all="ignore"):
            change = np.abs(function(y + _STEP) - function(y)) * (lost / _STEP)
        return np.asarray(np.nan_to_num(change, nan=0.0, posinf=0.0))

    def _is_beside(self, p: Interval) -> bool:
        if not isinstance(p, Plain):
            return False
        return (p.top, p.location, p.scale) == (self.top, self.location, self.scale)

    def ratio_terms_at(self, p: Interval, place: Place) -> Terms:
        if not (isinstance(p, Plain) and self._is_beside(p)):
            return super().ratio_terms_at(p, place)
        return self.law.ratio_terms(p.law, self._variable(place))

    def ratio_error_at(self, p: Interval, place: Place) -> Vector:
        if not (isinstance(p, Plain) and self._is_beside(p)):
            return super().ratio_error_at(p, place)
        law, other = self.law, p.law
        moved = self._slope(lambda y: law.log_ratio(other, y), place)
        return np.asarray(law.log_ratio_error(other, self._variable(place)) + moved)

    def log_mass(self, low: float, high: float) -> Bounded:
        ends = [self._variable(self.place(np.asarray(x))) for x in (low, high)]
        return log_integral(self.law, float(ends[0]), float(ends[1]))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        return self.probability_at(self.place(x), upper)

    def probability_at(self, place: Place, upper: bool = False) -> Vector:
        return self.law.probability(self._variable(place), upper)

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        return self.place_of(u, upper).x

    def place_of(self, u: Vector, upper: bool = False) -> Place:
        y = self.law.quantile(u, upper)
        if math.isinf(self.top):
            below = self.scale * np.exp(y)
            return Place(self.location + below, below, np.full(y.shape, np.inf))
        below, above = (self.scale * scipy.special.expit(z) for z in (y, -y))
        return Place(self.location + below, below, above)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return self.quantile(generator.random(shape) + 2.0**-54)


@dataclass(frozen=True)
class Shifted(Interval):
    """The law of location + scale x for a law of a positive x that has no location."""

    law: Univariate
    location: Any = 0.0
    scale: Any = 1.0
    name = "shifted"
    high = math.inf

    @property
    def low(self) -> Any:  # type: ignore[override]
        return self.location

    @property
    def places(self) -> tuple[Any, ...]:
        return (self.location,)

    @property
    def kind(self) -> str:
        return f"shifted({self.law!r})"

    @property
    def _scaled(self) -> Univariate:
        return self.law.at(0.0, self.scale * self.law.scale)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        low, high = self._scaled.tails
        if any(g > LINEAR for g in high.coefficients):
            raise OtherFamilyError("mckl has no theory of this law with a location")
        return low, high

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return tuple(self.location + x for x in self._scaled.breakpoints)

    def terms_at(self, place: Place) -> Terms:
        return self._scaled.terms(place.below)

    def terms_error(self, x: Vector) -> Vector | float:
        return self._scaled.log_density_error(self.place(x).below)

    def log_mass(self, low: float, high: float) -> Bounded:
        return log_integral(self._scaled, low - self.location, high - self.location)

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        return self.probability_at(self.place(x), upper)

    def probability_at(self, place: Place, upper: bool = False) -> Vector:
        return self._scaled.probability(np.maximum(place.below, 0.0), upper)

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        return self.place_of(u, upper).x

    def place_of(self, u: Vector, upper: bool = False) -> Place:
        below = self._scaled.quantile(u, upper)
        return Place(self.location + below, below, np.full(np.shape(below), np.inf))

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return self.quantile(generator.random(shape) + 2.0**-54)
