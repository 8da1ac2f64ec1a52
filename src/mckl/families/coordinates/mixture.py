"""Mixtures of one-dimensional laws: q(x) = sum_k weight_k q_k(x)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.density_table import DensityTable, density_table
from mckl.draw.form import Seconds
from mckl.draw.guide_table import GuideTable
from mckl.exact.ends import Tail, heaviest
from mckl.exact.moments import EPS
from mckl.families.base import About, Family, Side
from mckl.families.coordinates.image import Image, Law, image_of, shared
from mckl.families.coordinates.independent import INDEPENDENT, Independent
from mckl.families.coordinates.mixture_ratio import Ratio, Weighted, log_sum_terms, weighed
from mckl.families.coordinates.mixture_window import LEFT_OUT, in_blocks, in_windows
from mckl.families.coordinates.univariate import Terms, Univariate, rounding
from mckl.families.maps import Maps
from mckl.families.parameters import aliases, missing, parameter_numbers, shown_briefly
from mckl.families.transformed import transformed
from mckl.text import listed, nearest, quoted

_ADD_UP = 1e-9  # how far the sum of the weights may be from 1


@dataclass(frozen=True)
class Mixture(Univariate):
    """A mixture of laws with equal domains; the weights are positive and nearly add up to 1."""

    weights: tuple[float, ...]
    components: tuple[Univariate, ...]
    symmetric = False
    mixed = True
    seconds: ClassVar[Seconds] = Seconds(70e-9, 730e-9, 640e-9, 60e-9)

    @property
    def kind(self) -> str:
        parts = (
            f"{w!r} {c.kind} at {c.location!r} by {c.scale!r}"
            for w, c in zip(self.weights, self.components, strict=True)
        )
        return f"mixture({', '.join(parts)})"

    @property
    def support(self) -> tuple[float, float]:  # type: ignore[override]
        return self.components[0].support

    @property
    def maps(self) -> Maps:  # type: ignore[override]
        return self.components[0].maps

    def affine(self, shift: float, scale: float) -> Mixture | None:
        moved = [c.affine(shift, scale) for c in self.components]
        known = tuple(c for c in moved if c is not None)
        return Mixture(self.weights, known) if len(known) == len(moved) else None

    @property
    def tiny(self) -> bool:
        return any(c.tiny for c in self.components)

    def logarithm(self) -> Mixture:
        return Mixture(self.weights, tuple(c.logarithm() for c in self.components))

    def at(self, location: Any, scale: Any) -> Mixture:
        """The mixture, moved and stretched as a whole."""
        moved = (c.at(location + scale * c.location, scale * c.scale) for c in self.components)
        return Mixture(self.weights, tuple(moved))

    @property
    def tails(self) -> tuple[Tail, Tail]:
        low, high = zip(*(c.tails for c in self.components), strict=True)
        return heaviest(low), heaviest(high)

    @property
    def centre(self) -> float:
        return self.components[0].centre

    def moved(self, step: float) -> Mixture:
        return self.at(step, 1.0) if step else self

    @property
    def places(self) -> tuple[Any, ...]:
        return tuple(x for c in self.components for x in c.places)

    @property
    def smooth_width(self) -> float:
        return min(c.smooth_width for c in self.components)

    @cached_property
    def breakpoints(self) -> tuple[float, ...]:
        """The components' breakpoints, points of least density in valleys between, and bends.

        At a point of least density the quantile x changes fastest with u.
        """
        peaks = np.unique([x for c in self._apart() for x in c.breakpoints])
        # A smooth density falls little between near neighbours.
        wide = np.flatnonzero(np.diff(peaks) > _WIDE * self.smooth_width)
        x = np.linspace(peaks[wide], peaks[wide + 1], 65, axis=-1)
        log_density = self.log_density(x)
        at_ends = np.minimum(log_density[:, 0], log_density[:, -1])
        deep = log_density.min(axis=-1) < at_ends - _VALLEY
        least = x[np.arange(len(x)), np.argmin(log_density, axis=-1)][deep]
        known = np.unique([*peaks, *least])
        return tuple(np.unique([*known, *self._bends(known)]).tolist())

    @np.errstate(all="ignore")
    def _bends(self, known: Vector) -> Vector:
        """Where another component becomes the largest too suddenly for nodes between these points.

        So it is far from a peak, where a component of tiny weight takes over.
        """
        if not known.size:
            return known
        parts, (low, high) = self._weighted.log_parts, self.support
        scales = [float(c.scale) for c in self.components]
        away = np.geomspace(_NEAREST * min(scales), _FARTHEST * max(scales), _PLACES)
        if known.size * self._weighted.count < _MOST_GAPS:
            ends = [y for b in known for y in (b - away, b + away)]
        else:
            ends = [known[0] - away, known[-1] + away]
        x = np.unique(np.concatenate(ends))
        x = x[(x > low) & (x < high)]
        if not x.size:
            return x
        largest = np.concatenate(
            [parts(block[:, None])[..., 0].argmax(axis=0) for block in np.array_split(x, len(ends))]
        )
        i = np.flatnonzero(largest[1:] != largest[:-1])
        before, after, which = largest[i], largest[i + 1], np.arange(i.size)

        def lead(y: Vector) -> Vector:
            logs = parts(y[:, None])[..., 0]
            return np.asarray(logs[before, which] - logs[after, which])

        start, stop = x[i], x[i + 1]
        for _ in range(_BISECTIONS if i.size else 0):
            middle = 0.5 * (start + stop)
            rest = lead(middle) > 0.0
            start, stop = np.where(rest, middle, start), np.where(rest, stop, middle)
        apart = np.abs(start[:, None] - known).min(axis=1)
        step = 1e-3 * apart
        turn = 0.5 * np.abs(lead(start + step) - lead(start - step)) / step if i.size else apart
        return np.asarray(start[turn * apart > _SUDDEN])

    def _apart(self) -> list[Univariate]:
        """The components without those that are analytic and wide beside the distance of others.

        Quadrature needs no breakpoint for these, and its time grows with their number.
        """
        kept, last = [c for c in self.components if not c.analytic], -math.inf
        for c in sorted((c for c in self.components if c.analytic), key=lambda c: c.location):
            if c.location - last > _WIDE * c.scale:
                kept.append(c)
                last = c.location
        return kept

    @cached_property
    def _weighted(self) -> Weighted:
        return Weighted(self.weights, self.components)

    @cached_property
    def _probabilities(self) -> Vector:
        return self._weighted.weights / self._weighted.total

    def terms_error(self, x: Vector) -> Vector:
        return self.log_density_error(x)  # the components have terms of their own

    def log_density(self, x: Vector) -> Vector:
        return in_windows(self._weighted, _log_sum, np.asarray(x))

    def log_density_error(self, x: Vector) -> Vector:
        return in_windows(self._weighted, _log_sum_error, np.asarray(x)) + LEFT_OUT

    def _over(self, p: Univariate) -> Ratio:
        """The ratio to p; that to the last p is kept, as its components have been matched."""
        last: tuple[Univariate, Ratio] | None = self.__dict__.get("_last_ratio")
        if last is None or last[0] is not p:
            last = p, Ratio(self._weighted, _weighted(p))
            self.__dict__["_last_ratio"] = last
        return last[1]

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        return (self._over(p).log_ratio(x),)

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        return self._over(p).log_ratio_error(x)

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        law, x = self._weighted, np.asarray(x)
        return in_blocks(lambda y: self._probability(y, upper), x, law.columns, law.count)

    def _probability(self, x: Vector, upper: bool) -> Vector:
        parts = self._weighted.each(lambda law, y: law.probability(y, upper), x)
        return np.asarray((self._probabilities[:, None, None] * parts).sum(axis=0))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        """By Newton's method in the logarithm of the tail, kept within a bracket."""
        u = np.asarray(u, dtype=np.float64)
        out = np.empty(u.shape)
        nearer = u <= 0.5  # work in the tail with the smaller probability
        for side, tail in ((nearer, u), (~nearer, 1.0 - u)):
            if side.any():
                out[side] = self._tail_quantile(tail[side], upper == bool(side is nearer))
        return out

    def _tail_quantile(self, u: Vector, upper: bool) -> Vector:
        """The points below which, or with `upper` above which, the probability is u <= 1/2."""
        sign = -1.0 if upper else 1.0
        # P grows with sign * x. As P <= max P_k, the root is not below the least quantile of a
        # component; as P >= w_k P_k, it is not above component k's quantile of u / w_k < 1.
        low = np.min([sign * c.quantile(u, upper) for c in self.components], axis=0)
        high = np.max([sign * c.quantile(u, upper) for c in self.components], axis=0)
        for w, c in zip(self._probabilities, self.components, strict=True):
            there = u < w
            bound = sign * c.quantile(np.where(there, u / w, 0.5), upper)
            high = np.where(there, np.minimum(high, bound), high)
        high = np.maximum(low, high)
        x = np.clip(np.interp(np.log(u), *_known_tails(self, upper)), low, high)
        active = np.arange(u.size)
        for _ in range(_MOST_STEPS):
            point = sign * x[active]
            p = self.probability(point, upper)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                gap = np.log(p / u[active])
                step = x[active] - gap * p / np.exp(self.log_density(point))
            low[active] = np.where(gap <= 0, x[active], low[active])
            high[active] = np.where(gap >= 0, x[active], high[active])
            inside = (step >= low[active]) & (step <= high[active])
            last = x[active]
            x[active] = np.where(inside, step, 0.5 * (low[active] + high[active]))
            # Between components the density is small, and x then changes much with the probability.
            # Far out a gap of one rounding of x exceeds `_GAP`, and steps would alternate.
            still = np.abs(x[active] - last) <= 2.0 * np.spacing(np.abs(last))
            active = active[~((inside & (np.abs(gap) < _GAP)) | still)]
            if not active.size:
                break
        return np.asarray(sign * x)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        """Independent samples: one uniform number chooses the component, another the point.

        Every point takes two numbers, so that points do not depend on how many are drawn at a time.
        """
        out = np.empty(shape)
        step = max(_DRAWN_AT_ONCE // max(shape[1], 1), 1)  # larger arrays do not stay in cache
        for rows in (out[start : start + step] for start in range(0, shape[0], step)):
            u = generator.random((*rows.shape, 2))
            rows[:] = self._points(self._cells.of(u[..., 0].copy()), u[..., 1].copy())
        return out

    @cached_property
    def _standard(self) -> DensityTable | None:
        """The table of the components' standard law, where they have one that a table can draw."""
        first = self.components[0]
        smooth = first.analytic or first.tabled
        same = smooth and len({c.kind for c in self.components}) == 1
        return density_table(first.at(0.0, 1.0)) if same else None

    def _points(self, chosen: NDArray[np.intp], u: Vector) -> Vector:
        """The points that follow from numbers u in [0, 1), each of one component."""
        if self._standard is None:
            # In the middle of an interval of width 2^-53, so that 0 is avoided.
            return self._weighted.quantile(chosen, u + 2.0**-54)
        x = self._standard.samples(u)
        x *= self._places[1].take(chosen)
        x += self._places[0].take(chosen)
        return x

    @cached_property
    def _places(self) -> Vector:
        return np.array([(c.location, c.scale) for c in self.components], float).T.copy()

    @cached_property
    def _cells(self) -> GuideTable:
        return GuideTable(self._probabilities)


_DRAWN_AT_ONCE = 2**14
_MOST_STEPS = 200
_WIDE = 0.5  # of its scale: how far the next breakpoint is from a component that has none
_VALLEY = 0.5  # of the log density: how far it falls where a point of least density matters
_SUDDEN = 16.0  # how often the leading share halves or doubles over the distance from a peak
_NEAREST, _FARTHEST, _PLACES = 0.1, 1e5, 513  # distances in scales at which bends are looked for
_MOST_GAPS = 2**10  # peaks times components from which bends are looked for in the tails alone
_BISECTIONS = 40
_GAP = 1e-14  # of the logarithm of the probability beyond a quantile
# Tail probabilities of a component. Newton's method starts near the components' quantiles at these.
_TAILS = np.concatenate((0.5 ** np.arange(1.0, 40.0, 0.25), 10.0 ** -np.arange(12.0, 300.0, 3.0)))


@lru_cache(maxsize=64)
def _known_tails(law: Mixture, upper: bool) -> tuple[Vector, Vector]:
    """Logarithms of the probabilities below some points, and the points, both ascending.

    If `upper` is true they are the probabilities above the points, and the points are negated.
    """
    sign = -1.0 if upper else 1.0
    x = np.unique([sign * c.quantile(_TAILS, upper) for c in law.components])
    with np.errstate(divide="ignore"):
        tails = np.log(law.probability(sign * x, upper))
    finite = np.isfinite(tails)
    return tails[finite], x[finite]


def _log_sum(weighted: Weighted, x: Vector) -> Vector:
    top, log_sum, _ = log_sum_terms(weighted.log_parts(x))
    return top + log_sum


def _log_sum_error(weighted: Weighted, x: Vector) -> Vector:
    top, log_sum, shares = log_sum_terms(weighted.log_parts(x))
    shares /= shares.sum(axis=0)
    errors = weighted.each(lambda law, y: law.log_density_error(y), x)
    of_sum = rounding((top, log_sum)) + 4.0 * EPS
    return np.asarray(weighed(shares, errors).sum(axis=0) + of_sum)


def _weighted(law: Univariate) -> Weighted:
    return law._weighted if isinstance(law, Mixture) else Weighted((1.0,), (law,))


def _side(given: Mapping[str, Any]) -> Independent:
    for name in MIXTURE.parameters:
        if name not in given:
            raise missing("mixture", name)
    weights = np.atleast_1d(parameter_numbers("mixture", "weights", given["weights"], above=0.0))
    total = math.fsum(weights)
    if abs(total - 1.0) > _ADD_UP:
        raise ValueError(f"mixture: weights add up to {total:.10g}, expected 1")
    components = given["components"]
    if not isinstance(components, Sequence) or isinstance(components, str):
        raise ValueError(
            f"mixture: components {shown_briefly(components)}, expected a list of laws"
        )
    if len(components) != weights.size:
        raise ValueError(
            f"mixture: {weights.size} weights for {len(components)} components, expected as many"
        )
    laws = [image_of(_component(c)) for c in components]
    domains = dict.fromkeys(law.domain for law in laws)
    if len(domains) > 1:
        raise ValueError(
            f"mixture: components on {' and '.join(domains)}, expected one support for all"
        )
    if (found := shared(laws)) is None:
        text = listed([*dict.fromkeys(law.kind for law in laws)])
        raise ValueError(
            f"mixture: components {text}: mckl knows no variable of which all are laws"
        )
    of_variable, maps = found
    mixture = Mixture(tuple(weights.tolist()), tuple(of_variable))
    if maps == mixture.maps:
        return Independent("mixture", (mixture,))
    parts = (f"{w!r} {law.kind}" for w, law in zip(mixture.weights, laws, strict=True))
    return Independent("mixture", (Image(mixture, maps, f"mixture({', '.join(parts)})"),))


def _component(given: Any) -> Law:
    if not isinstance(given, Mapping):
        raise ValueError(f"mixture: component {given!r}, expected a law with its parameters")
    if "transform" in given:
        return _only(given, transformed(given, _one_dimensional))
    return _only(given, _one_dimensional(given))


def _one_dimensional(given: Mapping[str, Any]) -> Side:
    name = given.get("family", "normal")
    if not isinstance(name, str) or name not in INDEPENDENT:
        hint = nearest(name, INDEPENDENT)
        raise ValueError(f"mixture: component of family {quoted(name)}: {hint}")
    family, numbers = INDEPENDENT[name], {k: v for k, v in given.items() if k != "family"}
    return family.side(family.named(numbers))


def _only(given: Mapping[str, Any], side: Side) -> Law:
    side = side.independent()
    if not isinstance(side, Independent) or len(side.laws) != 1:
        raise ValueError(f"mixture: component {given!r} has more than one dimension, expected one")
    return side.laws[0]


MIXTURE = Family(
    "mixture",
    (),
    {"weights": "probabilities of the components", "components": "laws of one dimension"},
    _side,
    aliases=aliases(weights="probabilities probs"),
    about=About(
        "those of its components",
        "as the heaviest tails of its components",
        "a weighted sum of densities",
    ),
)
