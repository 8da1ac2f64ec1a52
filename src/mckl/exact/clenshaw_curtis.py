"""The rule of Clenshaw and Curtis, for short intervals on which an integrand is smooth.

On an interval no longer than a few times the length over which the integrand changes it needs far
fewer nodes than the double exponential rule, whose nodes crowd at the ends. The rules with half and
a quarter of the intervals use some of the same nodes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mckl.arrays import Vector
from mckl.exact.double_exponential import Nodes

_MOST = 4  # how often the number of nodes is doubled for a longer interval


def doublings(length: float, smooth: float) -> int | None:
    """How often the number of nodes is doubled; None for intervals that are too long for the rule.

    The error of the rule with n nodes is about (length / smooth)^n / n!, so that four times the
    length needs twice the nodes.
    """
    k, most = 0, smooth / 3.0
    while length > most:
        k, most = k + 1, 4.0 * most
        if k == _MOST:
            return None
    return k


def short_nodes(low: float, high: float, intervals: int) -> Nodes:
    """The nodes between low and high, both among them; `intervals` is a multiple of 8."""
    rule = _rule(intervals)
    part = (high - low) * rule.x  # from the nearer end
    x = np.where(np.arange(intervals + 1) * 2 <= intervals, low + part, high - part)
    return rule._replace(x=x, log_dx=rule.log_dx + np.log(high - low))


@lru_cache(maxsize=16)
def _rule(intervals: int) -> Nodes:
    """The rule on [0, 1], whose x are distances from the nearer end."""
    angle = np.arange(intervals + 1) * (np.pi / intervals)
    x = np.square(np.sin(0.5 * np.minimum(angle, angle[::-1])))
    weights = _weights(intervals)
    coarse = np.zeros((intervals + 1, 2))
    for column, step in enumerate((2, 4)):
        coarse[::step, column] = _weights(intervals // step) / weights[::step]
    return Nodes(x, np.log(weights), coarse, np.zeros(intervals + 1))


def _weights(intervals: int) -> Vector:
    """The weights on [0, 1] for an even number of intervals: the integrals of cosine series."""
    angle = np.arange(intervals + 1) * (np.pi / intervals)
    j = np.arange(1, intervals // 2 + 1)
    share = np.where(2 * j == intervals, 1.0, 2.0) / (4.0 * j * j - 1.0)
    weights = (1.0 - np.cos(2.0 * np.outer(angle, j)) @ share) / intervals
    weights[[0, -1]] = 0.5 / (intervals * intervals - 1.0)
    return np.asarray(weights)
