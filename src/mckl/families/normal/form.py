"""Draws samples of a quadratic form: one number for each coordinate, or two for each group of them.

Either way the log density ratio of a sample is a quadratic form in independent standard normals g
and chi-squares w,

    l = KL + sum_i square_i (g_i^2 - 1) + linear_i g_i + sum_j chi_j (w_j - dof_j).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.distribution import DensityTerm, Distribution
from mckl.draw.form import Form, Numbers, Stratified
from mckl.draw.streams import Stream
from mckl.exact import additive
from mckl.exact.additive import Strata
from mckl.exact.moments import EPS
from mckl.exact.strata import balanced_variance, stratified
from mckl.families.normal.law import Coefficients, QuadraticLaw
from mckl.families.normal.sums import FactorSums


class QuadraticForm(Form):
    """A quadratic form in normals and chi-squares.

    kl              KL(q||p), the mean of l.
    square, linear  Coefficients of g^2 - 1 and of g, shape (normals,).
    chi, dof        Coefficients of w - dof, and the degrees of freedom of each w, shape
                    (chi-squares,).
    p               Where each g is one coordinate and q is standard normal, the mean and the
                    standard deviation of p in each, from which densities can be computed; else
                    None.
    shares          Where each g is one coordinate, the share of KL of each, shape (normals,); else
                    None.
    """

    kl: float
    square: Vector
    linear: Vector
    chi: Vector
    dof: Vector
    p: tuple[Vector, Vector] | None
    shares: Vector | None

    def __init__(
        self,
        kl: float,
        square: Vector,
        linear: Vector,
        chi: Vector,
        dof: Vector,
        p: tuple[Vector, Vector] | None = None,
        shares: Vector | None = None,
    ) -> None:
        self.kl, self.square, self.linear, self.chi, self.dof = kl, square, linear, chi, dof
        self.p, self.shares = p, shares
        self.numbers: int = square.size + chi.size
        self.shape: str = "+".join([str(square.size), *(repr(float(k)) for k in dof)])

    def draw(self, stream: Stream, rows: int) -> Numbers:
        return stream.normals(rows, self.square.size), stream.chisquares(rows, self.dof)

    def at(self, stream: Stream, u: Vector) -> Numbers:
        normals = self.square.size
        return (
            stream.normal_quantiles(u[:, :normals]),
            stream.chisquare_quantiles(u[:, normals:], self.dof),
        )

    def parts(self) -> Sequence[Sequence[DensityTerm]] | None:
        if self.p is None:
            return None
        mean, sd = self.p
        q, p = ({"loc": m, "scale": s} for m, s in ((0.0, 1.0), (mean, sd)))
        return [
            [DensityTerm(0, mean.size, Distribution("Normal", q), Distribution("Normal", p))],
            [],
        ]

    def evaluator(
        self, forms: Sequence[QuadraticForm], signs: int, sums: Sequence[str] = ()
    ) -> _QuadraticEvaluator:
        return _QuadraticEvaluator(forms, signs, sums)

    @property
    def coordinates(self) -> tuple[Vector, Vector, Vector]:
        """(a, b, c) with l_i = c + a g^2 + b g, in forms in which each g is a coordinate."""
        return self.square, self.linear, _known(self.shares) - self.square

    def stratified(self, n: int, integrand: str = "ell") -> Stratified:
        if integrand != "ell":
            if len(self._distinct[1]) > _MOST_DISTINCT:
                return Stratified(math.nan, math.nan, math.nan)
            return additive.stratified_sum(*self._strata, n, self._law, integrand)
        return stratified(self, n)

    def balanced_variance(self, n: int, integrand: str = "ell", slope: float = 0.0) -> float:
        if integrand == "ell" and slope == 0.0:
            return balanced_variance(self, n)
        if len(self._distinct[1]) > _MOST_DISTINCT:
            return math.nan
        return additive.variance(*self._strata, n, integrand, slope)

    @cached_property
    def _distinct(self) -> tuple[Vector, Vector]:
        """The distinct rows (a, b, KL) of the coordinates, and how often each occurs."""
        rows = np.stack((self.square, self.linear, _known(self.shares)), axis=1)
        distinct, counts = np.unique(rows, axis=0, return_counts=True)
        return distinct, counts.astype(np.float64)

    @cached_property
    def _strata(self) -> tuple[list[Strata], list[float]]:
        rows, counts = self._distinct
        return [_strata(*map(float, row)) for row in rows], counts.tolist()

    @cached_property
    def _law(self) -> QuadraticLaw:
        rows, counts = self._distinct
        return QuadraticLaw(Coefficients(rows[:, 0], rows[:, 1], rows[:, 2], counts))


def _known(shares: Vector | None) -> Vector:
    assert shares is not None
    return shares


# The most distinct coordinates whose sums over strata are integrated: each takes 0.05 s.
_MOST_DISTINCT = 16
_QUANTILE = 16.0  # roundings of a term, with those of a normal quantile and its square


@lru_cache(maxsize=1024)
def _strata(a: float, b: float, kl: float) -> Strata:
    def ell(u: Vector, upper: bool) -> tuple[Vector, Vector]:
        g = scipy.special.ndtri(u)
        terms = kl - a, a * g * g, (-b if upper else b) * g
        return np.asarray(sum(terms)), np.asarray(
            _QUANTILE * EPS * sum(np.abs(term) for term in terms)
        )

    return Strata(ell)


_NONE = np.empty(0)


def full(c: Coefficients, p: tuple[Vector, Vector] | None = None) -> QuadraticForm:
    """The form with one normal number for each coordinate.

    `p` has the mean and the standard deviation of p in coordinates in which q is standard normal,
    if these are known.
    """
    repeats = c.weight.astype(np.int64)
    kl = float(np.sum(c.kl * c.weight))
    a, b, shares = (np.repeat(v, repeats) for v in (c.a, c.b, c.kl))
    return QuadraticForm(kl, a, b, _NONE, _NONE, p, shares)


def radial(c: Coefficients) -> QuadraticForm:
    """The form with two numbers for each group of coordinates that have the same a.

    Within a group l depends on epsilon only through its squared length and its projection on
    b/|b|. The projection is one normal g. The squared length less g^2 is a chi-square w with
    (group size - 1) degrees of freedom, independent of g. So two numbers have the same law of l,
    whatever the dimension (theory.md, section 5).
    """
    a, group = np.unique(c.a, return_inverse=True)
    size = np.bincount(group, weights=c.weight).astype(np.float64)
    length = np.sqrt(np.bincount(group, weights=c.weight * c.b * c.b))
    several = size > 1
    kl = float(np.sum(c.kl * c.weight))
    shares = None
    if not several.any():  # each group is one coordinate
        shares = np.bincount(group, weights=c.weight * c.kl).astype(np.float64)
    return QuadraticForm(kl, a, length, a[several], size[several] - 1.0, shares=shares)


def radial_groups(c: Coefficients) -> tuple[int, int]:
    """How many normals and how many chi-squares the form `radial` would draw."""
    order = np.argsort(c.a) if c.weight.max() > 1 else None
    a = np.sort(c.a) if order is None else c.a[order]
    first = np.flatnonzero(np.concatenate(([True], a[1:] != a[:-1])))
    size = np.diff(np.append(first, a.size))
    if order is not None:
        size = np.add.reduceat(c.weight[order], first)
    return first.size, int((size > 1).sum())


class _WeightedSums:
    """Weighted sums over the numbers of a sample, one sum for each form.

    Forms whose weights are all equal, as in a sweep, share one unweighted sum.
    """

    def __init__(self, weights: Sequence[Vector]) -> None:
        alike = [w.size > 0 and bool((w == w[0]).all()) for w in weights]
        self._factor = np.array([w[0] if a else 1.0 for w, a in zip(weights, alike, strict=True)])
        patterns = [np.ones(w.size) if a else w for w, a in zip(weights, alike, strict=True)]
        keys = [-1 if equal else i for i, equal in enumerate(alike)]
        self._patterns = dict(zip(keys, patterns, strict=True))
        self._keys = keys
        self._sums: dict[int, Vector] = {}

    def resize(self, shape: tuple[int, ...]) -> None:
        """Make room for sums of shape (replicates, units)."""
        self._sums = {key: np.empty(shape) for key in self._patterns}

    def add(self, numbers: Vector, replicate: int, start: int, stop: int) -> None:
        """Add up the numbers of the units from start to stop, shape (rows, numbers)."""
        for key, pattern in self._patterns.items():
            np.matmul(numbers, pattern, out=self._sums[key][replicate, start:stop])

    def write(self, out: Vector) -> Vector:
        """Write the sums of every form to `out`, shape (forms, replicates, units); return it."""
        if len(self._sums) == 1:
            (sums,) = self._sums.values()
            np.einsum("i,jk->ijk", self._factor, sums, out=out)  # faster than `multiply`
        else:
            for row, factor, key in zip(out, self._factor, self._keys, strict=True):
                np.multiply(factor, self._sums[key], out=row)
        return out


class _QuadraticEvaluator:
    """Computes l from matrix products of each tile, and the rest once all tiles are in."""

    def __init__(self, forms: Sequence[QuadraticForm], signs: int, sums: Sequence[str]) -> None:
        constants = [f.kl - float(f.square.sum()) - float((f.chi * f.dof).sum()) for f in forms]
        self._constants = np.array(constants)[:, None, None]
        self._linear = _WeightedSums([f.linear for f in forms])
        self._square = _WeightedSums([f.square for f in forms])
        self._chi = _WeightedSums([f.chi for f in forms]) if forms[0].chi.size else None
        self._factors = FactorSums([f.coordinates for f in forms], signs, sums) if sums else None
        self._room: Vector = np.empty(0)

    def resize(self, replicates: int, units: int) -> None:
        if self._factors is not None:
            self._factors.resize(replicates, units)
        for sums in filter(None, (self._linear, self._square, self._chi)):
            sums.resize((replicates, units))
        self._room = np.empty((len(self._constants), replicates, units))

    def add(self, draw: Numbers, replicate: int, start: int, stop: int) -> None:
        assert not isinstance(draw, np.random.Generator)
        normals, chisquares = draw
        if self._factors is not None:
            self._factors.add(normals, replicate, start, stop)
        self._linear.add(normals, replicate, start, stop)
        np.multiply(normals, normals, out=normals)
        self._square.add(normals, replicate, start, stop)
        if self._chi is not None:
            self._chi.add(chisquares, replicate, start, stop)

    def finish(self, out: Vector) -> None:
        ell = out[0]
        even = self._square.write(ell[0])
        even += self._constants
        if self._chi is not None:
            even += self._chi.write(self._room)
        odd = self._linear.write(self._room)
        if len(ell) == 2:
            np.subtract(even, odd, out=ell[1])
        even += odd
        if self._factors is not None:
            self._factors.finish(out[1:], ell)
