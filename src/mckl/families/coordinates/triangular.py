"""The triangular law: a density that rises to its mode and falls to 0, in straight lines."""

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
from mckl.exact.remainders import log_quotient
from mckl.families.base import About
from mckl.families.coordinates.independent import Parameter, independent_family
from mckl.families.coordinates.interval import FLAT, Interval, Place
from mckl.families.coordinates.univariate import Terms, Univariate, rounding
from mckl.families.parameters import aliases
from mckl.families.wide import affine

_ZERO = Tail(power=3.0)  # of a density that is 0 at an end, in proportion to the distance


@dataclass(frozen=True)
class Triangular(Interval):
    """The triangular law between `low` and `high`; the mode may be one of the ends."""

    low: float
    mode: float
    high: float
    name = "triangular"
    tabled = True
    seconds: ClassVar[Seconds] = Seconds(7e-9, 10e-9, 20e-9, 12e-9)

    @property
    def movable(self) -> bool:
        return True

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        return self.low == -self.high and self.mode == 0.0

    def at(self, location: Any, scale: Any) -> Triangular:
        return Triangular(*(location + scale * x for x in (self.low, self.mode, self.high)))

    def affine(self, shift: float, scale: float) -> Triangular:
        points = (self.low, self.mode, self.high)
        return Triangular(*sorted(float(affine(shift, scale, x)) for x in points))

    @property
    def tensorflow(self) -> Distribution:
        return Distribution("Triangular", {"low": self.low, "high": self.high, "peak": self.mode})

    @property
    def places(self) -> tuple[Any, ...]:
        return self.low, self.mode, self.high

    @property
    def tails(self) -> tuple[Tail, Tail]:
        return FLAT if self.mode == self.low else _ZERO, FLAT if self.mode == self.high else _ZERO

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.mode,) if self.low < self.mode < self.high else ()

    @property
    def _sides(self) -> tuple[float, float]:
        return self.mode - self.low, self.high - self.mode

    def _rises(self, place: Place) -> Vector:
        """Whether a point is below the mode, where the density rises."""
        rise, fall = self._sides
        return np.where(place.below <= place.above, place.below < rise, place.above > fall)

    def terms_at(self, place: Place) -> Terms:
        rise, fall = self._sides
        rises = self._rises(place)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(rises, place.below / (rise or 1.0), place.above / (fall or 1.0))
            return np.log(share), math.log(2.0 / (self.high - self.low))

    def _log_share(self, place: Place) -> Vector:
        """The logarithm of the density over that at the mode, small near the mode."""
        rise, fall = self._sides
        rises, beyond = self._rises(place), place.below - rise
        with np.errstate(divide="ignore", invalid="ignore"):
            less = np.where(rises, beyond / (rise or 1.0), -beyond / (fall or 1.0))
            share = np.where(rises, place.below / (rise or 1.0), place.above / (fall or 1.0))
            return np.where(less > -0.5, np.log1p(less), np.log(share))

    def terms_error(self, x: Vector) -> Vector | float:
        return 4.0 * EPS

    def ratio_terms_at(self, p: Interval, place: Place) -> Terms:
        if not isinstance(p, Triangular):
            return super().ratio_terms_at(p, place)
        (rise, fall), (p_rise, p_fall) = self._sides, p._sides
        ours, theirs = self._rises(place), p._rises(place)
        more = p.mode - self.mode
        zero = np.zeros_like(place.below)
        with np.errstate(divide="ignore", invalid="ignore"):
            both_rise = log_quotient(p_rise, rise, more) if rise and p_rise else 0.0
            both_fall = log_quotient(p_fall, fall, -more) if fall and p_fall else 0.0
        of_q, of_p = self._log_share(place), p._log_share(place)
        differ = ours != theirs
        same = np.where(ours, both_rise, both_fall)
        return np.where(differ, zero, same), np.where(differ, of_q, 0.0), np.where(differ, -of_p, 0)

    def ratio_error_at(self, p: Interval, place: Place) -> Vector:
        if not isinstance(p, Triangular):
            return super().ratio_error_at(p, place)
        return rounding(self.ratio_terms_at(p, place))

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if isinstance(p, Triangular) and p.support == self.support:
            return self.ratio_terms_at(p, self.place(x))
        return super().ratio_terms(p, x)

    def log_mass(self, low: float, high: float) -> Bounded:
        """The sum of two trapezoids, none of which is a difference."""
        rise, fall = self._sides
        total = 0.0
        below, above = (low, min(high, self.mode)), (max(low, self.mode), high)
        for (a, b), side, zero in ((below, rise, self.low), (above, fall, self.high)):
            if a < b:
                total += (b - a) * (abs(a - zero) + abs(b - zero)) / side
        if not total:
            raise OverflowError("a probability below the smallest float64")
        value = math.log(total / (self.high - self.low))
        return Bounded(value, EPS * (10.0 + abs(value)))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        return self.probability_at(self.place(x), upper)

    def probability_at(self, place: Place, upper: bool = False) -> Vector:
        rise, fall = self._sides
        width = self.high - self.low
        below, above = (np.clip(d, 0.0, width) for d in (place.below, place.above))
        rises = self._rises(place)
        # Beyond the mode there is a triangle; before it, the other triangle and a trapezoid, as a
        # difference from 1 has no digits where this triangle is small.
        near, far, own, other = (above, below, fall, rise) if upper else (below, above, rise, fall)
        with np.errstate(divide="ignore", invalid="ignore"):
            tip = near * near / (width * (own or 1.0))
            rest = np.maximum(near - own, 0.0) * (other + far) / (width * (other or 1.0))
        return np.asarray(np.where(rises == upper, own / width + rest, tip))

    def place_of(self, u: Vector, upper: bool = False) -> Place:
        rise, fall = self._sides
        width = self.high - self.low
        u = np.asarray(u, dtype=np.float64)
        below, above = (1.0 - u, u) if upper else (u, 1.0 - u)
        # Above the mode there is the probability fall / width.
        rises = above * width > fall if upper else below * width < rise
        near_low, near_high = np.sqrt(below * (width * rise)), np.sqrt(above * (width * fall))
        # What is left of the width, without a difference.
        low = np.where(rises, near_low, width * (rise + below * fall) / (width + near_high))
        high = np.where(rises, width * (fall + above * rise) / (width + near_low), near_high)
        x = np.where(low < high, self.low + low, self.high - high)
        return Place(x, low, high)

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        return np.asarray(self.place_of(u, upper).x)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return generator.triangular(self.low, self.mode, self.high, shape)


def _made(low: float, mode: float, high: float) -> Triangular:
    if not (low <= mode <= high and low < high):
        raise ValueError(
            f"triangular: low {low:g}, mode {mode:g} and high {high:g}, "
            "expected low <= mode <= high and low < high"
        )
    return Triangular(low, mode, high)


TRIANGULAR = independent_family(
    "triangular",
    _made,
    {
        "low": Parameter("lower end of the support", default=0.0),
        "mode": Parameter("where the density is largest"),
        "high": Parameter("upper end of the support", default=1.0),
    },
    aliases=aliases(low="a lower min left", mode="c peak", high="b upper max right"),
    about=About(
        "numbers from low to high",
        "E r² unless q's density is 0 at an end where p's is not",
        "as scipy.stats.triang",
    ),
)
