"""The coordinates in which two normal laws with full covariances are a diagonal pair.

With Sigma_p = R R^T and R^-1 (Sigma_q - Sigma_p) R^-T = W diag(2a) W^T, the coefficients of the log
density ratio are a and b = rho W^T R^-1 (mu_q - mu_p), where rho^2 = 1 + 2a.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, svd

from mckl.arrays import Vector
from mckl.exact.moments import EPS, Bounded
from mckl.exact.remainders import x_minus_log1p
from mckl.families.normal.covariance_root import (
    MeasuredRoot,
    RefinedRoot,
    Root,
    frobenius,
    spectral_bound,
)
from mckl.families.normal.law import Coefficients, Errors, QuadraticLaw
from mckl.families.normal.split_product import two_sum

# KL and Var l whose relative errors are at most so much need no refinement.
ENOUGH = 1e-11
# Eigenvalues that differ by less than this share of the largest are taken as equal.
_SAME_EIGENVALUE = 1e-12
_LEAST = 1e-150  # stands for a rho of which rounding left nothing


class Rotated(NamedTuple):
    """The coefficients of a pair, bounds on their errors and on that of KL, and KL(p||q)."""

    coefficients: Coefficients
    errors: Errors
    kl_error: float
    reverse_kl: Bounded

    def law(self) -> QuadraticLaw:
        """The law of l."""
        return QuadraticLaw(self.coefficients, self.errors, self.kl_error)

    def is_enough(self) -> bool:
        """Whether KL and Var l need no more digits."""
        law = self.law()
        kl, variance = Bounded(law.kl, law.kl_error), law.ell(2).at(2)
        return kl.relative <= ENOUGH and variance.relative <= ENOUGH


class _Eigenvalues(NamedTuple):
    """The numbers t = rho^2 - 1 and rho, and bounds on the errors of t."""

    t: Vector
    error: Vector
    rho: Vector


def rotated(q_mean: Vector, q_cov: Vector, p_mean: Vector, p_cov: Vector) -> Rotated:
    """The pair's coefficients from covariances, whose roots are refined where that is needed."""
    out = _of_covariances(q_mean, q_cov, p_mean, p_cov, MeasuredRoot)
    if not out.is_enough():
        out = _of_covariances(q_mean, q_cov, p_mean, p_cov, RefinedRoot)
    return out


def _of_covariances(
    q_mean: Vector, q_cov: Vector, p_mean: Vector, p_cov: Vector,
    root: type[MeasuredRoot | RefinedRoot],
) -> Rotated:  # fmt: skip
    p = root(p_cov)
    t, error, rotation = p.eigenvalues(*two_sum(q_cov, -p_cov))
    shift, shift_error = p.solved(*two_sum(q_mean, -p_mean))
    rho = np.sqrt(np.maximum(1.0 + t, _LEAST**2))
    values = _Eigenvalues(t, np.full(t.size, error), rho)
    return _rotated(values, rotation.T @ shift, shift_error, lambda: (root(q_cov), p))


def rotated_roots(q_mean: Vector, q_root: Vector, p_mean: Vector, p_root: Vector) -> Rotated:
    """As `rotated`, from lower triangular roots L of the covariances L L^T.

    The condition number of L is the square root of the covariance's, so that a root keeps twice as
    many digits. Near q = p the coefficients follow from E = L_p^-1 L_q - I, which is solved for by
    itself: 2a are the eigenvalues of E + E^T + E E^T. Elsewhere rho are the singular values of
    I + E.
    """
    p, n = Root(p_root), len(p_root)
    high, low = two_sum(q_root, -p_root)
    apart = p.into(high)
    if frobenius(apart) < 0.5:
        t, rotation = eigh(apart + apart.T + apart @ apart.T, driver="evd")

        def error(x: Vector) -> Vector:
            y = p.transposed(x)
            y = high.T @ y + low.T @ y
            both = x + y
            out = y + p.into(high @ both + low @ both)
            return out - rotation @ (t[:, None] * (rotation.T @ x))

        t_error = np.full(n, spectral_bound(error, error, n) + p.growth * np.abs(t).max())
        values = _Eigenvalues(t, t_error, np.sqrt(1.0 + t))
    else:
        left, rho, right = svd(p.into(q_root))
        rotation, rho, right = left[:, ::-1], rho[::-1], right[::-1]

        def error(x: Vector) -> Vector:
            return p.into(q_root @ x) - rotation @ (rho[:, None] * (right @ x))

        def transposed(y: Vector) -> Vector:
            return q_root.T @ p.transposed(y) - right.T @ (rho[:, None] * (rotation.T @ y))

        rho_error = spectral_bound(error, transposed, n) + p.growth * rho[-1]
        t_error = 2.0 * (rho + rho_error) * rho_error
        values = _Eigenvalues((rho - 1.0) * (rho + 1.0), t_error, np.maximum(rho, _LEAST))
    shift, shift_error = p.solved(*two_sum(q_mean, -p_mean))
    return _rotated(values, rotation.T @ shift, shift_error, lambda: (Root(q_root), p))


