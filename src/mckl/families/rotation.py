"""The coordinates in which two normal laws with full covariances are a diagonal pair.

With Sigma_p = R R^T and R^-1 (Sigma_q - Sigma_p) R^-T = W diag(2a) W^T, the coefficients of the log
density ratio are a and b = rho W^T R^-1 (mu_q - mu_p), where rho^2 = 1 + 2a.

A root R that is computed is that of a matrix nearby, and solving with it loses as many digits as R
is ill-conditioned. Both are mended by a step of iterative refinement each, with residuals that
`mckl.families.split_product` computes without rounding. What remains is bounded by the residuals.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular, svd

from mckl.arrays import Vector
from mckl.exact.integrands import x_minus_log1p
from mckl.exact.moments import EPS
from mckl.families.quadratic_law import Coefficients, Errors
from mckl.families.split_product import product, two_sum

# Eigenvalues that differ by less than this share of the largest are taken as equal.
_SAME_EIGENVALUE = 1e-12
_STEPS = 3  # the most steps of refinement


def rotated(
    q_mean: Vector, q_cov: Vector, p_mean: Vector, p_cov: Vector
) -> tuple[Coefficients, Errors]:
    """The coefficients of the pair and bounds on their errors."""
    frame = _Frame(p_cov)
    within, within_error = frame.congruent(*two_sum(q_cov, -p_cov))
    shift, shift_error = frame.solved(*two_sum(q_mean, -p_mean))
    exact_t, rotation = eigh(within)
    t, shift = _snapped(exact_t), rotation.T @ shift
    within_error += frame.growth * _size(within)
    shift_error += frame.growth * _size(shift)

    square = 1.0 + t
    b = np.sqrt(square) * shift
    t_error = within_error + np.abs(t - exact_t) + 8.0 * EPS * np.abs(t)
    # The square root moves by at most the root of the error.
    of_root = np.minimum(np.sqrt(t_error), t_error / np.sqrt(square))
    b_error = np.sqrt(square) * shift_error + np.abs(shift) * of_root + 4.0 * EPS * np.abs(b)
    gap, gap_error = _gap(t, t_error, q_cov, frame)
    kl = 0.5 * (gap + shift * shift)
    kl_error = 0.5 * gap_error + np.abs(shift) * shift_error + shift_error**2 + 16.0 * EPS * kl
    mixed = 2.0 * _size(shift) * np.maximum(math.sqrt(square[-1]), 1.0 / np.sqrt(square))
    errors = Errors(0.5 * t_error, b_error, kl_error, mixed)
    return Coefficients(0.5 * t, b, kl, np.ones(b.size)), errors


def rotated_roots(
    q_mean: Vector, q_root: Vector, p_mean: Vector, p_root: Vector
) -> tuple[Coefficients, Errors]:
    """As `rotated`, from lower triangular roots L of the covariances L L^T.

    The condition number of L is the square root of the covariance's, so that a root keeps twice as
    many digits. Near q = p the coefficients follow from E = L_p^-1 L_q - I, which is solved for by
    itself: 2a are the eigenvalues of E + E^T + E E^T. Elsewhere rho are the singular values of
    I + E.
    """
    n = len(p_root)
    growth = EPS * (8.0 + 4.0 * math.sqrt(n))
    inverse = np.abs(solve_triangular(p_root, np.eye(n), lower=True))
    loss = growth * _size(inverse @ np.abs(p_root))
    apart = solve_triangular(p_root, q_root - p_root, lower=True)
    if _size(apart) < 0.5:
        error = loss * _size(apart)
        t, rotation = eigh(apart + apart.T + apart @ apart.T)
        rho = np.sqrt(1.0 + t)
    else:
        m = solve_triangular(p_root, q_root, lower=True)
        error = loss * _size(m)
        rotation, rho, _ = svd(m)
        rotation, rho = rotation[:, ::-1], rho[::-1]
        t = (rho - 1.0) * (rho + 1.0)
    shift = rotation.T @ solve_triangular(p_root, q_mean - p_mean, lower=True)
    snapped = _snapped(t)
    t_error = 2.0 * (rho + error) * error + np.abs(t - snapped) + 8.0 * EPS * np.abs(t)
    shift_error = (loss + growth) * _size(shift)
    b, b_error = rho * shift, rho * shift_error + np.abs(shift) * error
    far = np.abs(snapped) > 0.5
    near = x_minus_log1p(np.where(far, 0.0, snapped))
    kl = 0.5 * (np.where(far, snapped - 2.0 * np.log(rho), near) + shift * shift)
    least = np.maximum(1.0 + snapped - t_error, 0.0)
    with np.errstate(divide="ignore"):
        kl_error = 0.5 * t_error * np.abs(snapped) / least + np.abs(shift) * shift_error
    kl_error += 16.0 * EPS * kl
    mixed = 2.0 * _size(shift) * np.maximum(rho[-1], 1.0 / rho)
    errors = Errors(0.5 * t_error, b_error + 4.0 * EPS * np.abs(b), kl_error, mixed)
    return Coefficients(0.5 * snapped, b, kl, np.ones(n)), errors


def _gap(t: Vector, t_error: Vector, q_cov: Vector, frame: _Frame) -> tuple[Vector, Vector]:
    """The numbers t - log(1 + t), and bounds of which only the sum counts.

    Where q is far narrower than p, 1 + t has few digits. Then the sum of the logarithms is taken
    from the two determinants.
    """
    square = 1.0 + t
    least = square - t_error
    with np.errstate(divide="ignore"):
        error = np.where(least > 0.0, t_error * np.abs(t) / least, math.inf)
    value = x_minus_log1p(t)
    if error.sum() <= 1e-13 * value.sum():
        return value, error
    of_p, of_q = frame.log_determinant, _Frame(q_cov).log_determinant
    total = float(t.sum()) - (of_q[0] - of_p[0])
    bound = float(t_error.sum() + 2.0 * EPS * np.abs(t).sum()) + of_q[1] + of_p[1]
    if bound >= error.sum():
        return value, error
    share = (1.0 / square) / (1.0 / square).sum()
    return value + (total - value.sum()) * share, bound * share


class _Frame:
    """The coordinates in which a covariance is the identity.

    A point x is R R' y there, with R' near the identity such that R R' R'^T R^T is the covariance.
    """

    def __init__(self, covariance: Vector) -> None:
        n = len(covariance)
        # Rounding errors of sums of n terms grow as the root of n (Higham & Mary, "A new approach
        # to probabilistic rounding error analysis", 2019).
        self.growth = EPS * (8.0 + 4.0 * math.sqrt(n))
        self._root = cholesky(covariance, lower=True)
        self._inverse = np.abs(solve_triangular(self._root, np.eye(n), lower=True))
        self._loss = self.growth * _size(self._inverse @ np.abs(self._root))
        high, low = product(self._root, self._root.T)
        missing = (covariance - high) - low
        identity = np.eye(n) + self._back(missing)
        self._identity_error = self._bound(missing) + self.growth
        try:
            self._correction = cholesky(identity, lower=True)
        except np.linalg.LinAlgError:  # no digit of R is right
            self._correction, self._identity_error = np.eye(n), math.inf

    @property
    def log_determinant(self) -> tuple[float, float]:
        """The logarithm of the covariance's determinant, and a bound on its error."""
        logs = 2.0 * np.log(np.stack((np.diag(self._root), np.diag(self._correction))))
        error = len(self._root) * self._identity_error + self.growth * float(np.abs(logs).sum())
        return float(logs.sum()), error

    def _back(self, matrix: Vector) -> Vector:
        """R^-1 M R^-T for a symmetric M."""
        half = solve_triangular(self._root, matrix, lower=True)
        out = solve_triangular(self._root, half.T, lower=True)
        return np.asarray(0.5 * (out + out.T))

    def _bound(self, matrix: Vector) -> float:
        """A bound on the error of `_back`."""
        if self._loss > 0.1:
            return math.inf
        return 4.0 * self._loss * _size(self._inverse @ np.abs(matrix) @ self._inverse.T)

    def congruent(self, high: Vector, low: Vector) -> tuple[Vector, float]:
        """The matrix high + low in these coordinates, and a bound on its error in any direction."""
        out, error = np.zeros_like(high), math.inf
        for _ in range(_STEPS):
            top, rest = product(self._root, out)
            more, last = product(top, self._root.T)
            missing = (high - more) + (low - last - rest @ self._root.T)
            step = self._back(missing)
            out, error = out + step, self._bound(missing)
            if error <= self.growth * _size(out):
                break
        half = solve_triangular(self._correction, out, lower=True)
        out = solve_triangular(self._correction, half.T, lower=True)
        size = _size(out)
        return 0.5 * (out + out.T), 2.0 * (
            error + (2.0 * self.growth + self._identity_error) * size
        )

    def solved(self, high: Vector, low: Vector) -> tuple[Vector, float]:
        """The vector high + low in these coordinates, and a bound on the length of its error."""
        out, error = np.zeros_like(high), math.inf
        for _ in range(_STEPS):
            top, rest = product(self._root, out[:, None])
            missing = (high - top[:, 0]) + (low - rest[:, 0])
            out = out + solve_triangular(self._root, missing, lower=True)
            error = 2.0 * self._loss * _size(self._inverse @ np.abs(missing))
            if error <= self.growth * _size(out):
                break
        out = solve_triangular(self._correction, out, lower=True)
        return out, 2.0 * (error + (self.growth + self._identity_error) * _size(out))


def _size(x: Vector) -> float:
    return float(np.linalg.norm(x))


def _snapped(values: Vector) -> Vector:
    """Ascending values, in which neighbours that differ only by rounding become their mean."""
    close = _SAME_EIGENVALUE * float(np.abs(values).max(initial=0.0))
    group = np.concatenate(([0], np.cumsum(np.diff(values) > close)))
    return np.asarray((np.bincount(group, values) / np.bincount(group))[group])
