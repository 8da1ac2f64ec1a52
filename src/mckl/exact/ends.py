"""How densities fall at the ends of a line, and which expectations are finite.

This is the one place where finite or infinite is decided for laws with densities. Near an end an
expectation of l^k e^{s l} is an integral of a product of powers of the two densities and of powers
of the variable. The functions in its exponent are decided one after the other, the fastest first:
the first whose coefficient is not 0 decides. Where all are 0, the power of the variable must exceed
1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_BORDER = 1e-12  # a coefficient this small relative to its terms is 0


class Growth(NamedTuple):
    """The function e^(rate |x|) |x|^power; growths are ordered by how fast they grow."""

    rate: float
    power: float


LINEAR, SQUARE = Growth(0.0, 1.0), Growth(0.0, 2.0)


class Tail(NamedTuple):
    """How a log density falls at an end: like -sum of coefficient growth(x) - power log |x|.

    At a finite end x is the inverse of the distance from it, and `power` includes the change of
    variable: a density like distance^(a - 1) has the power a + 1. What is left out must have a
    limit at the end.
    """

    coefficients: Mapping[Growth, float] = {}
    power: float = 0.0

    @property
    def is_power(self) -> bool:
        """Whether the density falls like a power alone."""
        return not self.coefficients

    @property
    def fastest(self) -> Growth:
        """The fastest growth, or that of a constant if the density falls like a power."""
        return max(self.coefficients, default=Growth(0.0, 0.0))


def growth_of_ell(q: Tail, p: Tail) -> Growth:
    """The growth of l = log q - log p, where that of a logarithm is that of a constant."""
    differ = (g for g, (of_q, of_p) in _aligned(q, p) if of_q != of_p)
    return next(differ, Growth(0.0, 0.0))


def degree(q: Tail, p: Tail) -> float:
    """The power of x with which l grows: 0 for a logarithm, inf for e^x."""
    rate, power = growth_of_ell(q, p)
    return math.inf if rate > 0.0 else power


def heaviest(tails: Sequence[Tail]) -> Tail:
    """The tail that falls most slowly."""
    least, *others = tails
    for other in others:
        differ = ((a, b) for _, (a, b) in _aligned(least, other) if a != b)
        ours, theirs = next(differ, (least.power, other.power))
        least = other if theirs < ours else least
    return least


def _aligned(*tails: Tail) -> list[tuple[Growth, tuple[float, ...]]]:
    """Each growth with its coefficient in every tail, the fastest growth first."""
    growths = sorted({g for tail in tails for g in tail.coefficients}, reverse=True)
    return [(g, tuple(tail.coefficients.get(g, 0.0) for tail in tails)) for g in growths]


def is_finite(q: Tail, p: Tail, s: float, order: int) -> bool:
    """Whether the integral of q (q / p)^s |l|^order converges at an end."""
    rate, power = growth_of_ell(q, p)
    of_ell = Tail({LINEAR: -order * rate} if rate else {}, -order * power)
    whole = 1.0 + s if abs(1.0 + s) > _BORDER else 0.0
    terms = [(whole, q), (-s, p), (1.0, of_ell)]
    times, tails = zip(*terms, strict=True)
    for _, coefficients in _aligned(*tails):
        parts = [u * c for u, c in zip(times, coefficients, strict=True)]
        net = math.fsum(parts)
        if abs(net) > _BORDER * math.fsum(map(abs, parts)):
            return net > 0.0
    parts = [-1.0, *(u * tail.power for u, tail in terms)]
    return math.fsum(parts) > _BORDER * math.fsum(map(abs, parts))


def slope_at_end(q: Tail, p: Tail) -> float:
    """The limit of l / w with w = -log(probability under q beyond x): from -1 on, possibly inf."""
    if p.fastest != q.fastest:
        return -1.0 if p.fastest < q.fastest else math.inf  # -1: the tail of p is the heavier one
    if q.is_power:
        return (p.power - q.power) / (q.power - 1.0)
    return p.coefficients[p.fastest] / q.coefficients[q.fastest] - 1.0
