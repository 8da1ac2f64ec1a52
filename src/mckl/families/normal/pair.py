"""Pairs of normal laws, reduced to the coefficients of their log density ratio.

With epsilon standard normal and z = mu_q + sigma_q epsilon, the log density ratio of two laws with
diagonal covariances is a sum over coordinates (theory.md, section 1),

    log q(z) - log p(z) = sum_i  c_i + a_i epsilon_i^2 + b_i epsilon_i,

so everything that the study computes for a pair follows from (a, b, c). Two normal laws with full
covariance matrices are such a pair in rotated coordinates.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution, Factor
from mckl.exact.moments import Bounded
from mckl.exact.remainders import x_minus_log1p
from mckl.families import base
from mckl.families.base import About
from mckl.families.coordinates.gaussian import GAUSSIAN
from mckl.families.coordinates.image import image_of
from mckl.families.coordinates.independent import Independent
from mckl.families.maps import Maps, Transform, check_bijection, coordinates, then
from mckl.families.normal.form import QuadraticForm, full, radial, radial_groups
from mckl.families.normal.law import Coefficients, QuadraticLaw
from mckl.families.normal.scores import NormalScores
from mckl.families.parameters import aliases, missing, one_length, parameter_numbers
from mckl.text import listed

if TYPE_CHECKING:
    from mckl.families.normal.rotation import Rotated


class _Normal(base.Pair):
    """A pair of normal laws; its law of l follows from the coefficients (a, b, kl).

    It is built from the mean and the spread of q, and those of p; means have shape (dimension,).
    """

    family = "normal"

    def __init__(self, q_mean: Vector, q_spread: Vector, p_mean: Vector, p_spread: Vector) -> None:
        self.q_mean, self.p_mean, self.dimension = q_mean, p_mean, q_mean.size
        self.vectors = q_mean, q_spread, p_mean, p_spread

    def reversed(self) -> Self:
        q_mean, q_spread, p_mean, p_spread = self.vectors
        return type(self)(p_mean, p_spread, q_mean, q_spread).named(self.family)

    def named(self, family: str) -> Self:
        """The same pair, which results name otherwise."""
        self.family = family
        return self

    @cached_property
    def coefficients(self) -> Coefficients:
        """The coefficients (a, b, kl) of the log density ratio."""
        return self._coefficients()

    def _coefficients(self) -> Coefficients:
        raise NotImplementedError

    def _law(self) -> QuadraticLaw:
        return QuadraticLaw(self.coefficients)

    def form(self) -> QuadraticForm:
        return full(self.coefficients)

    def radial(self) -> QuadraticForm:
        return radial(self.coefficients)

    @cached_property
    def radial_numbers(self) -> tuple[int, int]:  # type: ignore[override]
        return radial_groups(self.coefficients)


# The longest vector of equal coordinates for which a TensorFlow distribution is built.
_ALIKE = 2**20


class Diagonal(_Normal):
    """The sampled q and the reference p, normal with diagonal covariances.

    The means and standard deviations have shape (dimension,). Build a pair with `pair`, which
    checks them.
    """

    q_sd: Vector
    p_sd: Vector

    def __init__(self, q_mean: Vector, q_sd: Vector, p_mean: Vector, p_sd: Vector) -> None:
        super().__init__(q_mean, q_sd, p_mean, p_sd)
        self.q_sd, self.p_sd = q_sd, p_sd

    @cached_property
    def scores(self) -> NormalScores:
        return NormalScores(self.coefficients)

    def form(self) -> QuadraticForm:
        where = (self.p_mean - self.q_mean) / self.q_sd, self.p_sd / self.q_sd
        return full(self.coefficients, where)

    def distributions(self) -> list[Factor]:
        """As in `Pair`; one entry stands for many equal coordinates, as in a sweep."""
        alike = all(v.strides == (0,) for v in self.vectors)
        some = min(self.dimension, _ALIKE) if alike else self.dimension
        q_mean, q_sd, p_mean, p_sd = (v[:some] for v in self.vectors)
        q, p = (
            Distribution("MultivariateNormalDiag", {"loc": mean, "scale_diag": sd})
            for mean, sd in ((q_mean, q_sd), (p_mean, p_sd))
        )
        return [Factor(self.dimension / some, q, p)]

    def integrals(self) -> base.Integrals:
        """Gauss-Hermite quadrature of the two log densities' difference in (z - mu_q) / sigma_q.

        No closed form of a moment of l is used. The integrand is a polynomial, for which the rule
        is exact. E r^2 is that of the textbooks.
        """
        vectors, copies = self.vectors, 1
        if all(v.strides == (0,) for v in vectors):  # views of one number: coordinates are equal
            vectors, copies = tuple(v[:1] for v in vectors), self.dimension  # type: ignore[assignment]
        q_mean, q_sd, p_mean, p_sd = vectors
        # z - mu_p = (z - mu_q) + (mu_q - mu_p)
        shift, ratio = (q_mean - p_mean) / p_sd, q_sd / p_sd
        log_ratio = np.log(ratio)
        nodes, weights = np.polynomial.hermite_e.hermegauss(20)
        weights /= weights.sum()

        def ell(x: float) -> Vector:
            y = shift + ratio * x
            return np.asarray(0.5 * (y - x) * (y + x) - log_ratio)

        mean = sum(w * ell(x) for x, w in zip(nodes, weights, strict=True))
        m2, m3, m4 = (
            np.asarray(sum(w * (ell(x) - mean) ** m for x, w in zip(nodes, weights, strict=True)))
            for m in (2, 3, 4)
        )
        cumulants = (mean, m2, m3, m4 - 3.0 * m2**2)
        apart = 2.0 * ratio**2 - 1.0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            log_square = 2.0 * log_ratio - 0.5 * np.log(apart) + shift**2 / apart
            chi_square = float(np.expm1(copies * np.sum(log_square)))
        integrals = base.Integrals(*(copies * float(np.sum(x)) for x in cumulants))
        return integrals._replace(chi_square=chi_square)

    def _coefficients(self) -> Coefficients:
        """The coefficients a = (rho^2 - 1) / 2 and b = sigma_q (mu_q - mu_p) / sigma_p^2.

        Here rho = sigma_q / sigma_p. They are exact to rounding near q = p.
        """
        vectors, weight = _compress(self.vectors)
        a, b, kl = (np.empty(weight.size) for _ in range(3))
        for start in range(0, weight.size, _ROWS):
            rows = slice(start, start + _ROWS)
            a[rows], b[rows], kl[rows] = _of_coordinates(*(v[rows] for v in vectors))
        return Coefficients(a, b, kl, weight)


class Correlated(_Normal):
    """Two normal laws with full covariances, which are a diagonal pair in rotated coordinates.

    Build a pair with `correlated`, which checks the matrices.
    """

    def form(self) -> QuadraticForm:
        c = self.coefficients
        square = 1.0 + 2.0 * c.a  # (sigma_q / sigma_p)^2 in rotated coordinates
        with np.errstate(divide="ignore", invalid="ignore"):
            return full(c, (-c.b / square, 1.0 / np.sqrt(square)))

    @property
    def roots(self) -> tuple[Vector, Vector]:
        """Lower triangular factors of the covariances of q and of p."""
        q, p = (np.asarray(np.linalg.cholesky(covariance)) for covariance in self.vectors[1::2])
        return q, p

    def distributions(self) -> list[Factor]:
        q, p = (
            Distribution("MultivariateNormalTriL", {"loc": mean, "scale_tril": root})
            for mean, root in zip((self.q_mean, self.p_mean), self.roots, strict=True)
        )
        return [Factor(1, q, p)]

    def integrals(self) -> base.Integrals:
        """The textbook's traces and determinants, without the rotation.

        KL = (tr A - D - log det A + d^T Sigma_p^-1 d) / 2 with A = Sigma_p^-1 Sigma_q and
        d = mu_q - mu_p. With B = (A - I) / 2 the m-th cumulant of l is 2^(m-3) m! times
        4 / m tr B^m + d^T Sigma_p^-1 Sigma_q B^(m-2) Sigma_p^-1 d, and
        E r^2 = det A / sqrt(det(2 A - I)) exp(d^T (2 Sigma_q - Sigma_p)^-1 d).
        """
        q_mean, q_cov, p_mean, p_cov = self.vectors
        a, gap = np.linalg.solve(p_cov, q_cov), q_mean - p_mean
        moved = np.linalg.solve(p_cov, gap)
        kl = 0.5 * (np.trace(a) - self.dimension - np.linalg.slogdet(a)[1] + gap @ moved)
        b, power, cumulants = 0.5 * (a - np.eye(self.dimension)), np.eye(self.dimension), []
        for m in (2, 3, 4):
            even = 4.0 / m * np.sum((power @ b) * b.T)
            odd = moved @ q_cov @ power @ moved
            cumulants.append(2.0 ** (m - 3) * math.factorial(m) * float(even + odd))
            power = power @ b
        apart, chi_square = 2.0 * q_cov - p_cov, math.nan
        if np.linalg.eigvalsh(apart).min() > 0.0:
            log_square = (
                np.linalg.slogdet(a)[1] - 0.5 * np.linalg.slogdet(2.0 * a - np.eye(len(a)))[1]
            )
            with np.errstate(over="ignore"):
                chi_square = float(np.expm1(log_square + gap @ np.linalg.solve(apart, gap)))
        return base.Integrals(float(kl), *cumulants)._replace(chi_square=chi_square)

    @cached_property
    def _rotated(self) -> Rotated:
        from mckl.families.normal.rotation import rotated  # loads scipy.linalg

        return rotated(*self.vectors)

    def _coefficients(self) -> Coefficients:
        return self._rotated.coefficients

    def _law(self) -> QuadraticLaw:
        return self._rotated.law()

    @cached_property
    def _reverse_kl(self) -> Bounded:
        """KL(p||q) from the same coordinates, or from p's own where that has too few digits."""
        from mckl.families.normal.rotation import ENOUGH

        if self._rotated.reverse_kl.relative <= ENOUGH:
            return self._rotated.reverse_kl
        return Bounded(self._reversed_law.kl, self._reversed_law.kl_error)

    @property
    def reverse_kl(self) -> float:
        return self._reverse_kl.value

    @property
    def reverse_kl_error(self) -> float:
        return self._reverse_kl.error


