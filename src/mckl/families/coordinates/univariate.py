"""Pairs whose coordinates are independent one-dimensional continuous laws, of one family or two."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import groupby, zip_longest
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.density_table import MOST_TABLES, DensityTable
from mckl.draw.distribution import DensityTerm, Distribution, Factor
from mckl.draw.form import Form, Numbers, Seconds, Stratified
from mckl.draw.streams import Drawn, Stream
from mckl.exact import additive
from mckl.exact.additive import Strata
from mckl.exact.dyadic import Dyadic
from mckl.exact.ends import Tail
from mckl.exact.factor_sums import sums_over
from mckl.exact.moments import EPS, Bounded
from mckl.exact.product import ProductLaw
from mckl.families import wide
from mckl.families.base import Integrals, Pair
from mckl.families.maps import Maps
from mckl.text import with_shapes

# The error, relative to its scale, up to which a cumulant of a definition is used.
_KNOWN = 1e-9
# The smallest tail probability for which a mirror image is computed.
_LEAST_TAIL = 1e-300
# A sum of terms that are right to a few roundings is right to this share of their absolute values.
_OF_TERMS = 6.0 * EPS
# A breakpoint this close to a finite end of the support makes no difference.
_AT_END = 1e-60
_NO_SHAPES = frozenset(("location", "scale", "rate"))  # fields of laws that a kind leaves out
# With less of p in q's support, points of p there cannot be drawn by its quantiles.
_LEAST_LOG_KEPT = -600.0
_STEP = 2.0**-20  # the relative step of differences of l, for its slope

# Arrays and numbers that add up to an array.
Terms = tuple[Vector | float, ...]


class Relative(NamedTuple):
    """A point x and a law p, in the coordinate in which a law of the same kind is standard."""

    x: Vector
    location: Any
    scale: Any
    excess: Any  # scale - 1 with all its digits
    log_scale: Any


class Univariate(ABC):
    """A one-dimensional law with a density. Laws are immutable and compare by their parameters.

    A family must write `name`, `tails`, `probability`, `quantile`, `draw`, and either `terms` or
    `log_density`; its fields beside `location` and `scale` are its shape parameters. Everything
    else follows from these, with the defaults below. Contract tests over the registry compare them
    with each other.

    It must also correct what is not true of it: `support`; `symmetric`; `breakpoints`,
    where the density peaks elsewhere than at `location` or has a kink; `terms_error`, where a term
    loses digits; `maps`, where x is not the value itself; and `at`, `affine`, `centre` and `moved`,
    where it has no location or no scale.

    It may write, for digits, `ratio_terms` (q nearly equal to p), `over_normal` (nearly normal),
    `tiny` and `logarithm` (x too small for float64); for speed, `sums`, `smooth` and `tabled`; for
    the forecast of a run, `seconds`; and `tensorflow`, without which that backend refuses the
    family.

    Where densities are only evaluated, location and scale may be arrays that broadcast with x.
    Points x and probabilities u are arrays of any shape, and results have the same shape.

    name             The name of the family.
    kind             This name with the shape parameters, which are the fields of a dataclass beside
                     location, scale and rate: ``student-t(5)``. Laws that differ only in location
                     and scale have the same.
    location, scale  The location and the scale; 0 and 1 for a family that has neither.
    support          The interval in which x lies.
    maps             The bijection that makes the value of x.
    symmetric        Whether the density is symmetric about `location`.
    analytic         Whether it is analytic on the line and changes over no less than `scale`, as
                     that of a normal law does: then `breakpoints` are only hints.
    smooth           Whether both are true on each side of `location`, from which it falls.
    mixed            Whether the law is a mixture.
    alike            Whether the law given an interval is of the same family, and `within` makes it.
    tabled           Whether a table of the density, which is continuous then, draws samples faster
                     than `draw`.
    seconds          CPU seconds that one random number takes, by its use.
    """

    name: str
    location: Any = 0.0
    scale: Any = 1.0
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    maps: ClassVar[Maps] = ()
    symmetric: bool = True
    analytic: bool = False
    smooth: bool = False
    mixed: bool = False
    alike: bool = False
    tabled: bool = False
    seconds: ClassVar[Seconds] = Seconds(50e-9, 500e-9, 500e-9, 30e-9)

    @property
    def tiny(self) -> bool:
        """Whether x is often too small for float64, so that its logarithm has to take its place."""
        return False

    def logarithm(self) -> Univariate:
        """The law of log x, for a law of a positive x."""
        return self

    @property
    def kind(self) -> str:
        return self._name_with_shapes

    @property
    def label(self) -> str:
        """What tables and messages call the law."""
        return self.kind

    @property
    def movable(self) -> bool:
        """Whether `at` moves the law to any location."""
        return any(field.name == "location" for field in dataclasses.fields(cast(Any, self)))

    @cached_property
    def _name_with_shapes(self) -> str:
        law: Any = self
        names = (field.name for field in dataclasses.fields(law))
        return with_shapes(self.name, (getattr(law, x) for x in names if x not in _NO_SHAPES))

    def at(self, location: Any, scale: Any) -> Univariate:
        """The law of this kind with this location and scale."""
        law: Any = self
        return cast(Univariate, dataclasses.replace(law, location=location, scale=scale))

    def within(self, low: float, high: float) -> Univariate:
        """The law given that x is between two points, for a law that is `alike`."""
        raise NotImplementedError

    @property
    def centre(self) -> float:
        """The point that is translated to 0 before integration; 0 where there is no location."""
        return cast(float, self.location)

    def moved(self, step: float) -> Univariate:
        """The law of x + step."""
        return self.at(self.location + step, self.scale) if step else self

    @property
    def places(self) -> tuple[Any, ...]:
        """The parameters that `moved` changes."""
        return (self.location,)

    def moves_exactly(self, step: float) -> bool:
        """Whether `moved` rounds no parameter."""
        return all(_is_sum_exact(step, x) for x in self.places)

    def affine(self, shift: float, scale: float) -> Univariate | None:
        """The law of shift + scale x; None where it is of another kind."""
        if scale < 0.0 and not self.symmetric:
            return None
        location = wide.affine(shift, scale, self.location)
        return self.at(location, wide.times(abs(scale), self.scale))

    @property
    @abstractmethod
    def tails(self) -> tuple[Tail, Tail]:
        """How fast the density falls at the lower end of the support and at the upper end."""

    @property
    def tensorflow(self) -> Distribution | None:
        """The law in TensorFlow Probability; None where it has none."""
        return None

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Where the density peaks or has a kink."""
        return (self.location,)

    @property
    def smooth_width(self) -> float:
        """The length over which the density changes between breakpoints; 0 if it is not known."""
        return float(self.scale) if self.smooth else 0.0

    def terms(self, x: Vector) -> Terms:
        """Terms that add up to the log density at x, each right to a few roundings of itself.

        A family gives these, or `log_density` if this is right to a few roundings of itself.
        """
        return (self.log_density(x),)

    def terms_error(self, x: Vector) -> Vector | float:
        """A bound on the error of the sum of `terms` beyond a few roundings of each."""
        return 0.0

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        """Terms that add up to log self(x) - log p(x), each right to a few roundings of itself.

        They are as small as the difference where p is nearly this law and of its kind.
        """
        if p.mixed and not self.mixed:
            return tuple(-term for term in p.ratio_terms(self, x))
        return (*self.terms(x), *(-term for term in p.terms(x)))

    def over_normal(self, x: Vector) -> Terms | None:
        """Terms of the log density less that of the normal law with this location and scale.

        None if the two are never nearly equal.
        """
        return None

    def log_density(self, x: Vector) -> Vector:
        """The log density at x."""
        return np.asarray(sum(self.terms(x)))

    def log_ratio(self, p: Univariate, x: Vector) -> Vector:
        """log self(x) - log p(x), to full relative accuracy where p is of the same kind."""
        return np.asarray(sum(self.ratio_terms(p, x)))

    def log_density_error(self, x: Vector) -> Vector:
        """A bound on the rounding error of `log_density`."""
        return rounding(self.terms(x)) + self.terms_error(x)

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        """A bound on the rounding error of `log_ratio`."""
        if p.mixed and not self.mixed:
            return p.log_ratio_error(self, x)
        return rounding(self.ratio_terms(p, x)) + self.terms_error(x) + p.terms_error(x)

    @abstractmethod
    def probability(self, x: Vector, upper: bool = False) -> Vector:
        """The probability below x; with `upper`, the probability above x."""

    @abstractmethod
    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        """The point below which the probability is u; with `upper`, above which it is u."""

    def _relative(self, p: Univariate, x: Vector) -> Relative:
        """x and a law p of the same kind, in the coordinate in which this law is standard."""
        scale, excess = p.scale / self.scale, self._excess(p)
        near = np.abs(excess) < 0.5
        log_scale = np.where(near, np.log1p(np.where(near, excess, 0.0)), np.log(scale))
        location = (p.location - self.location) / self.scale
        return Relative((x - self.location) / self.scale, location, scale, excess, log_scale)

    def _excess(self, p: Univariate) -> Any:
        """The scale of p divided by that of this law, less 1."""
        return (p.scale - self.scale) / self.scale

    def mirror(self, x: Vector) -> Vector:
        """The mirror image of x: the point above which there is as much probability as below x."""
        if self.symmetric:
            return np.asarray(2.0 * self.location - x)
        x = np.asarray(x, dtype=np.float64)
        out, low = np.empty(x.shape), x < self._median
        out[low] = self._at_tails(self.probability(x[low]), True)
        out[~low] = self._at_tails(self.probability(x[~low], True), False)
        return out

    @cached_property
    def _median(self) -> Vector:
        return self.quantile(np.array([0.5]))

    def _at_tails(self, tails: Vector, upper: bool) -> Vector:
        """The points beyond which there are these probabilities, none above 1/2 by much."""
        # Where a probability underflows, the image has no weight either, so any point will do.
        known = ~(tails <= _LEAST_TAIL)
        points = self.quantile(np.append(tails[known], _LEAST_TAIL), upper)
        out = np.full(tails.shape, points[-1])
        out[known] = points[:-1]
        return out

    @abstractmethod
    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        """Independent samples of the standard law of this kind, of the given shape."""

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        """Sums of `log_ratio` over the last axis of x, shape (laws p, rows).

        A family overrides this where it can compute the sums with fewer logarithms.
        """
        own = self.log_density(x)
        return np.stack([(own - p.log_density(x)).sum(axis=-1) for p in ps])


