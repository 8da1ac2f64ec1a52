"""What heavy tails do to k1, k3, cv and Sobol' points, by exact theory alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import fewest_samples
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import sweep_pair

# From the lightest tails to the heaviest.
FAMILIES = ("normal", "logistic", "laplace", "student-t(10)", "student-t(3)")
SHOWN = ("k1", "k3", "cv")
OFFSET, TOLERANCE, LARGE, BALANCED = 0.25, 0.01, 16, 1024
LOW, HIGH = 0.6, 4.0  # the scales
_NODES = (24, 6)  # the numbers of scales below and above the border


def ratio_border(family: str, offset: float = 0.0) -> float:
    """The scale from which on E r^2 is infinite, by bisection; inf if it is finite up to 16."""

    def finite(scale: float) -> bool:
        return sweep_pair(family, 1, scale, offset).law.ratio_variance_finite

    low, high = 1.0, 16.0
    if finite(high):
        return math.inf
    while high - low > 1e-9:
        between = 0.5 * (low + high)
        low, high = (between, high) if finite(between) else (low, between)
    return high


def scales(border: float, low: float, high: float, counts: Sequence[int]) -> list[Vector]:
    """Scales below the border of k3's finite variance, and those from it on.

    They are denser towards the border, where the variance goes to infinity.
    """
    sides = []
    for first, last, count in (
        (low, min(0.999 * border, high), counts[0]),
        (max(low, border), high, counts[1]),
    ):
        if first < last:
            even = np.linspace(0.0, 1.0, count)
            bend = even * (1.6 - 0.6 * even) if last < border <= high else even
            sides.append(np.exp(np.log(first) + bend * (np.log(last) - np.log(first))))
    return sides


class HeavyTails(NamedTuple):
    """The theory of one family over scale.

    border  the scale from which on E r^2 is infinite; inf if it never is
    scale   the scales, shape (scales,)
    needed  the samples for the tolerance in one dimension, by estimator; NaN where not known
    last    the largest scale at which k3 has at most the variance of k1, by dimension
    gain    the RMSE of k1 over iid samples, divided by that over as many Sobol' points
    """

    border: float
    scale: Vector
    needed: Mapping[str, Vector]
    last: Mapping[int, float]
    gain: Vector


def heavy_tails(family: str) -> HeavyTails:
    """The theory of one family over the figure's scales."""
    edge = ratio_border(family, OFFSET)
    scale = np.concatenate(scales(edge, LOW, HIGH, _NODES))
    gain = []
    for x in scale:
        pair = sweep_pair(family, 1, float(x), OFFSET)
        balanced = SAMPLERS["sobol"].form(pair).balanced_variance(BALANCED)
        gain.append(math.sqrt(pair.law.variance / BALANCED / balanced))
    beaten = {d: _last(family, d, scale) for d in (1, LARGE)}
    return HeavyTails(edge, scale, _needed(family, scale), beaten, np.array(gain))


def _needed(family: str, scale: Vector) -> dict[str, Vector]:
    """The iid samples for the tolerance in one dimension, by estimator."""
    shown = [ESTIMATORS[name] for name in SHOWN]
    rows = [
        fewest_samples(sweep_pair(family, 1, float(x), OFFSET), TOLERANCE, SAMPLERS["iid"], shown)
        for x in scale
    ]
    return dict(zip(SHOWN, np.array(rows).T, strict=True))


def _last(family: str, dimension: int, scale: Vector) -> float:
    """The largest scale at which k3 has at most the variance of k1, by bisection from the nodes."""

    def better(x: float) -> bool:
        law = sweep_pair(family, dimension, x, OFFSET).law
        return ESTIMATORS["k3"].theory(law, False).variance <= law.variance

    low = next((float(x) for x in scale[::-1] if better(float(x))), math.nan)
    high = float(scale[scale > low].min(initial=HIGH))
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if better(middle) else (low, middle)
    return low
