"""Laws whose support has a finite end, and the probability of an interval under any law.

The distances of a point from the two ends are kept beside the point itself: where a density is 0 at
an end, it depends on the distance alone, which the point may not have any digit of.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.draw.form import Seconds
from mckl.exact.double_exponential import REACH, Halvings, left, nodes
from mckl.exact.ends import Tail
from mckl.exact.moments import EPS, Bounded
from mckl.families.coordinates.univariate import Terms, Univariate, rounding

FLAT = Tail(power=2.0)  # of a density that is neither 0 nor infinite at a finite end

_COARSEST, _FINEST = 16, 256  # nodes per unit of the rule's own variable
_SETTLED = 1e-14
_DROPS = 45.0  # how far a power tail is followed, in units of its integrand's logarithm


class Place(NamedTuple):
    """A point of an interval: x, and how far it is above the lower end and below the upper one."""

    x: Vector
    below: Vector
    above: Vector


class Interval(Univariate):
    """A law on an interval with a finite end; its numbers are absolute, so it has no location.

    A family writes `low` and `high` as fields, `terms_at` in place of `terms`, `tails`,
    `probability`, `quantile`, `draw`, `at` and `log_mass`. It may write `ratio_terms_at`, and
    `probability_at` and `place_of`, which are `probability` and `quantile` of a `Place`.
    """

    low: float
    high: float
    symmetric = False
    by_distance: bool = True  # whether the density depends on the distances from the ends alone
    seconds: ClassVar[Seconds] = Seconds(12e-9, 15e-9, 25e-9, 12e-9)

    @property
    def label(self) -> str:
        return self.name

    @property
    def support(self) -> tuple[float, float]:  # type: ignore[override]
        return self.low, self.high

    @property
    def centre(self) -> float:
        if math.isinf(self.high):
            return self.low
        return self.high if math.isinf(self.low) else 0.5 * self.low + 0.5 * self.high

    @property
    def places(self) -> tuple[Any, ...]:
        return self.low, self.high

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return ()

    def place(self, x: Vector) -> Place:
        """A point with its distances from the ends."""
        with np.errstate(invalid="ignore"):  # an infinite point
            below, above = x - self.low, self.high - x
        unbounded = np.full(np.shape(x), math.inf)
        return Place(
            x,
            unbounded if np.isneginf(self.low).all() else below,
            unbounded if np.isposinf(self.high).all() else above,
        )

    @abstractmethod
    def terms_at(self, place: Place) -> Terms:
        """`terms` at a place."""

    def terms(self, x: Vector) -> Terms:
        return self.terms_at(self.place(x))

    def ratio_terms_at(self, p: Interval, place: Place) -> Terms:
        """`ratio_terms` at a place, for a p with the same ends."""
        return (*self.terms_at(place), *(-term for term in p.terms_at(place)))

    def ratio_error_at(self, p: Interval, place: Place) -> Vector:
        """A bound on the error of `ratio_terms_at`, for a place without error."""
        errors = self.terms_error(place.x) + p.terms_error(place.x)
        return np.asarray(rounding(self.ratio_terms_at(p, place)) + errors)

    def probability_at(self, place: Place, upper: bool = False) -> Vector:
        """`probability` at a place."""
        return self.probability(place.x, upper)

    def place_of(self, u: Vector, upper: bool = False) -> Place:
        """`quantile` as a place."""
        return self.place(self.quantile(u, upper))

    @abstractmethod
    def log_mass(self, low: float, high: float) -> Bounded:
        """The logarithm of the probability between two points of the support."""


def log_mass(law: Univariate, low: float, high: float) -> Bounded:
    """The logarithm of the probability between two points, with a bound on its error."""
    if low >= high:
        return Bounded(-math.inf, 0.0)
    if isinstance(law, Interval):
        return law.log_mass(low, high)
    return log_integral(law, low, high)


@lru_cache(maxsize=1024)
@np.errstate(all="ignore")
def log_integral(law: Univariate, low: float, high: float) -> Bounded:
    """The integral of the density, by the double exponential rule between its breakpoints."""
    per_unit = _COARSEST
    while True:
        value = _integrated(law, low, high, per_unit)
        if value.error <= _SETTLED or per_unit >= _FINEST:
            return value
        per_unit *= 2


def _integrated(law: Univariate, low: float, high: float, per_unit: int) -> Bounded:
    edges = [low, *(x for x in law.breakpoints if low < x < high), high]
    parts: list[tuple[Any, ...]] = []
    for a, b in itertools.pairwise(edges):
        far = [REACH, REACH]
        for end, edge in enumerate((a, b)):
            tail = law.tails[end]
            if (math.isinf(edge) or edge == law.support[end]) and tail.is_power:
                far[end] = max(REACH, _DROPS / max(tail.power - 1.0, 1e-12))
        if math.isinf(a):  # log x grows away from b
            far = far[::-1]
        made = nodes(a, b, per_unit, (far[0], far[1]))
        power = law.tails[int(made.x[-1] > made.x[0]) if math.isinf(b - a) else 0].power
        log_f = law.log_density(made.x) - (power - 1.0) * made.beyond
        slope = np.gradient(law.log_density(made.x), made.x)
        moved = np.nan_to_num(np.abs(made.x * slope), nan=0.0, posinf=0.0)
        error = law.log_density_error(made.x) + EPS * (4.0 + np.abs(made.log_dx) + moved)
        parts.append((log_f + made.log_dx, error, made.coarse))
    log_terms, errors, coarse = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = np.isfinite(log_terms) & np.isfinite(errors)
    log_terms, errors, coarse = log_terms[kept], errors[kept], coarse[kept]
    if not log_terms.size:
        return Bounded(-math.inf, math.inf)
    top = float(log_terms.max())
    terms = np.exp(log_terms - top)
    total = float(terms.sum())
    error = (left(terms, Halvings.of(coarse)) + float(terms @ errors)) / total + 4.0 * EPS
    value = top + math.log(total)
    return Bounded(value, error + EPS * (abs(top) + abs(value)))
