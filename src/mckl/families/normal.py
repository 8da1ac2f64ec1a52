"""A pair of diagonal Gaussians, reduced to the coefficients of its log density ratio.

With epsilon standard normal and z = mu_q + sigma_q epsilon, the log density ratio is
a sum over coordinates (docs/theory.md, section 1),

    log q(z) - log p(z) = sum_i  c_i + a_i epsilon_i^2 + b_i epsilon_i,

so everything that the study says about a pair, it says from (a, b, c).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]


def x_minus_log1p(x: ArrayLike) -> Vector:
    """``x - log(1 + x)`` to full relative accuracy for every x > -1.

    The two terms agree to first order, so near 0 the plain difference has no correct
    digit left; there log(1 + x) = 2 artanh(s) with s = x / (2 + x) gives a quotient
    without cancellation and a short series.
    """
    x = np.asarray(x, dtype=np.float64)
    near = np.abs(x) < 0.5
    small = np.where(near, x, 0.0)
    s = small / (2.0 + small)
    s2 = s * s
    series = np.zeros_like(s)
    for k in range(17, 0, -1):
        series = series * s2 + 1.0 / (2 * k + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        far = x - np.log1p(np.where(near, 0.0, x))
    return np.where(near, small * small / (2.0 + small) - 2.0 * s * s2 * series, far)


class Pair(NamedTuple):
    """The sampled q and the reference p, diagonal Gaussians of one dimension.

    Each field has shape (dimension,). Build it with `pair`, which checks.
    """

    q_mean: Vector
    q_sd: Vector
    p_mean: Vector
    p_sd: Vector

    @property
    def dimension(self) -> int:
        return self.q_mean.size

    def reversed(self) -> Pair:
        """The same pair with the roles of q and p exchanged."""
        return Pair(self.p_mean, self.p_sd, self.q_mean, self.q_sd)


def pair(q_mean: ArrayLike, q_sd: ArrayLike, p_mean: ArrayLike, p_sd: ArrayLike) -> Pair:
    """A `Pair` from vectors; a scalar stands for every coordinate.

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
    return Pair(*(np.broadcast_to(v, (dimension,)) for v in vectors))


def grid_pair(dimension: int, scale: float, offset: float) -> Pair:
    """The pair of a grid setting: q = N(offset, I) and p = N(0, scale^2 I).

    `scale` is sigma_p / sigma_q and `offset` is (mu_q - mu_p) / sigma_q, the same in every
    coordinate; the vectors are views of one number, so a dimension of 10^6 costs nothing.
    """
    one = pair(offset, 1.0, 0.0, scale)  # checked as numbers, not as 10^9 copies of them
    return Pair(*(np.broadcast_to(v, (dimension,)) for v in one))


class Coefficients(NamedTuple):
    """What the law of the log density ratio depends on, one row per distinct coordinate.

    a, b      as in the module's formula
    kl        the coordinate's share of KL(q||p), which is c + a, without cancellation
    weight    in how many coordinates this row stands

    All have shape (rows,).
    """

    a: Vector
    b: Vector
    kl: Vector
    weight: Vector


def _compress(vectors: tuple[Vector, ...]) -> tuple[tuple[Vector, ...], Vector]:
    """Identical coordinates, counted once; vectors that are views of one number stay O(1)."""
    dimension = vectors[0].size
    if all(v.strides == (0,) for v in vectors):
        return tuple(v[:1] for v in vectors), np.array([float(dimension)])
    return tuple(np.ascontiguousarray(v) for v in vectors), np.ones(dimension)


def coefficients(pair: Pair) -> Coefficients:
    """The coefficients (a, b, kl) of a pair's log density ratio.

    With rho = sigma_q / sigma_p and delta = mu_q - mu_p: a = (rho^2 - 1) / 2,
    b = sigma_q delta / sigma_p^2. Exact to rounding near scale 1 and offset 0.
    """
    vectors, weight = _compress(tuple(pair))
    a, b, kl = (np.empty(weight.size) for _ in range(3))
    for start in range(0, weight.size, _ROWS):
        here = slice(start, start + _ROWS)
        a[here], b[here], kl[here] = _coefficients(*(v[here] for v in vectors))
    return Coefficients(a, b, kl, weight)


_ROWS = 2**13  # coordinates at a time: what is made of them stays in cache


def _coefficients(
    q_mean: Vector, q_sd: Vector, p_mean: Vector, p_sd: Vector
) -> tuple[Vector, Vector, Vector]:
    excess = (q_sd - p_sd) / p_sd  # rho - 1: the subtraction is exact where rho is near 1
    twice_a = excess * (2.0 + excess)
    shift = (q_mean - p_mean) / p_sd
    b = (q_sd / p_sd) * shift
    # Far from scale 1, rho^2 - 1 has forgotten the digits of rho^2 that its logarithm needs.
    far = np.abs(twice_a) > 0.5
    gap = np.where(far, twice_a - 2.0 * np.log(q_sd / p_sd), x_minus_log1p(twice_a))
    kl = 0.5 * (gap + shift * shift)
    return 0.5 * twice_a, b, kl


def kl_divergence(pair: Pair) -> float:
    """KL(q||p) in nats, in closed form: sum of (rho^2 - 1 - log rho^2 + delta^2/sigma_p^2) / 2."""
    c = coefficients(pair)
    return float(np.sum(c.kl * c.weight))


def log_density_ratio(pair: Pair, z: Vector) -> Vector:
    """Log q(z) - log p(z) in nats for points z of shape (..., dimension), by the definition.

    This is the notebook's formula: two log densities, subtracted. The estimation step
    uses (a, b, c) instead, which is the same number at a fraction of the work.
    """
    q = (z - pair.q_mean) / pair.q_sd
    p = (z - pair.p_mean) / pair.p_sd
    terms = 0.5 * (p * p - q * q) + np.log(pair.p_sd / pair.q_sd)
    return np.asarray(terms.sum(axis=-1))