def _is_sum_exact(step: float, x: Any) -> bool:
    return isinstance(x, wide.Wide) or not isinstance(wide.affine(step, 1.0, x), wide.Wide)


def rounding(terms: Terms) -> Vector:
    """A bound on the error of a sum of terms that are each right to a few roundings of itself."""
    return np.asarray(_OF_TERMS * sum(np.abs(term) for term in terms))


def smaller(first: Terms, second: Terms) -> Terms:
    """Of two ways to add up to the same number, at each point the one with the smaller terms."""
    sizes = [np.asarray(sum(np.abs(term) for term in terms)) for terms in (first, second)]
    return chosen(sizes[0] <= sizes[1], first, second)


def chosen(near: NDArray[np.bool_], first: Terms, second: Terms) -> Terms:
    """The first terms at some points, and the second terms at all others."""
    both = zip_longest(first, second, fillvalue=0.0)
    return tuple(np.where(near, one, other) for one, other in both)


_LARGEST = 1e300


def log_of_products(y: Vector, bound: float) -> Vector:
    """Sums of log y over the last axis for 1 / bound <= y <= bound, by logarithms of products."""
    together = max(int(math.log(_LARGEST) / math.log(max(bound, 1.0 + 1e-12))), 1)
    products = np.multiply.reduceat(y, range(0, y.shape[-1], together), axis=-1)
    return np.asarray(np.log(products).sum(axis=-1))


