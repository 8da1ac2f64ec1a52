"""The function e^x - 1 - x, which is r - 1 + l at x = -l."""

from __future__ import annotations

import numpy as np

from mckl.arrays import Vector


def phi(x: Vector) -> Vector:
    """The function e^x - 1 - x, whose relative error is at most 8 EPS."""
    small = np.abs(x) < 0.3
    y = np.where(small, x, 0.0)
    series = np.zeros_like(y)
    for k in range(12, 0, -1):
        series = (series + 1.0) * y / (k + 2.0)
    with np.errstate(over="ignore"):
        return np.where(small, 0.5 * y * y * (1.0 + series), np.expm1(x) - x)
