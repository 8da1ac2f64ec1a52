"""The double exponential rule, and how much it leaves of an integral.

The rule of Takahasi & Mori, "Double exponential formulas for numerical integration" (1974),
converges for every tail, from a Gaussian one to a power, and for every integrable singularity at an
end. The rules with twice and four times the step use some of the same nodes, so that every integral
can be compared with these.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector

REACH = 300.0  # nodes are e^-300 to e^300 away from a breakpoint; beyond, tails are straight


class Nodes(NamedTuple):
    """Nodes of the double exponential rule.

    x       the points
    log_dx  the logarithms of the weights dx
    coarse  what multiplies the weights in the rules with half and a quarter of the nodes, shape
            (nodes, 2); 0 at nodes that are not among theirs
    beyond  how far log |x| is beyond `REACH`, where x stays at the last point; else 0
    """

    x: Vector
    log_dx: Vector
    coarse: Vector
    beyond: Vector


def nodes(low: float, high: float, per_unit: int, reach: tuple[float, float]) -> Nodes:
    """The nodes between low and high; log x goes to -reach[0] and to reach[1] from its ends."""
    spans = [math.asinh(r * 2.0 / math.pi) for r in reach]
    first, last = -4 * math.ceil(spans[0] * per_unit / 4), 4 * math.ceil(spans[1] * per_unit / 4)
    index = np.arange(first, last + 1)
    coarse = np.where(index[:, None] % (2, 4) == 0, (2.0, 4.0), 0.0)
    t = index / per_unit
    s = 0.5 * math.pi * np.sinh(t)
    log_slope = np.log(0.5 * math.pi * np.cosh(t)) - math.log(per_unit)
    follows = np.where(s < 0.0, reach[0], reach[1]) > REACH
    beyond = np.where(follows, np.maximum(np.abs(s) - REACH, 0.0), 0.0)
    near = np.copysign(np.abs(s) - beyond, s)
    if math.isfinite(low) and math.isfinite(high):
        # x = low + (high - low) / (1 + e^-s), computed from the nearer end
        part = np.exp(-np.abs(near))
        part = (high - low) * part / (1.0 + part)
        x = np.where(s < 0, low + part, high - part)
        log_dx = math.log(high - low) - np.logaddexp(0.5 * near, -0.5 * near) * 2.0 + log_slope
    else:
        away, log_dx = np.exp(near), near + log_slope
        x = low + away if math.isfinite(low) else high - away
    return _distinct(Nodes(x, log_dx, coarse, beyond))


def _distinct(nodes: Nodes) -> Nodes:
    """The same rule with equal nodes as one.

    Nodes much nearer to an end than its rounding are all equal to it.
    """
    x, log_dx, coarse, beyond = nodes
    differs = np.append(True, (x[1:] != x[:-1]) | (beyond[1:] != beyond[:-1]))
    first = np.flatnonzero(differs)
    total = np.logaddexp.reduceat(log_dx, first)
    share = np.exp(log_dx - total[np.cumsum(differs) - 1])
    return Nodes(x[first], total, np.add.reduceat(coarse * share[:, None], first), beyond[first])


class Coarser(NamedTuple):
    """A rule with fewer nodes: their positions, and what multiplies the terms there."""

    position: NDArray[np.intp]
    times: Vector

    def sum(self, terms: Vector) -> float:
        return float((self.times * terms.take(self.position)).sum())


class Halvings(NamedTuple):
    """The rules with half and with a quarter of the nodes."""

    half: Coarser
    quarter: Coarser

    @staticmethod
    def of(coarse: Vector) -> Halvings:
        """`coarse` is that of `Nodes`."""
        positions = map(np.flatnonzero, coarse.T)
        half, quarter = (Coarser(i, coarse[i, k]) for k, i in enumerate(positions))
        return Halvings(half, quarter)


def left(terms: Vector, halvings: Halvings) -> float:
    """A bound on what the rule leaves of an integral, from its terms at the nodes.

    Halving the step reduces what is left by at least half, once the rule has begun to converge. It
    often does far more, but a small share of an integral may converge later than the rest.
    """
    fine = float(terms.sum())
    half, quarter = halvings.half.sum(terms), halvings.quarter.sum(terms)
    near, before = abs(fine - half), abs(half - quarter)
    if not near > 0.0:
        return 0.0
    share = 10.0 * near / before if before else math.inf
    return near * min(max(share, 0.5), 1.0)
