"""Student's interval, and how many units make it as short as is asked.

Two procedures keep its coverage. Independent units: that of Stein, "A two-sample test for a linear
hypothesis whose power is independent of the variance" (1945), in which a pilot's standard deviation
s0 decides how many fresh units the main stage draws, N >= (t s0 / d)^2. Scrambled Sobol' points: R
independent scrambles, whose number and size are decided beforehand from their exact variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri, stdtrit

LEAST_SCRAMBLES, MOST_SCRAMBLES = 5, 64
# Scrambles that a 95 % interval takes to cover 0.94, by the skewness of one (measured). It does not
# fade as a scramble grows.
_PER_SQUARED_SKEWNESS = 30.0
# The share of runs whose scrambles vary so little that the interval is as short as asked.
_SHORT_AT_ONCE = 0.9
# By how many half-widths an estimate may fall below KL and still meet its relative tolerance. Only
# an estimate that falls lower needs a second main stage: 0.2 % of them, or coverage would rise.
_BELOW = 1.5


class Request(NamedTuple):
    """What is asked of an estimate.

    tolerance, relative  the half-width of its interval, in nats or times the estimate
    confidence           of the interval
    most                 samples that may be drawn
    """

    tolerance: float
    relative: bool
    confidence: float
    most: int

    def target(self, estimate: float) -> float:
        """The half-width that is short enough for this estimate, in nats."""
        return self.tolerance * abs(estimate) if self.relative else self.tolerance

    def aim(self, kl: float) -> float:
        """The half-width to draw for where KL is about `kl`: short enough for lower estimates."""
        return self.target(kl) / (1.0 + _BELOW * self.tolerance if self.relative else 1.0)

    def quantile(self, degrees: float) -> float:
        """The two-sided quantile of Student's law with so many degrees of freedom."""
        return float(stdtrit(degrees, 0.5 + self.confidence / 2))


def units_needed(half_of_one: float, half_width: float) -> float:
    """The units that bring the half-width of one unit, t s0, down to `half_width`; inf for none."""
    if half_of_one == 0.0:
        return 0.0
    ratio = half_of_one / half_width if half_width > 0 else math.inf
    return ratio * ratio


def pilot_units(spread: float, aim: float, request: Request, parameters: int, least: int) -> int:
    """The size of pilot, at least `least`, at which pilot and main stage take fewest units in all.

    A small pilot makes the quantile large, a large pilot costs its own units.
    """
    least = max(least, parameters + 1)
    need = units_needed(spread, aim)
    if not math.isfinite(need):
        return max(least, 10**6)
    top = max(least + 1.0, 100.0 + 10.0 * math.sqrt(need))
    pilots = np.unique(np.geomspace(least, top, 400).round())
    t = stdtrit(pilots - parameters, 0.5 + request.confidence / 2)
    return int(pilots[np.argmin(pilots + np.maximum(need * t * t, least))])


class Scrambles(NamedTuple):
    """So many independent scrambles of so many points each."""

    scrambles: int
    points: int


def scrambles(
    law: Callable[[int], tuple[float, float]], aim: float, request: Request, most_points: int
) -> Scrambles | None:
    """The fewest points in all whose interval is short enough nine times in ten.

    Where the budget has none, the ones with the shortest interval; None where the budget does not
    even make an interval that covers.

    Parameters
    ----------
    law
        n -> variance and skewness of the mean of one scramble of n = 2^m points.
    """
    best: Scrambles | None = None
    shortest: tuple[float, Scrambles | None] = math.inf, None
    n = 1
    while n <= most_points and LEAST_SCRAMBLES * n <= request.most:
        if best is not None and LEAST_SCRAMBLES * n >= best.scrambles * best.points:
            break
        variance, skewness = law(n)
        if not (math.isfinite(variance) and math.isfinite(skewness)):
            return None
        least = max(LEAST_SCRAMBLES, math.ceil(_PER_SQUARED_SKEWNESS * skewness**2))
        for R in range(least, min(MOST_SCRAMBLES, request.most // n) + 1):
            half = request.quantile(R - 1) * math.sqrt(variance / R)
            likely = half * math.sqrt(chdtri(R - 1, 1.0 - _SHORT_AT_ONCE) / (R - 1))
            if likely <= aim and (best is None or R * n < best.scrambles * best.points):
                best = Scrambles(R, n)
            if half < shortest[0] or shortest[1] is None:
                shortest = half, Scrambles(R, n)
        n *= 2
    return best or shortest[1]
