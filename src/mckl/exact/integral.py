"""Mean and variance of l as integrals of its definition: what closed forms are checked against."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mckl.families.normal import Pair, Vector


class Integrals(NamedTuple):
    """KL(q||p) in nats and the variance of l in nats squared."""

    kl: float
    log_ratio_variance: float


def integrals(pair: Pair) -> Integrals:
    """Mean and variance of log q - log p under q, coordinate by coordinate.

    Gauss-Hermite quadrature in (z - mu_q) / sigma_q of the two log densities' difference, as
    the definition has it: no formula for an expectation is used. The integrand is smooth, and
    for normal laws a polynomial, for which the rule is exact.
    """
    vectors, copies = tuple(pair), 1
    if all(v.strides == (0,) for v in vectors):  # views of one number: all coordinates are alike
        vectors, copies = tuple(v[:1] for v in vectors), pair.dimension
    q_mean, q_sd, p_mean, p_sd = vectors
    shift, ratio = (q_mean - p_mean) / p_sd, q_sd / p_sd  # z - mu_p = (z - mu_q) + (mu_q - mu_p)
    log_ratio = np.log(ratio)
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights /= weights.sum()

    def ell(x: float) -> Vector:
        y = shift + ratio * x
        return np.asarray(0.5 * (y - x) * (y + x) - log_ratio)

    mean = sum(w * ell(x) for x, w in zip(nodes, weights, strict=True))
    variance = sum(w * (ell(x) - mean) ** 2 for x, w in zip(nodes, weights, strict=True))
    return Integrals(copies * float(np.sum(mean)), copies * float(np.sum(variance)))