class Factored(Correlated):
    """As `Correlated`, from lower triangular factors L of the covariances L L^T.

    The condition number of L is the square root of the covariance's, so a factor keeps twice as
    many digits, and the product is not formed. `Normal` checks the factors.
    """

    @property
    def roots(self) -> tuple[Vector, Vector]:
        return self.vectors[1], self.vectors[3]

    def integrals(self) -> base.Integrals:
        """As for `Correlated`, with A = M M^T, M = L_p^-1 L_q, and determinants from diagonals."""
        from scipy.linalg import solve_triangular

        q_root, p_root = self.roots
        m = solve_triangular(p_root, q_root, lower=True)
        moved = solve_triangular(p_root, self.q_mean - self.p_mean, lower=True)
        log_det = 2.0 * np.log(np.abs(np.diagonal(m))).sum()
        kl = 0.5 * (np.sum(m * m) - self.dimension - log_det + moved @ moved)
        less = m @ m.T - np.eye(self.dimension)
        turned = m.T @ moved
        return base.Integrals(float(kl), float(0.5 * np.sum(less * less) + turned @ turned))

    @cached_property
    def _rotated(self) -> Rotated:
        from mckl.families.normal.rotation import rotated_roots  # loads scipy.linalg

        return rotated_roots(*self.vectors)


