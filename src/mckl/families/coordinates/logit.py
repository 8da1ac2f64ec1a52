"""Laws on an interval in a variable whose ends are infinite, and laws of it on the interval.

The variable is log((x - low) / (high - x)), or log(x - low) where `high` is infinite. In it a point
near an end keeps all digits of its distance from that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact.ends import LINEAR, Growth, Tail
from mckl.exact.moments import EPS, Bounded
from mckl.families.base import OtherFamilyError
from mckl.families.coordinates.conditional import Truncated
from mckl.families.coordinates.interval import FLAT, Interval, Place, log_integral
from mckl.families.coordinates.univariate import Terms, Univariate, rounding

_STEP = 2.0**-20
_LEAST = 1e-300
_FAR = (600.0, 340.0)  # how far out x, and its square, are within float64
_DROPS = 50.0  # how far a density has to be followed, in units of its logarithm
_LITTLE, _ROUGHLY = 1e-12, 1e-3


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

    def place(self, y: Vector) -> Place:
        """The point x with its distances from the ends."""
        return self._place(self._standard(y))

    @np.errstate(over="ignore")
    def _place(self, z: Vector) -> Place:
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

    def _jacobian(self, z: Vector) -> Terms:
        if math.isinf(self.high):
            return z, -np.log(self.scale)
        logs = scipy.special.log_expit(z), scipy.special.log_expit(-z)
        return math.log(self.high - self.low), *logs, -np.log(self.scale)

    def _rounded(self, y: Vector) -> Any:
        """How many roundings the standard coordinate differs by from a location, and 1 more."""
        if np.all(np.equal(self.location, 0.0)):
            return 1.0
        return 1.0 + np.abs(self.location / self.scale) + np.abs(self._standard(y))

    def _within(self, y: Vector) -> _Within:
        z = self._standard(y)
        far, level, change, error = np.zeros(z.shape, bool), *np.zeros((3, *z.shape))
        for sign, end in zip((-1.0, 1.0), _ends(self.law, self.low, self.high), strict=True):
            if end is not None and (beyond := sign * z > end.last).any():
                level[beyond] = end.level.value
                change[beyond], error[beyond] = end.change(sign * z[beyond] - end.last)
                error[beyond] += end.level.error
                z = np.where(beyond, sign * end.last, z)
                far |= beyond
        return _Within(z, far, level, change, error)

    def terms(self, x: Vector) -> Terms:
        z, _, _, change, _ = self._within(x)
        return (*_terms(self.law, self._place(z)), *self._jacobian(z), change)

    def log_density_error(self, x: Vector) -> Vector:
        z, _, _, change, error = self._within(x)
        place, times = self._place(z), self._rounded(x)
        of_x = rounding((*_terms(self.law, place), *self._jacobian(z), change))
        of_x = of_x + 2.0 * EPS * times + error
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
        ours, theirs = self._within(x), p._within(x)
        far = ours.far | theirs.far
        terms = _ratio_terms(self.law, p.law, self._place(np.where(far, 0.0, ours.z)))
        if not far.any():
            return terms
        # So far out the densities are not nearly equal, or need no digits.
        if (ours.far == theirs.far).all():
            apart = (ours.level + ours.change) - (theirs.level + theirs.change)
        else:
            apart = np.where(far, self.log_density(x) - p.log_density(x), 0.0)
        return *(np.where(far, 0.0, term) for term in terms), apart

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        if not (isinstance(p, Logit) and self._is_beside(p)):
            return np.asarray(self.log_density_error(x) + p.log_density_error(x))
        ours, theirs = self._within(x), p._within(x)
        far, times = ours.far | theirs.far, self._rounded(x)
        place = self._place(np.where(far, 0.0, ours.z))
        error = _ratio_error(self.law, p.law, place) + _moved(self.law, p.law, place) * times
        if not far.any():
            return np.asarray(error)
        if (ours.far == theirs.far).all():
            both = [rounding(w[2:4]) + w.error + 2.0 * EPS * times for w in (ours, theirs)]
            return np.asarray(np.where(far, both[0] + both[1], error))
        whole = self.log_density_error(x) + p.log_density_error(x)
        return np.asarray(np.where(far, whole, error))

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


class _Within(NamedTuple):
    """Points of the standard coordinate, moved to where x is within float64.

    z       the points
    far     which of them have been moved
    level   the log density in the standard coordinate at those that have been moved; 0 at others
    change  by how much the log density is larger at the points themselves
    error   a bound on the error of the sum of both
    """

    z: Vector
    far: NDArray[np.bool_]
    level: Vector
    change: Vector
    error: Vector


class _End(NamedTuple):
    """What the log density in the standard coordinate does beyond a point.

    last   this point, without its sign
    level  the log density there
    slope  by how much the log density falls per unit, unless a `law` tells it
    error  a bound on the error of the slope
    law    the law of a coordinate that differs from the standard one by a constant there
    at     the point in that coordinate, where this grows with a unit of `unit`
    """

    last: float
    level: Bounded
    slope: float = 0.0
    error: float = 0.0
    law: Univariate | None = None
    at: float = 0.0
    unit: float = 1.0

    def change(self, beyond: Vector) -> tuple[Vector, Vector]:
        """The change of the log density at distances beyond the point, and a bound on its error."""
        if self.law is None:
            return -self.slope * beyond, self.error * beyond
        there, here = self.at + self.unit * beyond, np.array([self.at])
        value = self.law.log_density(there)
        error = self.law.log_density_error(there) + self.law.log_density_error(here)
        with np.errstate(all="ignore"):
            step = np.maximum(np.abs(there), 1.0) * _STEP
            moved = np.abs(self.law.log_density(there + step) - value) * (4.0 * EPS / _STEP)
        error = error + np.nan_to_num(moved, nan=0.0, posinf=0.0)
        return value - self.law.log_density(here), error


@lru_cache(maxsize=256)
@np.errstate(all="ignore")
def _ends(law: Univariate, low: float, high: float) -> tuple[_End | None, _End | None]:
    """Both ends of the standard coordinate; None where x follows the density to the end of it."""
    return _end(Logit(law, low, high), 0), _end(Logit(law, low, high), 1)


def _end(logit: Logit, side: int) -> _End | None:
    law, sign = logit.law, 2.0 * side - 1.0
    same = law.support[side] == (logit.low, logit.high)[side]
    tail = law.tails[side] if same else FLAT
    straight = _straight_end(logit, sign, tail.power - 1.0) if tail.is_power else None
    if straight:
        seen = straight.level.value > -2.0 * _DROPS or straight.error > _ROUGHLY * straight.slope
        if not seen or straight.error * _DROPS <= _LITTLE * straight.slope:
            return straight
    base = law.base if isinstance(law, Truncated) else law
    if same and isinstance(base, Plain) and base.support[side] == law.support[side]:
        (level, *_), place = _levels(logit, sign * np.array(_FAR))
        place = law._base_place(place) if isinstance(law, Truncated) else place
        at = base._variable(place)[0]
        if math.isfinite(at):
            return _End(_FAR[0], level, law=base.law, at=float(at), unit=sign)
    return straight


def _straight_end(logit: Logit, sign: float, slope: float) -> _End | None:
    """The end beyond which the log density is a straight line; None if it is not in float64."""
    for last in _FAR:
        (level, before), _ = _levels(logit, sign * np.array([last, 0.5 * last]))
        if math.isfinite(level.value) and math.isfinite(before.value):
            # What the density has beside the power fades away: no slope farther out differs more.
            bend = abs(level.value - before.value + slope * 0.5 * last)
            error = (bend + level.error + before.error) / (0.5 * last)
            return _End(last, level, slope, error)
    return None


def _levels(logit: Logit, z: Vector) -> tuple[list[Bounded], Place]:
    """The log density at points of the standard coordinate, and the places of these."""
    law, place = logit.law, logit._place(z)
    terms = *_terms(law, place), *logit._jacobian(z)
    error = rounding(terms) + law.terms_error(place.x) + _moved(law, None, place) + 2.0 * EPS
    values = np.asarray(sum(terms))
    return [Bounded(float(x), float(e)) for x, e in zip(values, error, strict=True)], place


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
