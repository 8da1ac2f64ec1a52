"""Variances over balanced Sobol' points: sums over strata of variances within strata, with mpmath.

The mean of f over the first n = 2^m scrambled Sobol' points has the variance n^-2 sum Var(f | S),
S running over n strata of equal probability. A coarse stratum is a union of fine ones, so that one
pass over the finest serves every n. Fifteen digits are enough here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from mpmath import inf, mp, mpf
from reference_moments import Grid, Law, Number, exp, integrate, is_finite, parts, quantile

NAMES = ("k1", "k2-factor", "k3-factor")
DIGITS = 22  # of the integrals of f and f^2, whose difference has fewer


@lru_cache(maxsize=16)
def _gauss(nodes: int, dps: int) -> list[tuple[Number, Number]]:
    """Nodes and weights of Gauss and Legendre on (0, 1)."""
    out = []
    for i in range(nodes):
        x = mp.cos(mp.pi * (i + mpf("0.75")) / (nodes + mpf("0.5")))
        for _ in range(8):
            value, below = mp.legendre(nodes, x), mp.legendre(nodes - 1, x)
            slope = nodes * (x * value - below) / (x * x - 1)
            x -= value / slope
        out.append(((1 + x) / 2, 1 / ((1 - x * x) * slope * slope)))
    return out


def _edges(q: Law, n: int) -> list[Number]:
    """The n - 1 edges between strata, each from its nearer end; Newton starts at the last one."""
    sides: list[list[Number]] = [[], []]
    for upper, out in enumerate(sides):
        for j in range(1, n // 2 + 1):
            start = None
            if len(out) > 8:
                # The next edge is about 1 / (n q) further, but where q nearly vanishes.
                ahead = 1 / (n * exp(q.log_density(out[-1])))
                if ahead < 2 * abs(out[-1] - out[-2]):
                    start = out[-1] - ahead if upper else out[-1] + ahead
            out.append(quantile(q, mpf(j) / n, bool(upper), start))
    return sides[0] + sides[1][-2::-1]


def _strata(q: Law, p: Law, n: int) -> list[list[tuple[Number, Number]]]:
    """The integrals of f q and f^2 q over n strata, for the three f; empty if Var f is infinite."""
    finite = [
        is_finite(q, p, 0, 2),
        is_finite(q, p, 0, 4),
        all(is_finite(q, p, b, 2 - b) for b in range(3)),
    ]

    def values(x: Number) -> list[Number]:
        log_q = q.log_density(x)
        ell, out = log_q - p.log_density(x), [exp(log_q)]
        for f, used in zip((ell, ell * ell / 2, parts(ell)[1]), finite, strict=True):
            if used:
                out += [out[0] * f, out[0] * f * f]
        return out

    def gauss(a: Number, b: Number, nodes: int) -> tuple[list[Number], list[Number]]:
        """The integrals, and the largest terms of their sums."""
        rows = [
            [w * (b - a) * y for y in values(a + (b - a) * t)] for t, w in _gauss(nodes, mp.dps)
        ]
        columns = list(zip(*rows, strict=True))
        return [mp.fsum(column) for column in columns], [max(map(abs, c)) for c in columns]

    def between(a: Number, b: Number, depth: int = 0) -> list[Number]:
        (one, _), (other, most) = gauss(a, b, 6), gauss(a, b, 9)
        small = mpf(10) ** -DIGITS
        if all(abs(x - y) <= small * m for x, y, m in zip(one, other, most, strict=True)):
            return other
        if depth > 20:
            raise ArithmeticError("a stratum does not settle")
        middle = (a + b) / 2
        halves = between(a, middle, depth + 1), between(middle, b, depth + 1)
        return [x + y for x, y in zip(*halves, strict=True)]

    peaks = sorted({*q.centres, *p.centres})
    width = min(s for _, s in q.centres)
    edges, rows = _edges(q, n), []
    for j in range(n):
        low, high = edges[j - 1] if j else -inf, edges[j] if j < n - 1 else inf
        cuts = [(x, s) for x, s in [(low, width), *peaks, (high, width)] if low <= x <= high]
        inner = [(x, s) for x, s in cuts if abs(x) < inf]
        if 0 < j < n - 1:
            found = [between(a, b) for (a, _), (b, _) in pairwise(inner)]
            rows.append([mp.fsum(column) for column in zip(*found, strict=True)])
        else:
            rows.append(integrate(values, inner, Grid(DIGITS), (j == 0, j == n - 1)))
    off = max(abs(row[0] * n - 1) for row in rows)
    assert off < mpf(10) ** (4 - DIGITS), mp.nstr(off, 5)
    columns = iter(list(zip(*rows, strict=True))[1:])
    return [list(zip(next(columns), next(columns), strict=True)) if used else [] for used in finite]


def variances(
    coordinates: Sequence[tuple[Law, Law]], samples: Sequence[int]
) -> dict[str, dict[str, Number]]:
    """The variance of each estimator at each n."""
    total: dict[str, dict[str, Number]] = {name: {} for name in NAMES}
    n = max(samples)
    for q, p in coordinates:
        for name, strata in zip(NAMES, _strata(q, p, n), strict=True):
            for m in samples:
                value = _coarse(strata, n // m, m) if strata else inf
                total[name][str(m)] = total[name].get(str(m), mpf(0)) + value
    return total


def _coarse(strata: Sequence[tuple[Number, Number]], together: int, m: int) -> Number:
    """m^-2 times the sum of the variances within m strata."""
    out = mpf(0)
    for j in range(m):
        mine = strata[j * together : (j + 1) * together]
        first, second = mp.fsum(f for f, _ in mine), mp.fsum(s for _, s in mine)
        out += m * second - (m * first) ** 2
    return out / m**2
