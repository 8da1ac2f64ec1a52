"""The functions of the log density ratio l whose running moments the estimators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mckl.gaussians import Vector


def ratio_minus_one(ell: Vector) -> Vector:
    """The ratio less one, r - 1 = e^{-l} - 1, exact for small l."""
    return np.expm1(-ell)


def k3(ell: Vector) -> Vector:
    """The sum r - 1 + l >= 0. For |l| < 1e-3 by its series, since there r - 1 and -l cancel."""
    series = ell * ell * (0.5 - ell * (1 / 6 - ell * (1 / 24 - ell * (1 / 120))))
    return np.where(np.abs(ell) < 1e-3, series, ratio_minus_one(ell) + ell)


INTEGRANDS: Mapping[str, Callable[[Vector], Vector]] = {
    "ell": lambda ell: ell,
    "half_square": lambda ell: 0.5 * ell * ell,
    "ratio": ratio_minus_one,
    "k3": k3,
}
