"""Pairs of normal laws, reduced to the coefficients of their log density ratio.

With epsilon standard normal and z = mu_q + sigma_q epsilon, the log density ratio of two laws with
diagonal covariances is a sum over coordinates (docs/theory.md, section 1),

    log q(z) - log p(z) = sum_i  c_i + a_i epsilon_i^2 + b_i epsilon_i,

so everything that the study computes for a pair follows from (a, b, c). Two normal laws with full
covariance matrices are such a pair in rotated coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution, Factor
from mckl.exact.integrands import x_minus_log1p
from mckl.families import base
from mckl.families.gaussian import GAUSSIAN
from mckl.families.independent import Independent
from mckl.families.normal_scores import NormalScores
from mckl.families.parameters import check_names, missing, numbers, one_length
from mckl.families.quadratic_form import QuadraticForm, full, radial, radial_groups
from mckl.families.quadratic_law import Coefficients, QuadraticLaw


class _Normal(base.Pair):
    """A pair of normal laws; its law of l follows from the coefficients (a, b, kl)."""

    family = "normal"

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

    def __init__(self, q_mean: Vector, q_sd: Vector, p_mean: Vector, p_sd: Vector) -> None:
        self.q_mean, self.q_sd, self.p_mean, self.p_sd = q_mean, q_sd, p_mean, p_sd
        self.dimension = q_mean.size

    @property
    def vectors(self) -> tuple[Vector, Vector, Vector, Vector]:
        """Means and standard deviations of q, then of p."""
        return self.q_mean, self.q_sd, self.p_mean, self.p_sd

    @cached_property
    def scores(self) -> NormalScores:
        return NormalScores(self.coefficients)

    def reversed(self) -> Diagonal:
        return Diagonal(self.p_mean, self.p_sd, self.q_mean, self.q_sd)

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
        found = base.Integrals(*(copies * float(np.sum(x)) for x in cumulants))
        return found._replace(chi_square=chi_square)

    def _coefficients(self) -> Coefficients:
        """The coefficients a = (rho^2 - 1) / 2 and b = sigma_q (mu_q - mu_p) / sigma_p^2.

        Here rho = sigma_q / sigma_p. They are exact to rounding near q = p.
        """
        vectors, weight = _compress(self.vectors)
        a, b, kl = (np.empty(weight.size) for _ in range(3))
        for start in range(0, weight.size, _ROWS):
            here = slice(start, start + _ROWS)
            a[here], b[here], kl[here] = _of_coordinates(*(v[here] for v in vectors))
        return Coefficients(a, b, kl, weight)


class Correlated(_Normal):
    """Two normal laws with full covariances, which are a diagonal pair in rotated coordinates.

    Build a pair with `correlated`, which checks the matrices.
    """

    def __init__(self, q_mean: Vector, q_cov: Vector, p_mean: Vector, p_cov: Vector) -> None:
        self.q_mean, self.q_cov, self.p_mean, self.p_cov = q_mean, q_cov, p_mean, p_cov
        self.dimension = q_mean.size

    def form(self) -> QuadraticForm:
        c = self.coefficients
        square = 1.0 + 2.0 * c.a  # (sigma_q / sigma_p)^2 in rotated coordinates
        with np.errstate(divide="ignore", invalid="ignore"):
            return full(c, (-c.b / square, 1.0 / np.sqrt(square)))

    def reversed(self) -> Correlated:
        return Correlated(self.p_mean, self.p_cov, self.q_mean, self.q_cov)

    def distributions(self) -> list[Factor]:
        q, p = (
            Distribution(
                "MultivariateNormalTriL", {"loc": mean, "scale_tril": np.linalg.cholesky(cov)}
            )
            for mean, cov in ((self.q_mean, self.q_cov), (self.p_mean, self.p_cov))
        )
        return [Factor(1, q, p)]

    @property
    def reverse_kl(self) -> float:
        """KL(p||q) in nats, in the same rotated coordinates, where rho becomes 1 / rho."""
        a, b, _, weight = self.coefficients
        square = 1.0 + 2.0 * a  # rho^2, which has lost digits where p is far wider than q
        if square.min() < 1e-3:
            return super().reverse_kl
        gap = x_minus_log1p(-2.0 * a / square)
        return 0.5 * float(weight @ (gap + (b / square) ** 2))

    def integrals(self) -> base.Integrals:
        """The textbook's traces and determinants, without the rotation.

        KL = (tr A - D - log det A + d^T Sigma_p^-1 d) / 2 with A = Sigma_p^-1 Sigma_q and
        d = mu_q - mu_p. With B = (A - I) / 2 the m-th cumulant of l is 2^(m-3) m! times
        4 / m tr B^m + d^T Sigma_p^-1 Sigma_q B^(m-2) Sigma_p^-1 d, and
        E r^2 = det A / sqrt(det(2 A - I)) exp(d^T (2 Sigma_q - Sigma_p)^-1 d).
        """
        a = np.linalg.solve(self.p_cov, self.q_cov)
        gap = self.q_mean - self.p_mean
        moved = np.linalg.solve(self.p_cov, gap)
        kl = 0.5 * (np.trace(a) - self.dimension - np.linalg.slogdet(a)[1] + gap @ moved)
        b, power, cumulants = 0.5 * (a - np.eye(self.dimension)), np.eye(self.dimension), []
        for m in (2, 3, 4):
            even = 4.0 / m * np.sum((power @ b) * b.T)
            odd = moved @ self.q_cov @ power @ moved
            cumulants.append(2.0 ** (m - 3) * math.factorial(m) * float(even + odd))
            power = power @ b
        apart, chi_square = 2.0 * self.q_cov - self.p_cov, math.nan
        if np.linalg.eigvalsh(apart).min() > 0.0:
            log_square = (
                np.linalg.slogdet(a)[1] - 0.5 * np.linalg.slogdet(2.0 * a - np.eye(len(a)))[1]
            )
            with np.errstate(over="ignore"):
                chi_square = float(np.expm1(log_square + gap @ np.linalg.solve(apart, gap)))
        return base.Integrals(float(kl), *cumulants)._replace(chi_square=chi_square)

    def _coefficients(self) -> Coefficients:
        """The coefficients in rotated coordinates, which keep all digits near q = p.

        With Sigma_p = R R^T and R^-1 (Sigma_q - Sigma_p) R^-T = W diag(2a) W^T they are a and
        b = rho W^T R^-1 (mu_q - mu_p), where rho^2 = 1 + 2a.
        """
        from scipy.linalg import cholesky, eigh, solve_triangular

        root = cholesky(self.p_cov, lower=True)
        half = solve_triangular(root, self.q_cov - self.p_cov, lower=True)
        within = solve_triangular(root, half.T, lower=True)
        twice_a, rotation = eigh(0.5 * (within + within.T))
        shift = rotation.T @ solve_triangular(root, self.q_mean - self.p_mean, lower=True)
        twice_a = _snapped(twice_a)
        b = np.sqrt(1.0 + twice_a) * shift
        kl = 0.5 * (x_minus_log1p(twice_a) + shift * shift)
        return Coefficients(0.5 * twice_a, b, kl, np.ones(b.size))


# Eigenvalues that differ by less than this share of the largest are taken as equal.
_SAME_EIGENVALUE = 1e-12


def _snapped(values: Vector) -> Vector:
    """Ascending values, in which neighbours that differ only by rounding become their mean."""
    close = _SAME_EIGENVALUE * float(np.abs(values).max(initial=0.0))
    group = np.concatenate(([0], np.cumsum(np.diff(values) > close)))
    return np.asarray((np.bincount(group, values) / np.bincount(group))[group])


class Normal(base.Side):
    """A normal law with standard deviations `sd`, or else with the matrix `covariance`."""

    family = "normal"

    def __init__(self, mean: Vector, sd: Vector | None, covariance: Vector | None) -> None:
        self.mean, self.sd, self.covariance = mean, sd, covariance

    def against(self, p: base.Side) -> base.Pair:
        if not isinstance(p, Normal):
            return self.independent().against(p.independent())
        if self.sd is not None and p.sd is not None:
            return pair(self.mean, self.sd, p.mean, p.sd)
        dimension = max(side.mean.size for side in (self, p))
        for side in (self, p):
            dimension = max(dimension, len(side.covariance) if side.covariance is not None else 0)
        return correlated(self.mean, self.matrix(dimension), p.mean, p.matrix(dimension))

    def matrix(self, dimension: int) -> Vector:
        """The covariance matrix; a scalar standard deviation stands for `dimension` coordinates."""
        if self.covariance is not None:
            return self.covariance
        assert self.sd is not None
        return np.diag(np.broadcast_to(self.sd, (max(self.sd.size, dimension),)) ** 2)

    def independent(self) -> Independent:
        """The law as independent coordinates, for a pair with another family."""
        if self.sd is None:
            raise ValueError("normal: with a covariance, q and p must both be normal")
        side = GAUSSIAN.side({"mean": self.mean, "sd": self.sd})
        assert isinstance(side, Independent)
        return side


def _side(given: Mapping[str, Any]) -> Normal:
    check_names("normal", given, ("mean", "sd", "covariance"))
    if "mean" not in given:
        raise missing("normal", "mean")
    if ("sd" in given) == ("covariance" in given):
        raise ValueError("normal: expected either sd or covariance")
    mean = numbers("normal", "mean", given["mean"])
    if "sd" in given:
        sd = numbers("normal", "sd", given["sd"], above=0.0)
        one_length("normal", {"mean": mean, "sd": sd})
        return Normal(mean, sd, None)
    try:
        covariance = np.atleast_2d(np.asarray(given["covariance"], dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError("normal: covariance, expected rows of numbers of one length") from None
    return Normal(mean, None, covariance)


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
    one = pair(offset, 1.0, 0.0, scale)  # numbers are checked once, not once a coordinate
    return Diagonal(*(np.broadcast_to(v, (dimension,)) for v in one.vectors))


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
                f"entry ({j + 1}, {i + 1}) is {cov[j, i]:.9g}"
            )
        try:
            np.linalg.cholesky(cov)
        except np.linalg.LinAlgError:
            least = float(np.linalg.eigvalsh(cov)[0])
            raise ValueError(
                f"{name} is not positive definite: its least eigenvalue is {least:.6g}"
            ) from None
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


def kl_divergence(pair: base.Pair) -> float:
    """KL(q||p) in nats from the law of l, in closed form where the family has one."""
    return pair.law.kl


def log_density_ratio(pair: Diagonal, z: Vector) -> Vector:
    """Log q(z) - log p(z) in nats, shape (...), for points z of shape (..., dimension).

    This is the definition, which subtracts two log densities. The estimation step uses (a, b, c)
    instead, which gives the same number with a fraction of the work.
    """
    q = (z - pair.q_mean) / pair.q_sd
    p = (z - pair.p_mean) / pair.p_sd
    terms = 0.5 * (p * p - q * q) + np.log(pair.p_sd / pair.q_sd)
    return np.asarray(terms.sum(axis=-1))


NORMAL = base.Family(
    "normal",
    (),
    {
        "mean": "means",
        "sd": "standard deviations",
        "covariance": "covariance matrix, instead of sd",
    },
    _side,
    lambda shapes, dimension, scale, offset: grid_pair(dimension, scale, offset),
)