class Kept(NamedTuple):
    """How much of its mass p has where q has some.

    missed  the probability of p outside of q's support
    log     the logarithm of its probability inside
    """

    missed: Bounded
    log: Bounded


WHOLE = Kept(Bounded(0.0, 0.0), Bounded(0.0, 0.0))


class Between(NamedTuple):
    """q and p in one coordinate, as the factor that `mckl.exact.product` expects.

    theory  q and p given q's support, in the coordinate in which theory integrates; None for q and
            p themselves
    kept    the mass that p has in q's support
    names   what results and messages call the two laws; by default their labels
    """

    q: Univariate
    p: Univariate
    theory: Any = None
    kept: Kept = WHOLE
    names: tuple[str, str] | None = None

    @property
    def labels(self) -> tuple[str, str]:
        """What results and messages call the two laws."""
        return self.names or (self.q.label, self.p.label)

    @property
    def support(self) -> tuple[float, float]:
        return self.q.support

    def breakpoints(self, mirrored: bool) -> tuple[float, ...]:
        low, high = self.support
        # As plain floats: two that differ in the digits beyond would be one point for the nodes.
        points = {float(x) for x in (*self.q.breakpoints, *self.p.breakpoints)}
        if mirrored:
            with np.errstate(all="ignore"):
                points |= {float(x) for x in self.q.mirror(np.array(sorted(points)))}
        return tuple(sorted(x for x in points if x - low > _AT_END and high - x > _AT_END))

    @property
    def smooth_width(self) -> float:
        # Only a mixture has so many breakpoints that another rule saves time.
        mixed = self.q.mixed or self.p.mixed
        return min(self.q.smooth_width, self.p.smooth_width) if mixed else 0.0

    @property
    def tails(self) -> tuple[tuple[Tail, Tail], tuple[Tail, Tail]]:
        (low, high), (p_low, p_high) = self.q.tails, self.p.tails
        return (low, p_low), (high, p_high)

    def log_q(self, x: Vector) -> Vector:
        return self.q.log_density(x)

    def log_p(self, x: Vector) -> Vector:
        return self.p.log_density(x)

    def log_ratio(self, x: Vector) -> Vector:
        return self.q.log_ratio(self.p, x)

    def log_q_error(self, x: Vector) -> Vector:
        return self.q.log_density_error(x)

    def log_p_error(self, x: Vector) -> Vector:
        return self.p.log_density_error(x)

    def log_ratio_error(self, x: Vector) -> Vector:
        return self.q.log_ratio_error(self.p, x)

    def reversed(self) -> Between:
        """The factor with its roles exchanged."""
        theory = self.theory and Between(self.theory.p, self.theory.q)
        return Between(self.p, self.q, theory, names=self.names and self.names[::-1])

    def centred(self) -> Between:
        """The pair of theory, translated so that q is centred at 0, where points keep digits."""
        if self.theory is not None:
            return cast(Between, self.theory)
        both = self.q, self.p
        step = exact_step(*both) if any(law.mixed for law in both) else -self.q.centre
        return Between(self.q.moved(step), self.p.moved(step)) if step else self

    @property
    def symmetric(self) -> bool:
        return self.q.symmetric

    def mirror(self, x: Vector) -> Vector:
        return self.q.mirror(x)