class Normal(base.Side):
    """A normal law; its spread is one of three.

    mean        The means, shape (D,) or ().
    sd          The standard deviations, shape (D,) or ().
    covariance  The covariance matrix, shape (D, D).
    factor      The lower triangular L of the covariance L L^T, shape (D, D).

    With `transforms`, it is the law of what these bijections make of each coordinate.
    """

    mean: Vector
    sd: Vector | None
    covariance: Vector | None
    factor: Vector | None
    family = "normal"
    kind: str = "normal"  # as results name it
    transforms: tuple[Transform, ...] = ()

    def __init__(
        self,
        mean: Vector,
        sd: Vector | None = None,
        covariance: Vector | None = None,
        factor: Vector | None = None,
    ) -> None:
        self.mean, self.sd, self.covariance, self.factor = mean, sd, covariance, factor

    def under(self, transforms: Sequence[Transform]) -> Normal:
        out = copy.copy(self)
        out.transforms = (*self.transforms, *transforms)
        for t in transforms:
            out.kind = f"{t.text}({out.kind})"
        for steps in coordinates(out.transforms, self.length):
            maps: Maps = ()
            for name, some in steps:
                check_bijection((-math.inf, math.inf), maps, some, name)
                maps = then(maps, *some)
        return out

    def named(self, kind: str) -> Normal:
        """The same law, which results name otherwise."""
        self.kind = kind
        return self

    @property
    def maps(self) -> list[Maps]:
        """The bijection in each coordinate, or the only one."""
        each = coordinates(self.transforms, self.length)
        maps = [then((), *(step for _, steps in c for step in steps)) for c in each]
        return maps[:1] if len({*maps}) == 1 else maps

    def against(self, p: base.Side) -> base.Pair:
        if not isinstance(p, Normal) or self.maps != p.maps:
            return self.independent().against(p.independent())
        kinds = dict.fromkeys((self.kind, p.kind))
        return self._against(p).named("|".join(kinds))

    def _against(self, p: Normal) -> Diagonal | Correlated:
        lengths = [n for n in (self.length, p.length) if n is not None]
        lengths += [len(m) for m in (self.maps, p.maps) if len(m) > 1]
        if len({*lengths}) > 1:
            q_length, p_length = lengths
            raise ValueError(
                f"normal: q has {q_length} coordinates and p has {p_length}, expected the same "
                "number"
            )
        if self.sd is not None and p.sd is not None:
            q_mean = np.broadcast_to(
                self.mean, (*lengths[:1],) if self.mean.ndim == 0 else self.mean.shape
            )
            return pair(q_mean, self.sd, p.mean, p.sd)
        (dimension, *_) = lengths
        if self.factor is None and p.factor is None:
            return correlated(self.mean, self.matrix(dimension), p.mean, p.matrix(dimension))
        q_mean, p_mean = (np.broadcast_to(side.mean, (dimension,)) for side in (self, p))
        return Factored(q_mean, self.root(dimension), p_mean, p.root(dimension))

    @property
    def length(self) -> int | None:
        """The number of coordinates; None where scalars stand for any number of them."""
        spread = next(v for v in (self.sd, self.covariance, self.factor) if v is not None)
        return next((len(v) for v in (spread, self.mean) if v.ndim), None)

    def matrix(self, dimension: int) -> Vector:
        """The covariance matrix; a scalar standard deviation stands for `dimension` coordinates."""
        if self.covariance is not None:
            return self.covariance
        assert self.sd is not None
        return np.diag(np.broadcast_to(self.sd, (max(self.sd.size, dimension),)) ** 2)

    def root(self, dimension: int) -> Vector:
        """The lower triangular factor of the covariance, scalars as for `matrix`."""
        if self.factor is not None:
            return self.factor
        if self.sd is not None:
            return np.diag(np.broadcast_to(self.sd, (max(self.sd.size, dimension),)))
        return _root("covariance", self.matrix(dimension))

    def independent(self) -> Independent:
        """The law as independent coordinates, for a pair with another family."""
        if self.sd is None:
            raise base.OtherFamilyError("normal: with a covariance, q and p must both be normal")
        side = GAUSSIAN.side({"mean": self.mean, "sd": self.sd})
        assert isinstance(side, Independent)
        if not self.transforms:
            return side
        laws = side.under(self.transforms).laws
        named = tuple(dataclasses.replace(image_of(law), kind=self.kind) for law in laws)
        return dataclasses.replace(side, laws=named, scalar=self.length is None)


