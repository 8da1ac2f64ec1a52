"""k1, k2 and k3 as functions of l = log q(z) - log p(z), used as rewards and as losses.

In a reward, the value of the function multiplies the score. A loss is differentiated in log q at
fixed samples, so that its derivative in l multiplies the score. With r = e^(-l) this derivative is
1 for k1, l for k2 and 1 - r for k3.
"""

from __future__ import annotations

import math

import numpy as np

from mckl.arrays import Vector
from mckl.families.scores import ELL, Weight, linear

K1, K3 = ELL, linear(ell=1.0, ratio=1.0)
SLOPE_OF_K2 = ELL


def slope(value: Weight) -> Weight:
    """The derivative in l of a weight with `terms`."""
    assert value.terms is not None
    _, ell, ratio = value.terms
    return linear(ell - ratio, 0.0, -ratio)


def plus(f: Weight, g: Weight) -> Weight:
    """The sum of two weights with `terms`."""
    assert f.terms is not None
    assert g.terms is not None
    return linear(*(a + b for a, b in zip(f.terms, g.terms, strict=True)))


def clamped(value: Weight, low: float, high: float) -> Weight:
    """A function of l that keeps its values at l = low and at l = high beyond these."""
    return Weight(lambda ell: value.at(np.clip(ell, low, high)), kinks=(low, high))


def cut(weight: Weight, low: float, high: float) -> Weight:
    """The derivative of a function that is clamped at l = low and l = high: 0 beyond these."""

    def value_at(l: Vector) -> Vector:  # noqa: E741 - the log density ratio
        return np.where((l > low) & (l < high), weight.at(np.clip(l, low, high)), 0.0)

    return Weight(value_at, kinks=(low, high))


def k3_below(most: float) -> tuple[float, float]:
    """The two l between which k3 = e^(-l) - 1 + l is below this value."""

    def root(outside: float) -> float:
        inside = 0.0
        for _ in range(200):
            middle = 0.5 * (inside + outside)
            above = math.exp(-middle) - 1.0 + middle > most
            inside, outside = (inside, middle) if above else (middle, outside)
        return inside

    return root(-most - 2.0), root(most + 2.0)