def exact_step(q: Univariate, p: Univariate) -> float:
    """A step that brings q near 0 and rounds no parameter of either law; 0 if none is known.

    A law of several places, such as a mixture or a law with two ends, would be another law if
    rounding moved these by unequal distances, and nearly equal laws would differ in the wrong way.
    """
    steps = (-float(x) for x in (q.centre, *q.places) if math.isfinite(x))
    return next((x for x in steps if q.moves_exactly(x) and p.moves_exactly(x)), 0.0)


def between(q: Univariate, p: Univariate) -> Between:
    """q and p in the coordinate x, or log x where x is often too small for float64."""
    if q.tiny or p.tiny:
        return Between(q.logarithm(), p.logarithm())
    return Between(q, p)


@lru_cache(maxsize=32)
def _strata(factor: Between, log_kept: Bounded) -> Strata:
    def ell(u: Vector, upper: bool) -> tuple[Vector, Vector]:
        x = factor.q.quantile(u, upper)
        value, beside = factor.log_ratio(np.stack((x, x * (1.0 + _STEP))))
        # x itself is rounded, which moves l by its slope times this.
        moved = np.abs(beside - value) * (4.0 * EPS / _STEP)
        error = factor.log_ratio_error(x) + moved + log_kept.error
        return value - log_kept.value, error

    return Strata(ell, _singular(factor))