def _side(given: Mapping[str, Any]) -> Normal:
    spreads = ("sd", "covariance", "scale_tril")
    if "mean" not in given:
        raise missing("normal", "mean")
    if sum(name in given for name in spreads) != 1:
        raise ValueError(f"normal: expected one of {listed(spreads, 'or')}")
    mean = parameter_numbers("normal", "mean", given["mean"])
    if "sd" in given:
        sd = parameter_numbers("normal", "sd", given["sd"], above=0.0)
        one_length("normal", {"mean": mean, "sd": sd})
        return Normal(mean, sd)
    if "scale_tril" in given:
        factor = _square("scale_tril", given["scale_tril"], mean)
        if np.triu(factor, 1).any() or not np.diagonal(factor).all():
            raise ValueError(
                "normal: scale_tril, expected a lower triangular matrix without 0 on its diagonal"
            )
        return Normal(mean, factor=factor)
    return Normal(mean, covariance=_square("covariance", given["covariance"], mean))


def _square(name: str, value: Any, mean: Vector) -> Vector:
    """A square matrix of finite numbers, a row for each mean; a number is a matrix of one row."""
    try:
        matrix = np.atleast_2d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"normal: {name}, expected rows of numbers of one length") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"normal: {name} has shape {matrix.shape}, expected a square matrix")
    if mean.ndim and mean.size != len(matrix):
        raise ValueError(
            f"normal: {mean.size} numbers of mean and {len(matrix)} rows of {name}, expected one "
            "length, or a scalar mean"
        )
    wrong = np.argwhere(~np.isfinite(matrix))
    if wrong.size:
        i, j = wrong[0]
        raise ValueError(
            f"normal: {name} {matrix[i, j]:g} (row {i + 1}, column {j + 1}, from 1), expected a "
            "finite number"
        )
    return matrix