def _rotated(
    values: _Eigenvalues, shift: Vector, shift_error: float, roots: Callable[[], tuple[Root, Root]]
) -> Rotated:
    """The coefficients from ascending eigenvalues and the shift W^T R^-1 (mu_q - mu_p).

    The roots of q and p are asked for where KL needs their determinants.
    """
    exact_t, t_error, rho = values
    t = _snapped(exact_t)
    t_error = t_error + np.abs(t - exact_t) + 8.0 * EPS * np.abs(t)
    values = _Eigenvalues(t, t_error, rho)
    b = rho * shift
    # The square root of a number moves by at most the root of the number's error.
    of_rho = np.minimum(np.sqrt(t_error), t_error / rho)
    b_error = rho * shift_error + np.abs(shift) * of_rho + 4.0 * EPS * np.abs(b)
    gap, gap_error, of_gaps = _gap(values, roots)
    kl = 0.5 * (gap + shift * shift)
    kl_error = 0.5 * gap_error + np.abs(shift) * shift_error + shift_error**2 + 16.0 * EPS * kl
    of_shift = (frobenius(shift) + shift_error) * shift_error
    total = 0.5 * of_gaps + of_shift + 16.0 * EPS * float(kl.sum())
    mixed = 2.0 * frobenius(shift) * np.maximum(rho[-1], 1.0 / rho)
    return Rotated(
        Coefficients(0.5 * t, b, kl, np.ones(b.size)),
        Errors(0.5 * t_error, b_error, kl_error, mixed),
        total,
        _reverse_kl(values, shift, shift_error),
    )


def _gap(
    values: _Eigenvalues, roots: Callable[[], tuple[Root, Root]]
) -> tuple[Vector, Vector, float]:
    """The numbers t - log(1 + t), bounds on their errors, and a bound on that of their sum.

    Where q is far narrower than p, 1 + t has few digits. Then the sum of the logarithms is taken
    from the two determinants, and the logarithm with the largest error from that sum.
    """
    t, t_error, rho = values
    value = _less_log(t, rho)
    least = np.maximum(rho * rho - t_error, 0.0)
    with np.errstate(divide="ignore"):
        error = np.where(least > 0.0, t_error * np.abs(t) / least, math.inf)
    if error.sum() > 0.5 * ENOUGH * value.sum():
        of_q, of_p = (root.log_determinant for root in roots())
        total = float(t.sum()) - (of_q.value - of_p.value)
        bound = float(t_error.sum() + 2.0 * EPS * np.abs(t).sum()) + of_q.error + of_p.error
        if bound < error.sum():
            worst = int(error.argmax())
            others = np.delete(error, worst).sum()
            value[worst] += total - value.sum()
            error[worst] = bound + others
            return value, error, bound
    return value, error, float(error.sum())


def _less_log(t: Vector, rho: Vector) -> Vector:
    """The numbers t - log(1 + t), where 1 + t = rho^2."""
    far = np.abs(t) > 0.5
    return np.where(far, t - 2.0 * np.log(rho), x_minus_log1p(np.where(far, 0.0, t)))


def _reverse_kl(values: _Eigenvalues, shift: Vector, shift_error: float) -> Bounded:
    """KL(p||q), where 1 / rho and shift / rho take the places of rho and the shift."""
    t, t_error, rho = values
    with np.errstate(all="ignore"):
        square = rho * rho
        least = np.maximum(square - t_error, 0.0)
        value = 0.5 * (_less_log(-t / square, 1.0 / rho) + shift * shift / square)
        of_t = t_error * (np.abs(t) + t_error + (np.abs(shift) + shift_error) ** 2) / least**2
        of_shift = shift_error * (2.0 * np.abs(shift) + shift_error) / least
        error = 0.5 * (of_t + of_shift) + 32.0 * EPS * value
    bound = float(error.sum()) + EPS * math.log2(2 * t.size) * float(value.sum())
    return (
        Bounded(float(value.sum()), bound) if math.isfinite(bound) else Bounded(math.nan, math.inf)
    )


def _snapped(values: Vector) -> Vector:
    """Ascending values, in which neighbours that differ only by rounding become their mean."""
    close = _SAME_EIGENVALUE * float(np.abs(values).max(initial=0.0))
    group = np.concatenate(([0], np.cumsum(np.diff(values) > close)))
    return np.asarray((np.bincount(group, values) / np.bincount(group))[group])
