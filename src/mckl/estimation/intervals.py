"""Student's interval, and the number of units that makes it as short as requested.

Two procedures keep the interval's coverage. For independent units it is that of Stein, "A
two-sample test for a linear hypothesis whose power is independent of the variance" (1945). A
pilot's standard deviation s0 decides how many new units the main stage draws, N >= (t s0 / d)^2 for
the half-width d. For Sobol' points there are R independent scrambles, whose number and size are
decided beforehand from their exact variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri, stdtrit

LEAST_SCRAMBLES, MOST_SCRAMBLES = 5, 64
# The scrambles that a 95 % interval needs to cover 0.94, per squared skewness of one scramble
# (measured). This skewness does not vanish as a scramble grows.
_PER_SQUARED_SKEWNESS = 30.0
# The share of runs in which the first scrambles already give an interval as short as requested.
_SHORT_AT_ONCE = 0.9
# An estimate may be this many half-widths below KL and still meet its relative tolerance. Only a
# lower estimate, 0.2 % of them, needs a second main stage; so coverage stays nominal.
_BELOW = 1.5


class Request(NamedTuple):
    """The precision that is requested of an estimate.

    tolerance, relative  the half-width of its interval, in nats or as a multiple of the estimate
    confidence           the confidence of the interval, between 0 and 1
    most                 the most samples that may be drawn
    """

    tolerance: float
    relative: bool
    confidence: float
    most: int

    def target(self, estimate: float) -> float:
        """The half-width that is short enough for this estimate, in nats."""
        return self.tolerance * abs(estimate) if self.relative else self.tolerance

    def aim(self, kl: float) -> float:
        """The half-width to aim for if KL is about `kl`; it allows for estimates below KL."""
        return self.target(kl) / (1.0 + _BELOW * self.tolerance if self.relative else 1.0)

    def quantile(self, degrees: float) -> float:
        """The two-sided quantile of Student's law with so many degrees of freedom."""
        return float(stdtrit(degrees, 0.5 + self.confidence / 2))


def units_needed(half_of_one: float, half_width: float) -> float:
    """The number of units that reduces the half-width t s0 of one unit to `half_width`, or inf."""
    if half_of_one == 0.0:
        return 0.0
    ratio = half_of_one / half_width if half_width > 0 else math.inf
    return ratio * ratio


def pilot_units(spread: float, aim: float, request: Request, parameters: int, least: int) -> int:
    """The pilot size, at least `least`, with which pilot and main stage take the fewest units.

    A small pilot makes Student's quantile large, and a large pilot takes many units itself.
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
    """The number of independent scrambles, and the number of points of each."""

    scrambles: int
    points: int


def scrambles(
    law: Callable[[int], tuple[float, float]], aim: float, request: Request, most_points: int
) -> Scrambles | None:
    """The scrambles with the fewest points whose interval is short enough in nine of ten runs.

    If the budget has no room for these, the scrambles with the shortest interval; None if the
    budget has no room for an interval that covers.

    Parameters
    ----------
    law
        A function n -> (variance, skewness) of the mean over one scramble of n = 2^m points.
    aim
        The half-width to aim for, in nats.
    request
        The confidence of the interval and the budget.
    most_points
        The most points of one scramble.
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