def _root(name: str, covariance: Vector) -> Vector:
    """The Cholesky factor; ValueError, with the least eigenvalue, if there is none."""
    try:
        return np.asarray(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(covariance)[0])
        raise ValueError(
            f"{name} is not positive definite: its least eigenvalue is {least:.6g}"
        ) from None


def pair(q_mean: ArrayLike, q_sd: ArrayLike, p_mean: ArrayLike, p_sd: ArrayLike) -> Diagonal:
    """A `Diagonal` pair from vectors; a scalar stands for every coordinate.

    Raises ValueError, naming the vector, for unequal lengths, non-finite entries and
    standard deviations that are not positive.
    """
    names = ("q_mean", "q_sd", "p_mean", "p_sd")
    vectors = [np.asarray(v, dtype=np.float64) for v in (q_mean, q_sd, p_mean, p_sd)]
    dimension = max(v.size for v in vectors)
    for name, v in zip(names, vectors, strict=True):
        if v.ndim > 1 or v.size not in ((1, dimension) if v.ndim == 0 else (dimension,)):
            raise ValueError(f"{name} has shape {v.shape}, expected {dimension} numbers")
        if not np.isfinite(v).all():
            raise ValueError(f"{name} has an entry that is not finite")
        if name.endswith("sd") and not (v > 0).all():
            raise ValueError(f"{name} has an entry that is not positive")
    return Diagonal(*(np.broadcast_to(v, (dimension,)) for v in vectors))


def grid_pair(dimension: int, scale: float, offset: float) -> Diagonal:
    """The pair of a grid setting: q = N(offset, I) and p = N(0, scale^2 I).

    `scale` is sigma_p / sigma_q and `offset` is (mu_q - mu_p) / sigma_q, the same in every
    coordinate. The vectors are views of one number, so that a high dimension takes no memory.
    Raises ValueError as `pair` does.
    """
    coordinate = pair(offset, 1.0, 0.0, scale)  # numbers are checked once, not once a coordinate
    return Diagonal(*(np.broadcast_to(v, (dimension,)) for v in coordinate.vectors))


