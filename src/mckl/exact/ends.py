"""How densities fall at the ends of a line, and which expectations are finite.

This is the one place where finite or infinite is decided for laws with densities. Near an end an
expectation of l^k e^{s l} is an integral of a product of powers of the two densities and of powers
of the variable. Its exponent is decided term by term: the quadratic one, where it is 0 the linear
one, and where that is 0 too the power, which must exceed 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_BORDER = 1e-12  # a coefficient this small relative to its terms is 0


class Tail(NamedTuple):
    """How a log density falls at an end: like -quadratic x^2 - linear |x| - power log |x|.

    At a finite end x is the inverse of the distance from it, and `power` includes the change of
    variable: a density like distance^(a - 1) has the power a + 1.
    """

    quadratic: float = 0.0
    linear: float = 0.0
    power: float = 0.0

    @property
    def is_power(self) -> bool:
        """Whether the density falls like a power alone."""
        return self.quadratic == 0.0 and self.linear == 0.0


def degree(q: Tail, p: Tail) -> int:
    """The power of x with which l = log q - log p grows; 0 for a logarithm or a constant."""
    if q.quadratic != p.quadratic:
        return 2
    return 1 if q.linear != p.linear else 0


def is_finite(q: Tail, ps: list[tuple[Tail, float]], order: int) -> bool:
    """Whether the integral of q prod (q / p)^u |l|^order converges at an end.

    `ps` has the tails of p, at a point and where needed at its mirror image, and their u.
    """
    whole = 1.0 + sum(u for _, u in ps)
    terms = [(whole if abs(whole) > _BORDER else 0.0, q), *((-u, p) for p, u in ps)]
    for k in (0, 1):
        net = math.fsum(u * tail[k] for u, tail in terms)
        if abs(net) > _BORDER * sum(abs(u * tail[k]) for u, tail in terms):
            return net > 0.0
    grows = order * max(degree(q, p) for p, _ in ps)
    net = math.fsum(u * tail.power for u, tail in terms) - grows - 1.0
    return net > _BORDER * (1.0 + grows + sum(abs(u * tail.power) for u, tail in terms))


class End(NamedTuple):
    """How l grows at one end, in terms of w = -log(probability under q beyond x).

    growth  the limit of l / w, at least -1 and possibly inf
    moment  |l|^k grows like e^(k moment w), so moments of order 1 / moment and above diverge
    """

    growth: float
    moment: float


def end(q: Tail, p: Tail) -> End:
    """How l = log q - log p grows at an end where q and p have these tails."""
    q_leads, p_leads = _leading(q), _leading(p)
    if p_leads > q_leads:  # the tail of p is the heavier one
        return End(-1.0, 0.0)
    if p_leads < q_leads:
        grows = 2 if p_leads == 0 else 1
        return End(math.inf, grows / (q.power - 1.0) if q_leads == 2 else 0.0)
    if q_leads == 2:
        return End((p.power - q.power) / (q.power - 1.0), 0.0)
    return End(p[p_leads] / q[q_leads] - 1.0, 0.0)


def _leading(tail: Tail) -> int:
    return 0 if tail.quadratic > 0 else 1 if tail.linear > 0 else 2


def is_finite_of_pairs(here: End, there: End, u: float, v: float, order: int) -> bool:
    """As `is_finite`, with (q / p)^v at a mirror image that has as much probability beyond it."""
    falls = 1.0 - _times(u, here.growth) - _times(v, there.growth)
    return falls > order * max(here.moment, there.moment) + _BORDER


def _times(tilt: float, growth: float) -> float:
    return tilt * growth if tilt else 0.0