def _singular(factor: Between) -> list[tuple[float, float]]:
    """The probabilities below and above the breakpoints."""
    x = np.array(factor.breakpoints(mirrored=True))
    q = factor.q
    return list(zip(q.probability(x).tolist(), q.probability(x, True).tolist(), strict=True))


@lru_cache(maxsize=16)
def _definition(factor: Between) -> Dyadic:
    """l computed as its definition says, as the difference of two log densities."""

    def ell(u: Vector, upper: bool) -> Vector:
        x = factor.q.quantile(u, upper)
        value = factor.q.log_density(x) - factor.p.log_density(x)
        return np.stack((value[None], (factor.log_q_error(x) + factor.log_p_error(x))[None]))

    return Dyadic(ell, _singular(factor))


@lru_cache(maxsize=16)
def _ratio(factor: Between) -> Dyadic:
    """The ratio p / q at points that are drawn from p."""

    def ratio(u: Vector, upper: bool) -> Vector:
        x = factor.p.quantile(u, upper)
        value = np.exp(factor.p.log_density(x) - factor.q.log_density(x))
        error = value * (factor.log_q_error(x) + factor.log_p_error(x))
        return np.stack((value[None], error[None]))

    return Dyadic(ratio, _singular(factor._replace(q=factor.p, p=factor.q)))


def _higher(definition: Dyadic) -> Vector:
    """The third and fourth cumulant of l; NaN where they are infinite, or too nearly so."""
    value, error = (cumulants[0] for cumulants in definition.sums(1))
    sizes = np.maximum(np.abs(value), np.abs(value[0]) ** np.array([1.0, 1.5, 2.0]))
    return np.asarray(np.where(error <= _KNOWN * sizes, value, math.nan)[1:])


class Coordinates(Pair):
    """q and p with independent coordinates; factor i is the law of `counts[i]` coordinates."""

    def __init__(self, factors: Sequence[Between], counts: Sequence[int]) -> None:
        # Factors whose q is of the same kind become neighbours, as they are drawn together.
        order = sorted(range(len(factors)), key=lambda i: factors[i].q.kind)
        self.factors: tuple[Between, ...] = tuple(factors[i] for i in order)
        self.counts: tuple[int, ...] = tuple(int(counts[i]) for i in order)
        self.dimension: int = sum(self.counts)

    @property
    def family(self) -> str:  # type: ignore[override]
        q, p = ("+".join(dict.fromkeys(f.labels[side] for f in self.factors)) for side in (0, 1))
        return q if q == p else f"{q}|{p}"

    def _law(self) -> ProductLaw:
        kept = [factor.kept for factor in self.factors]
        return ProductLaw([factor.centred() for factor in self.factors], self.counts, kept)

    @property
    def seconds(self) -> Seconds:  # type: ignore[override]
        rows = [
            tuple(n * t for t in f.q.seconds)
            for f, n in zip(self.factors, self.counts, strict=True)
        ]
        return Seconds(*(math.fsum(column) / self.dimension for column in zip(*rows, strict=True)))

    @property
    def reverse_kl(self) -> float:
        # Where p's tails are too heavy KL(p||q) is inf, but quadrature would find a finite number.
        finite = self.law.is_finite(-1.0, 1) and not self.law.missed_mass
        return super().reverse_kl if finite else math.inf

    def reversed(self) -> Coordinates:
        """The pair with its roles exchanged; p must have the same support as q."""
        return Coordinates([f.reversed() for f in self.factors], self.counts)

    def integrals(self) -> Integrals:
        """Integrals of the two log densities' difference over probabilities under q."""
        counts = np.array(self.counts, float)
        every = [_definition(f.centred()) for f in self.factors]
        moments = np.array([np.concatenate(definition.moments()) for definition in every])
        logs = np.array([f.kept.log.value for f in self.factors])
        moments[:, 0] -= logs
        higher = np.array([_higher(definition) for definition in every])
        chi_square = math.nan
        drawable = bool((logs > _LEAST_LOG_KEPT).all())
        if (
            drawable and self.law.ratio_variance_finite
        ):  # elsewhere quadrature would find a finite number
            ratios = np.array([_ratio(f.centred()).moments()[0][0] for f in self.factors])
            with np.errstate(over="ignore", invalid="ignore"):
                chi_square = float(np.expm1(counts @ (np.log(ratios) + 2.0 * logs)))
        every_sum = np.array((*counts @ moments, *counts @ higher, chi_square))
        # Where a point is rounded to an end, l may be infinite there: then nothing is known.
        return Integrals(*map(float, np.where(np.isfinite(every_sum), every_sum, math.nan)))

    def distributions(self) -> Sequence[Factor] | None:
        factors = []
        for factor, count in zip(self.factors, self.counts, strict=True):
            q, p = factor.q.tensorflow, factor.p.tensorflow
            if q is None or p is None:
                return None
            factors.append(Factor(count, q, p))
        return factors

    def form(self) -> CoordinateForm:
        return CoordinateForm(self)


