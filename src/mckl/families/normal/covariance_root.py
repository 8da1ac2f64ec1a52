"""Lower triangular roots R of covariances, and coordinates R^-1 z in which they are the identity.

A root that is computed is that of a matrix nearby, and solving with it loses as many digits as R is
ill-conditioned. `MeasuredRoot` measures what was lost, in random directions. `RefinedRoot` mends
both, with residuals that `mckl.families.normal.split_product` computes without rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

from mckl.arrays import Vector
from mckl.exact.moments import EPS, Bounded
from mckl.families.normal.split_product import product

_DIRECTIONS = 10  # random vectors in which errors are measured
_STEPS = 3  # the most steps of refinement
_CALM = 1e-12  # a relative error of so much needs no refinement


class Root:
    """A root R of the covariance R R^T.

    Where R R^T is a covariance only up to rounding, `identity_error` bounds the eigenvalues of
    R^-1 Sigma R^-T - I. A factor `growth` bounds what rounding does to products and solutions.
    """

    identity_error: float = 0.0

    def __init__(self, root: Vector) -> None:
        # Rounding errors of sums of n terms grow as the root of n (Higham & Mary, "A new approach
        # to probabilistic rounding error analysis", 2019).
        self.growth: float = EPS * (8.0 + 4.0 * math.sqrt(len(root)))
        self.root = root

    def into(self, x: Vector) -> Vector:
        """R^-1 x."""
        return np.asarray(solve_triangular(self.root, x, lower=True))

    def congruent(self, matrix: Vector) -> Vector:
        """R^-1 M R^-T for a symmetric M."""
        out = self.into(self.into(matrix).T)
        return 0.5 * (out + out.T)

    def transposed(self, x: Vector) -> Vector:
        """R^-T x."""
        return np.asarray(solve_triangular(self.root, x, lower=True, trans="T"))

    def solved(self, high: Vector, low: Vector) -> tuple[Vector, float]:
        """R^-1 times the vector high + low, and a bound on the length of its error."""
        out = self.into(high)
        error = self.growth * frobenius(self._inverse @ (np.abs(self.root) @ np.abs(out)))
        for _ in range(_STEPS):
            if error <= _CALM * frobenius(out):
                break
            top, rest = product(self.root, out[:, None])
            missing = (high - top[:, 0]) + (low - rest[:, 0])
            out = out + self.into(missing)
            error = 2.0 * self._loss * frobenius(self._inverse @ np.abs(missing))
        return out, 2.0 * (error + (self.growth + self.identity_error) * frobenius(out))

    @property
    def log_determinant(self) -> Bounded:
        """The logarithm of the covariance's determinant."""
        return self._log_determinant(np.diag(self.root))

    def _log_determinant(self, diagonal: Vector) -> Bounded:
        logs = 2.0 * np.log(np.abs(diagonal))
        error = len(self.root) * self.identity_error
        return Bounded(float(logs.sum()), error + self.growth * float(np.abs(logs).sum()))

    @cached_property
    def _inverse(self) -> Vector:
        return np.abs(self.into(np.eye(len(self.root))))

    @cached_property
    def _loss(self) -> float:
        return self.growth * _largest(self._inverse, np.abs(self.root))


class MeasuredRoot(Root):
    """The root of a covariance as Cholesky's algorithm gives it."""

    def __init__(self, covariance: Vector) -> None:
        super().__init__(cholesky(covariance, lower=True))

        def error(x: Vector) -> Vector:
            return self.into(covariance @ self.transposed(x)) - x

        self.identity_error: float = spectral_bound(error, error, len(covariance)) + self.growth

    def eigenvalues(self, high: Vector, low: Vector) -> tuple[Vector, float, Vector]:
        """Those of high + low in these coordinates, a bound on their errors, and eigenvectors."""
        t, rotation = eigh(self.congruent(high), driver="evd")

        def error(x: Vector) -> Vector:
            y = self.transposed(x)
            return self.into(high @ y + low @ y) - rotation @ (t[:, None] * (rotation.T @ x))

        relative = self.growth + 2.0 * self.identity_error
        bound = spectral_bound(error, error, t.size) + relative * float(np.abs(t).max())
        return t, bound, rotation


class RefinedRoot(Root):
    """A root R C of a covariance, where C, near the identity, mends the rounding of R."""

    def __init__(self, covariance: Vector) -> None:
        super().__init__(cholesky(covariance, lower=True))
        high, low = product(self.root, self.root.T)
        missing = (covariance - high) - low
        identity = np.eye(len(covariance)) + self.congruent(missing)
        self.identity_error: float = self._bound(missing) + self.growth
        try:
            self._correction = Root(cholesky(identity, lower=True))
        except np.linalg.LinAlgError:  # no digit of R is right
            self._correction, self.identity_error = Root(np.eye(len(covariance))), math.inf

    def solved(self, high: Vector, low: Vector) -> tuple[Vector, float]:
        out, error = super().solved(high, low)
        return self._correction.into(out), error

    @property
    def log_determinant(self) -> Bounded:
        return self._log_determinant(np.diag(self.root) * np.diag(self._correction.root))

    def eigenvalues(self, high: Vector, low: Vector) -> tuple[Vector, float, Vector]:
        """As `MeasuredRoot.eigenvalues`."""
        out, error = np.zeros_like(high), math.inf
        for _ in range(_STEPS):
            top, rest = product(self.root, out)
            more, last = product(top, self.root.T)
            missing = (high - more) + (low - last - rest @ self.root.T)
            out, error = out + self.congruent(missing), self._bound(missing)
            if error <= self.growth * frobenius(out):
                break
        t, rotation = eigh(self._correction.congruent(out), driver="evd")
        relative = 4.0 * self.growth + 2.0 * self.identity_error
        return t, 2.0 * error + relative * float(np.abs(t).max()), rotation

    def _bound(self, matrix: Vector) -> float:
        """A bound on the error of `congruent`."""
        if self._loss > 0.1:
            return math.inf
        return 4.0 * self._loss * _largest(self._inverse, np.abs(matrix), self._inverse.T)


def spectral_bound(
    error: Callable[[Vector], Vector], transposed: Callable[[Vector], Vector], n: int
) -> float:
    """A bound on the largest singular value of an n x n matrix E, from E x and E^T x.

    That of A = E E^T E, its cube, is at most 10 sqrt(2 / pi) times the longest of A x for ten
    random x, but for a probability of 1e-10 (Halko, Martinsson & Tropp, "Finding structure with
    randomness", 2011, lemma 4.1).
    """
    x = np.random.default_rng(0).normal(size=(n, _DIRECTIONS))
    longest = np.linalg.norm(error(transposed(error(x))), axis=0).max()
    return math.cbrt(10.0 * math.sqrt(2.0 / math.pi) * float(longest))


def frobenius(x: Vector) -> float:
    """The Frobenius norm."""
    return float(np.linalg.norm(x))


def _largest(*factors: Vector) -> float:
    """A bound on the largest singular value of a product of matrices without negative entries.

    It is the root of the largest row sum of A^T A.
    """
    x = np.ones(factors[-1].shape[1])
    for factor in reversed(factors):
        x = factor @ x
    for factor in factors:
        x = factor.T @ x
    return math.sqrt(float(x.max()))
