"""The law of a value given that it lies in an interval, which may have one end or two."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact.double_exponential import REACH, Halvings, left, nodes
from mckl.exact.ends import Tail
from mckl.exact.moments import EPS, Bounded
from mckl.families.coordinates.interval import FLAT, Interval, Place, log_mass
from mckl.families.coordinates.univariate import Terms, Univariate, rounding
from mckl.families.wide import affine

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_SHORT = 0.1  # of the probability beyond an end: less has lost a digit in a difference
_NARROW = 1e-5  # of the same: here a density is a straight line within rounding of its quantiles
_LEAST = 1e-300
_PLENTY = 1e-3  # a tail beyond the other end, so that no probability is rounded near 1
_LINE = 1e-12  # a probability up to which the density is that at the end


@dataclass(frozen=True)
class Truncated(Interval):
    """The law `base` between `low` and `high`, which lie within its support."""

    base: Univariate
    low: float
    high: float
    name = "truncated"

    @property
    def kind(self) -> str:
        base = self.base
        where = "" if isinstance(base, Interval) else f" at {base.location!r} by {base.scale!r}"
        return f"truncated({base.kind}{where}, {self.low!r}, {self.high!r})"

    @property
    def label(self) -> str:
        return f"truncated({self.base.label})"

    @property
    def seconds(self) -> Seconds:  # type: ignore[override]
        seconds = self.base.seconds
        return seconds._replace(draw=seconds.quantile + 15e-9 if self.base.mixed else 15e-9)

    @property
    def movable(self) -> bool:
        return self.base.movable

    @property
    def by_distance(self) -> bool:  # type: ignore[override]
        return isinstance(self.base, Interval) and self.base.by_distance

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        centred = self.base.symmetric and self.base.location == 0.0
        return centred and self.low == -self.high

    def at(self, location: Any, scale: Any) -> Truncated:
        base = self.base
        if base.movable:
            base = base.at(location + scale * base.location, scale * base.scale)
        else:
            base = base.at(0.0, scale * base.scale)
        return Truncated(base, location + scale * self.low, location + scale * self.high)

    @property
    def places(self) -> tuple[Any, ...]:
        return (*self.base.places, self.low, self.high)

    def affine(self, shift: float, scale: float) -> Truncated | None:
        base = self.base.affine(shift, scale)
        ends = sorted(float(affine(shift, scale, x)) for x in self.support)
        return None if base is None else Truncated(base, *ends)

    def moved(self, step: float) -> Truncated:
        if not step:
            return self
        return Truncated(self.base.moved(step), self.low + step, self.high + step)

    @property
    def tensorflow(self) -> Distribution | None:
        base = self.base.tensorflow
        if base is None or base.name != "Normal" or math.isinf(self.high - self.low):
            return None
        ends = {"low": self.low, "high": self.high}
        return Distribution("TruncatedNormal", {**base.parameters, **ends})

    @property
    def tails(self) -> tuple[Tail, Tail]:
        ends = [*zip(self.support, self.base.support, strict=True)]
        # Those of the base may not be known, and are not asked for where nothing of them is left.
        of_base = self.base.tails if any(own == base for own, base in ends) else (FLAT, FLAT)
        low, high = (
            tail if own == base else FLAT for (own, base), tail in zip(ends, of_base, strict=True)
        )
        return low, high

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return tuple(x for x in self.base.breakpoints if self.low < x < self.high)

    @property
    def _mass(self) -> Bounded:
        """The logarithm of the probability that is kept."""
        return log_mass(self.base, self.low, self.high)

    def _base_place(self, place: Place) -> Place:
        base_low, base_high = self.base.support
        return Place(
            place.x, place.below + (self.low - base_low), place.above + (base_high - self.high)
        )

    def terms_at(self, place: Place) -> Terms:
        base = self.base
        if isinstance(base, Interval):
            terms = base.terms_at(self._base_place(place))
        else:
            terms = base.terms(place.x)
        return (*terms, -self._mass.value)

    def terms_error(self, x: Vector) -> Vector | float:
        return self.base.terms_error(x) + self._mass.error + 8.0 * EPS

    def log_density_error(self, x: Vector) -> Vector:
        own = rounding((np.zeros_like(x), self._mass.value))
        return np.asarray(self.base.log_density_error(x) + own + (self._mass.error + 8.0 * EPS))

    def ratio_terms_at(self, p: Interval, place: Place) -> Terms:
        if not (isinstance(p, Truncated) and _in_one_form(self, p)):
            return super().ratio_terms_at(p, place)
        base, other = self.base, p.base
        if isinstance(base, Interval) and isinstance(other, Interval):
            there = self._base_place(place)
            terms = base.ratio_terms_at(other, there)
        else:
            terms = base.ratio_terms(other, place.x)
        return (*terms, _gap(self, p).value)

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if _same_ends(self, p):
            assert isinstance(p, Truncated)
            return self.ratio_terms_at(p, self.place(x))
        return super().ratio_terms(p, x)

    def ratio_error_at(self, p: Interval, place: Place) -> Vector:
        if not (isinstance(p, Truncated) and _in_one_form(self, p)):
            return super().ratio_error_at(p, place)
        gap = _gap(self, p)
        base, other = self.base, p.base
        if isinstance(base, Interval) and isinstance(other, Interval):
            of_base = base.ratio_error_at(other, self._base_place(place))
        else:
            of_base = base.log_ratio_error(other, place.x)
        zero = np.zeros_like(place.x)
        return np.asarray(of_base + rounding((zero, gap.value)) + gap.error)

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        if _same_ends(self, p):
            assert isinstance(p, Truncated)
            return self.ratio_error_at(p, self.place(x))
        return np.asarray(self.log_density_error(x) + p.log_density_error(x))

    def log_mass(self, low: float, high: float) -> Bounded:
        part, whole = log_mass(self.base, low, high), self._mass
        value = part.value - whole.value
        return Bounded(value, part.error + whole.error + EPS * abs(value))

    @cached_property
    def _tails_of_base(self) -> tuple[float, float, float, float]:
        """Base's probabilities below `low` and `high`, and above them."""
        ends = np.array([self.low, self.high])
        below, above = self.base.probability(ends), self.base.probability(ends, True)
        low, high = self.base.support
        below = np.where(ends <= low, 0.0, np.where(ends >= high, 1.0, below))
        above = np.where(ends <= low, 1.0, np.where(ends >= high, 0.0, above))
        return float(below[0]), float(below[1]), float(above[0]), float(above[1])

    @cached_property
    def _kept(self) -> float:
        return math.exp(self._mass.value)

    @property
    def _narrow(self) -> bool:
        """Whether quantiles of the base would be rounded to few places within the interval."""
        below, _, _, above = self._tails_of_base
        return self._kept < _NARROW * min(below + self._kept, above + self._kept)

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        x = np.clip(np.asarray(x, np.float64), self.low, self.high)
        at_low, at_high, over_low, over_high = self._tails_of_base
        if upper:
            beyond, near, far = over_high, self.base.probability(x, True), at_high
            other = self.base.probability(x)
        else:
            beyond, near, far = at_low, self.base.probability(x), over_low
            other = self.base.probability(x, True)
        with np.errstate(all="ignore"):
            # The difference of the smaller probabilities, which have more digits.
            part = np.where(near <= other, near - beyond, far - other)
            lost = part < _SHORT * np.minimum(np.maximum(beyond, _LEAST), far)
            share = part / self._kept
        if lost.any():
            share = np.where(lost, self._integrated(x, upper), share)
        return np.asarray(np.clip(share, 0.0, 1.0))

    @np.errstate(all="ignore")
    def _integrated(self, x: Vector, upper: bool) -> Vector:
        """The probability between an end and x by Gauss and Legendre's rule."""
        end = self.high if upper else self.low
        half = 0.5 * np.abs(x - end)
        at = np.minimum(x, end)[..., None] + half[..., None] * (1.0 + _NODES)
        value = half * (np.exp(self.log_density(at)) @ _WEIGHTS)
        return np.nan_to_num(value)

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        u = np.asarray(u, np.float64)
        if self._narrow:
            return self._straight(u, upper)
        below, above = (1.0 - u, u) if upper else (u, 1.0 - u)
        at_low, _, _, over_high = self._tails_of_base
        v, w = at_low + self._kept * below, over_high + self._kept * above
        lower = v <= w
        if lower.all():
            x = self.base.quantile(v)
        elif not lower.any():
            x = self.base.quantile(w, True)
        else:
            x = np.empty(u.shape)
            x[lower], x[~lower] = self.base.quantile(v[lower]), self.base.quantile(w[~lower], True)
        return np.clip(x, self.low, self.high)

    def place_of(self, u: Vector, upper: bool = False) -> Place:
        """The quantile with its distances from the ends, which have all digits next to an end."""
        u = np.asarray(u, np.float64)
        x = self.quantile(u, upper)
        below, above = (1.0 - u, u) if upper else (u, 1.0 - u)
        out = []
        for end, share, apart in ((0, below, x - self.low), (1, above, self.high - x)):
            tail, edge = self.tails[end], np.array([self.support[end]])
            if np.isfinite(edge[0]) and tail == FLAT:
                line = share * np.exp(-self.log_density(edge))
                out.append(np.where(share < _LINE, line, apart))
            elif isinstance(self.base, Interval):
                v = self._kept * share
                out.append(self.base.place_of(v, bool(end))[1 + end])
            else:
                out.append(apart)
        return Place(x, out[0], out[1])

    def _straight(self, u: Vector, upper: bool) -> Vector:
        """Quantiles where the density is nearly a straight line."""
        width = self.high - self.low
        log_f = self.base.log_density(np.array([self.low, self.high]))
        bend = 0.5 * float(log_f[1] - log_f[0]) * u * (1.0 - u)
        step = width * (u + bend if upper else u - bend)
        return np.clip(self.high - step if upper else self.low + step, self.low, self.high)

    def mirror(self, x: Vector) -> Vector:
        centre = 0.5 * self.low + 0.5 * self.high
        if self.base.symmetric and self.base.location == centre:
            return np.asarray((self.low + self.high) - x)
        return super().mirror(x)

    @property
    def tabled(self) -> bool:  # type: ignore[override]
        return not (self.base.mixed or self._narrow)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        u = generator.random(shape)
        u += 2.0**-54  # the middle of each cell of width 2^-53, so that 0 is avoided
        at_low, at_high, over_low, over_high = self._tails_of_base
        if self._narrow or max(at_low, over_high) < _PLENTY:
            return self.quantile(u)
        # One of the base's tails serves all, as neither probability comes near 1.
        upper = over_high < _PLENTY or over_low < at_high
        u *= self._kept
        u += over_high if upper else at_low
        x = self.base.quantile(u, upper)
        return np.clip(x, self.low, self.high, out=x)