class CoordinateForm(Form):
    """The form that draws each coordinate from the standard law of its kind."""

    def __init__(self, pair: Coordinates) -> None:
        self._pair = pair
        self.numbers: int = pair.dimension
        factors = zip(pair.factors, pair.counts, strict=True)
        groups = groupby(factors, key=lambda fn: fn[0].q.kind)
        self._blocks = [_SameKind([*group]) for _, group in groups]
        by_table = len(self._blocks) <= MOST_TABLES
        self._drawn: list[Drawn] = [
            DensityTable(b.law) if by_table and b.law.tabled else b.law for b in self._blocks
        ]
        self.shape: str = "+".join(f"{b.columns} {b.law.kind}" for b in self._blocks)

    def draw(self, stream: Stream, rows: int) -> Numbers:
        return [
            stream.sample(law, rows, b.columns)
            for law, b in zip(self._drawn, self._blocks, strict=True)
        ]

    def at(self, stream: Stream, u: Vector) -> Numbers:
        ends = np.cumsum([b.columns for b in self._blocks])[:-1]
        parts = np.split(u, ends, axis=1)
        return [stream.quantiles(b.law, v) for b, v in zip(self._blocks, parts, strict=True)]

    def mirror(self, draw: Numbers) -> Numbers | None:
        assert not isinstance(draw, np.random.Generator)
        if all(b.law.symmetric for b in self._blocks):
            return None
        return [b.law.mirror(np.asarray(x, float)) for b, x in zip(self._blocks, draw, strict=True)]

    def parts(self) -> Sequence[Sequence[DensityTerm]] | None:
        out = []
        for b in self._blocks:
            q = b.law.tensorflow
            ps = [(columns, p.tensorflow) for columns, p in b.parts]
            if q is None or any(p is None for _, p in ps):
                return None
            out.append([DensityTerm(c.start, c.stop, q, p) for c, p in ps if p is not None])
        return out

    def evaluator(
        self, forms: Sequence[CoordinateForm], signs: int, sums: Sequence[str] = ()
    ) -> _CoordinateEvaluator:
        return _CoordinateEvaluator([form._blocks for form in forms], signs, sums)

    @property
    def _strata(self) -> list[Strata]:
        return [_strata(f.centred(), f.kept.log) for f in self._pair.factors]

    def stratified(self, n: int, integrand: str = "ell") -> Stratified:
        pair = self._pair
        return additive.stratified_sum(self._strata, pair.counts, n, pair.law, integrand)

    def balanced_variance(self, n: int, integrand: str = "ell", slope: float = 0.0) -> float:
        return additive.variance(self._strata, self._pair.counts, n, integrand, slope)


class _SameKind:
    """The coordinates whose q is of the same kind."""

    def __init__(self, factors: Sequence[tuple[Between, int]]) -> None:
        self.law = factors[0][0].q.at(0.0, 1.0)
        self.columns = sum(n for _, n in factors)
        # Coordinates whose p is of the same kind are evaluated together. The kind of a law on an
        # interval has its place, so that this is compared in the coordinate in which q is standard.
        self.parts: list[tuple[slice, Univariate]] = []
        start = 0
        kinds = [(f.p.kind, f.p.at(*_relative(f)).kind) for f, _ in factors]
        ordered = sorted(zip(kinds, factors, strict=True), key=lambda both: both[0])
        for _, group in groupby(ordered, key=lambda both: both[0]):
            same = [both[1] for both in group]
            stop = start + sum(n for _, n in same)
            self.parts.append((slice(start, stop), _together(same)))
            start = stop


