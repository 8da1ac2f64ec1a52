"""Moments of l under tilts, from a law's tilted cumulants."""

from __future__ import annotations

import math

import numpy as np

from mckl.exact import joint
from mckl.exact.law import Law, Tilt
from mckl.exact.moments import Moments


def tilted_moment(law: Law, tilt: Tilt, i: int, j: int) -> float:
    """E Q^i L^j e^{T (KL + Q) + S L}."""
    order = max(i + j, 2)
    kappa = np.zeros((order + 1, order + 1))
    for a, b in joint.indices(2, order):
        if a + b and (a + b <= i + j or a + b == 1):
            kappa[a, b] = law.cumulant(a, b, tilt)
    mu = joint.central_moments(Moments(kappa, np.zeros_like(kappa)), 2).value
    means = kappa[1, 0], kappa[0, 1]
    total = sum(
        math.comb(i, a) * math.comb(j, b) * mu[a, b] * means[0] ** (i - a) * means[1] ** (j - b)
        for a in range(i + 1)
        for b in range(j + 1)
    )
    return float(total) * math.exp(law.log_mgf(tilt))