def _same_ends(q: Univariate, p: Univariate) -> bool:
    both = isinstance(q, Truncated) and isinstance(p, Truncated)
    return both and q.support == p.support


def _in_one_form(q: Truncated, p: Truncated) -> bool:
    """Whether the laws before truncation know a place in the same way.

    A law on an interval knows it by the distances from its own ends, and others by x.
    """
    on_interval = [isinstance(law.base, Interval) for law in (q, p)]
    alike = q.base.support == p.base.support if all(on_interval) else not any(on_interval)
    return _same_ends(q, p) and alike


@lru_cache(maxsize=256)
@np.errstate(all="ignore")
def _gap(q: Truncated, p: Truncated) -> Bounded:
    """The logarithm of p's kept probability over q's, for the same ends.

    It is log E r of the laws before truncation, which has more digits where they are nearly equal.
    """
    ours, theirs = q._mass, p._mass
    plain = theirs.value - ours.value
    found = Bounded(plain, ours.error + theirs.error + EPS * abs(plain))
    if abs(plain) > 0.1:
        return found
    points = {x for law in (q, p) for x in law.breakpoints}
    edges = [q.low, *sorted(points), q.high]
    terms, errors, every_coarse = [], [], []
    for a, b in itertools.pairwise(edges):
        made = nodes(a, b, 128, (REACH, REACH))
        weight = np.exp(q.log_density(made.x) + made.log_dx)
        ell = q.base.log_ratio(p.base, made.x)
        gain = np.expm1(-ell)
        error = (1.0 + np.abs(gain)) * q.base.log_ratio_error(p.base, made.x)
        error += np.abs(gain) * (q.log_density_error(made.x) + EPS * (6.0 + np.abs(made.log_dx)))
        terms.append(weight * gain)
        errors.append(weight * error)
        every_coarse.append(made.coarse)
    every, rounded, coarse = (np.concatenate(column) for column in (terms, errors, every_coarse))
    kept = np.isfinite(every) & np.isfinite(rounded)
    total = float(every[kept].sum())
    bound = float(rounded[kept].sum()) + left(every[kept], Halvings.of(coarse[kept]))
    near = Bounded(math.log1p(total), bound / (1.0 + total) + 2.0 * EPS * abs(total))
    return near if near.error < found.error else found


def truncated(base: Univariate, low: float, high: float) -> Univariate:
    """A law given that its value is between `low` and `high`."""
    low, high = max(low, base.support[0]), min(high, base.support[1])
    if (low, high) == base.support:
        return base
    if isinstance(base, Truncated):
        return truncated(base.base, low, high)
    return base.within(low, high) if base.alike else Truncated(base, low, high)