def _relative(factor: Between) -> tuple[Any, Any]:
    """The location and the scale of p in the coordinate in which q is standard."""
    q, p = factor.q, factor.p
    return (p.location - q.location) / q.scale, p.scale / q.scale


def _together(same: Sequence[tuple[Between, int]]) -> Univariate:
    """The laws p of these coordinates as one law, in the coordinates in which q is standard."""
    p, places = same[0][0].p, [_relative(f) for f, _ in same]
    if len({*places}) == 1:
        return p.at(*places[0])
    counts = [n for _, n in same]
    location, scale = zip(*places, strict=True)
    return p.at(np.repeat(location, counts), np.repeat(scale, counts))


class _CoordinateEvaluator:
    """Sums l and the functions of l_i over the coordinates, for forms that share their draws."""

    def __init__(
        self, forms: Sequence[Sequence[_SameKind]], signs: int, sums: Sequence[str]
    ) -> None:
        self._shape = (1 + len(sums), signs, len(forms))
        self._blocks = [_Together(blocks, signs, sums) for blocks in zip(*forms, strict=True)]
        self._out = np.empty(0)

    def resize(self, replicates: int, units: int) -> None:
        self._out = np.empty((*self._shape, replicates, units))

    def add(self, draw: Numbers, replicate: int, start: int, stop: int) -> None:
        assert not isinstance(draw, np.random.Generator)
        out = self._out[..., replicate, start:stop]
        out[:] = 0.0
        for x, block in zip(draw, self._blocks, strict=True):
            block.add(x, out)

    def finish(self, out: Vector) -> None:
        out[:] = self._out


class _Together:
    """The same block of several forms."""

    def __init__(self, blocks: Sequence[_SameKind], signs: int, sums: Sequence[str]) -> None:
        self._law, self._sums = blocks[0].law, sums
        alike = all([c for c, _ in b.parts] == [c for c, _ in blocks[0].parts] for b in blocks)
        # Forms whose parts have the same columns are evaluated at once.
        groups = [range(len(blocks))] if alike else [range(j, j + 1) for j in range(len(blocks))]
        self._parts = [
            (columns, slice(group.start, group.stop), [blocks[j].parts[i][1] for j in group])
            for group in groups
            for i, (columns, _) in enumerate(blocks[group.start].parts)
        ]
        every = [self._law, *(p for *_, ps in self._parts for p in ps)]
        self._mirror = signs == 2 and not all(law.symmetric for law in every)
        if signs == 2 and not self._mirror:
            # A symmetric law at -x equals the law with the opposite location at x.
            self._parts = [
                (columns, forms, [*ps, *(p.at(-p.location, p.scale) for p in ps)])
                for columns, forms, ps in self._parts
            ]

    def add(self, x: Vector, out: Vector) -> None:
        """Add l and the sums at x, and with two signs also at its mirror image, to `out`.

        `out` has shape (1 + sums, signs, forms, rows).
        """
        if self._mirror:
            image = self._law.mirror(x)
        for columns, forms, ps in self._parts:
            if self._mirror:
                out[:, 0, forms] += self._rows(x[:, columns], ps)
                out[:, 1, forms] += self._rows(image[:, columns], ps)
            else:
                rows = self._rows(x[:, columns], ps)
                out[:, :, forms] += rows.reshape(*out.shape[:2], -1, len(x))

    def _rows(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        """l and the sums, shape (1 + sums, laws p, rows)."""
        rows = np.empty((1 + len(self._sums), len(ps), len(x)))
        rows[0] = self._law.sums(x, ps)
        for i, p in enumerate(ps if self._sums else ()):
            rows[1:, i] = sums_over(self._law.log_ratio(p, x), self._sums)
        return rows
