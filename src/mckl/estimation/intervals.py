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

from mckl.arrays import Vector

LEAST_SCRAMBLES, MOST_SCRAMBLES = 5, 256
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

    def met(self, estimate: float, half_width: float) -> bool:
        """Whether the half-width is short enough for this estimate."""
        return half_width <= self.target(estimate) * (1 + 1e-12)

    def aim(self, kl: float) -> float:
        """The half-width to aim for if KL is about `kl`; it allows for estimates below KL."""
        return self.target(kl) / (1.0 + _BELOW * self.tolerance if self.relative else 1.0)

    def quantile(self, degrees: float) -> float:
        """The two-sided quantile of Student's law with these degrees of freedom."""
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
    variance: Callable[[int], float],
    skewness: Callable[[int], float],
    aim: float,
    request: Request,
    most_points: int,
) -> Scrambles | None:
    """The scrambles with the fewest points whose interval is short enough in nine of ten runs.

    If the budget has no room for these, the largest scrambles that cover; None if the
    budget has no room for an interval that covers.

    Parameters
    ----------
    variance, skewness
        Functions of n = 2^m: the variance and the skewness of the mean over one scramble of n
        points.
    aim
        The half-width to aim for, in nats.
    request
        The confidence of the interval and the budget.
    most_points
        The most points of one scramble.
    """
    last = int(min(most_points, request.most // LEAST_SCRAMBLES)).bit_length() - 1

    def enough(n: int) -> Vector:
        """The numbers of scrambles of n points that cover and that the budget has room for."""
        skew = skewness(n)
        need = _PER_SQUARED_SKEWNESS * skew**2 if math.isfinite(skew) else math.inf
        most = min(MOST_SCRAMBLES, request.most // n)
        return np.arange(min(max(LEAST_SCRAMBLES, np.ceil(need)), most + 1), most + 1)

    best: Scrambles | None = None
    for n in (2**m for m in range(last + 1)):
        if best is not None and LEAST_SCRAMBLES * n >= best.scrambles * best.points:
            break
        spread, most = math.sqrt(variance(n)), min(MOST_SCRAMBLES, request.most // n)
        if request.quantile(most - 1) * spread / math.sqrt(most) > aim:
            continue  # the skewness, which takes time, is not needed
        R = enough(n)
        half = stdtrit(R - 1, 0.5 + request.confidence / 2) * spread / np.sqrt(R)
        R = R[half * np.sqrt(chdtri(R - 1, 1.0 - _SHORT_AT_ONCE) / (R - 1)) <= aim]
        if R.size and (best is None or R[0] * n < best.scrambles * best.points):
            best = Scrambles(int(R[0]), n)
    for n in (2**m for m in range(last, -1, -1)):
        if best is None and (R := enough(n)).size:
            best = Scrambles(int(R[-1]), n)
    return best