def correlated(
    q_mean: ArrayLike, q_cov: ArrayLike, p_mean: ArrayLike, p_cov: ArrayLike
) -> Correlated:
    """A `Correlated` pair from means, shape (D,) or (), and covariances, shape (D, D).

    A scalar mean stands for every coordinate. Raises ValueError, naming what is wrong: shapes that
    do not fit, numbers that are not finite, a covariance that is not symmetric, or one that is not
    positive definite (with its least eigenvalue).
    """
    covariances = {"q": np.asarray(q_cov, float), "p": np.asarray(p_cov, float)}
    means = {"q": np.asarray(q_mean, float), "p": np.asarray(p_mean, float)}
    dimension = covariances["q"].shape[0] if covariances["q"].ndim else 0
    for side, cov in covariances.items():
        name = f"covariance of {side}"
        if cov.shape != (dimension, dimension) or not dimension:
            raise ValueError(f"{name} has shape {cov.shape}, expected a square matrix for both")
        if not np.isfinite(cov).all():
            raise ValueError(f"{name} has an entry that is not finite")
        gap = np.abs(cov - cov.T)
        if gap.max() > 1e-12 * np.abs(cov).max():
            i, j = np.unravel_index(int(gap.argmax()), cov.shape)
            raise ValueError(
                f"{name} is not symmetric: entry ({i + 1}, {j + 1}) is {cov[i, j]:.9g}, "
                f"entry ({j + 1}, {i + 1}) is {cov[j, i]:.9g}, counted from 1"
            )
        _root(name, cov)
        if means[side].size not in (1, dimension) or means[side].ndim > 1:
            raise ValueError(
                f"mean of {side} has {means[side].size} numbers, expected 1 or {dimension}"
            )
        if not np.isfinite(means[side]).all():
            raise ValueError(f"mean of {side} has an entry that is not finite")
    q, p = (np.broadcast_to(m, (dimension,)) for m in means.values())
    return Correlated(q, covariances["q"], p, covariances["p"])


def _compress(vectors: tuple[Vector, ...]) -> tuple[tuple[Vector, ...], Vector]:
    """The distinct coordinates and their counts; views of one number take constant time."""
    dimension = vectors[0].size
    if all(v.strides == (0,) for v in vectors):
        return tuple(v[:1] for v in vectors), np.array([float(dimension)])
    return tuple(np.ascontiguousarray(v) for v in vectors), np.ones(dimension)


_ROWS = 2**13  # coordinates that are worked on at a time, so that arrays stay in cache


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _of_coordinates(
    q_mean: Vector, q_sd: Vector, p_mean: Vector, p_sd: Vector
) -> tuple[Vector, Vector, Vector]:
    excess = (q_sd - p_sd) / p_sd  # rho - 1: the subtraction is exact where rho is near 1
    twice_a = excess * (2.0 + excess)
    shift = (q_mean - p_mean) / p_sd
    b = (q_sd / p_sd) * shift
    # Far from scale 1, rho^2 - 1 has lost digits of rho^2 that its logarithm needs.
    far = np.abs(twice_a) > 0.5
    gap = np.where(far, twice_a - 2.0 * np.log(q_sd / p_sd), x_minus_log1p(twice_a))
    kl = 0.5 * (gap + shift * shift)
    return 0.5 * twice_a, b, kl


NORMAL = base.Family(
    "normal",
    (),
    {
        "mean": "means",
        "sd": "standard deviations",
        "covariance": "covariance matrix, instead of sd",
        "scale_tril": "lower triangular factor of the covariance matrix, instead of it",
    },
    _side,
    lambda shapes, dimension, scale, offset: grid_pair(dimension, scale, offset),
    aliases={**GAUSSIAN.aliases, **aliases(covariance="cov covariance_matrix")},
    about=About(
        "real vectors",
        "E r^k if σ_p²/σ_q² < k/(k − 1) in every direction, so E r² if σ_p² < 2 σ_q²",
        "closed form",
    ),
)
