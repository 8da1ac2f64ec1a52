"""An estimate of KL(q||p) that stops when its interval is tight enough, and still covers.

Looking at a fixed-n interval again and again until it is short loses its coverage: one stops
preferably where the spread, or of a skewed l the estimate, happens to be small. The procedure
of Stein, "A two-sample test for a linear hypothesis whose power is independent of the variance"
(1945), decides once:

1. a *pilot* of N0 units gives s0, their standard deviation;
2. the *main* stage draws N >= (t s0 / d)^2 fresh units, with t the quantile of Student's law with
   the pilot's degrees of freedom, and d the half-width that is asked for.

Given the pilot, N is a fixed number and the main stage knows nothing of s0, so for normal units
sqrt(N) (estimate - KL) / s0 follows Student's law exactly: the interval estimate +- t s0 / sqrt(N),
at most d wide on either side, covers with the nominal probability whatever the variance, and
whatever else of the past decided d. For other units it does so to the accuracy of the central
limit theorem at N, which is why N is never below N0. Heavy tails may hide from the pilot: if the
main stage has a standard deviation 10 % above s0 then it becomes the pilot, and a new main stage is
drawn.

Where the tolerance is relative, an earlier stage, the *scout*, sets d. It may look as often as it
likes, since none of its samples is used again.

An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", 2024) may be watched all the time. It
pays with an interval that is at best 1.55 times as wide at 95 %, so with 2.4 times the samples:
too much for a target that is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from scipy.special import stdtrit

from mckl.draw.points import Sampler
from mckl.errors import UserError
from mckl.estimation.traces import trace
from mckl.estimation.values import Estimator
from mckl.families.base import Pair

SCOUT, PILOT = 256, 1024
LEAST = 64  # samples, of all stages
_BLIND = 1.1  # ratio of the main stage's standard deviation to the pilot's that is too much
_SURE = 0.1  # relative standard error at which the scout knows the estimate


class Estimate(NamedTuple):
    """An estimate and its interval, in nats.

    half_width   of the interval
    target       the half-width that was asked for; of a relative tolerance, times the scout's
                 estimate
    tight        whether half_width <= target; else the budget was spent
    std_error    of the estimate, from the main stage alone
    scout, pilot, main  samples of each stage; of all pilots, if there were several
    """

    estimate: float
    half_width: float
    target: float
    tight: bool
    std_error: float
    scout: int
    pilot: int
    main: int

    @property
    def samples(self) -> int:
        """The samples of all stages."""
        return self.scout + self.pilot + self.main


def estimate(
    pair: Pair,
    sampler: Sampler,
    estimator: Estimator,
    *,
    tolerance: float,
    relative: bool,
    confidence: float,
    most: int,
    seed: int,
    progress: Callable[[int], object] = lambda evaluations: None,
) -> Estimate:
    """Estimate KL(q||p) to a tolerance, with at most `most` samples in all.

    Parameters
    ----------
    tolerance, relative
        The half-width asked for, in nats or times the estimate.
    progress
        Is told how many evaluations of l each step added.
    """
    points = sampler.points.points
    if not sampler.points.independent:
        raise UserError(f"{sampler.name}: its samples give no standard error, so no interval")
    if most < LEAST:
        raise UserError(f"a budget of {most} samples, expected at least {LEAST}")

    def run(stage: str, samples: int) -> tuple[float, float]:
        one = trace(
            pair, "numpy", sampler, [estimator],
            seed=seed, samples=[samples], replicates=1, stage=[stage], progress=progress,
        )  # fmt: skip
        return float(one.estimate[0, 0, 0]), float(one.std_error[0, 0, 0])

    def whole(samples: float) -> int:
        return points * math.ceil(samples / points)

    share = most // 8 // points * points
    scout, target = 0, tolerance
    if relative:
        scout = min(SCOUT, share)
        about, error = run("scout", scout)
        # Drawn anew from its stream's start at every doubling: twice the work, no state to keep.
        while error > _SURE * abs(about) and 2 * scout <= share:
            scout *= 2
            about, error = run("scout", scout)
        target = tolerance * abs(about)
    pilot = min(max(PILOT, whole(scout)), share)
    quantile = 0.5 + confidence / 2
    _, error = run("pilot", pilot)
    last, spent, again = pilot, scout + pilot, 0
    while True:
        units = last // points
        t = float(stdtrit(units - estimator.parameters, quantile))
        half_of_one_unit = t * error * math.sqrt(units)
        ratio = half_of_one_unit / target if target > 0 else math.inf if error > 0 else 0.0
        need = ratio * ratio  # inf where it is too large for a float
        left = (most - spent) // points * points
        main = whole(max(points * need, last)) if points * need < left else left
        value, error = run(f"main{again}", main)
        half_width = half_of_one_unit / math.sqrt(main // points)
        own = float(stdtrit(main // points - estimator.parameters, quantile)) * error
        again += 1
        # A pilot that saw so little of the spread is no pilot; the main stage is a better one.
        if own <= _BLIND * half_width or most - spent - main < main:
            break
        last, spent, pilot = main, spent + main, pilot + main
    if own > _BLIND * half_width:
        half_width = own
    tight = half_width <= target * (1 + 1e-12)
    return Estimate(value, half_width, target, tight, error, scout, pilot, main)
