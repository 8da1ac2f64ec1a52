"""Variances over balanced Sobol' points: sums over strata of variances within strata, with mpmath.

The mean of f over the first n = 2^m scrambled Sobol' points has the variance n^-2 sum Var(f | S),
S running over n strata of equal probability. A coarse stratum is a union of fine ones, so that one
pass over the finest serves every n. Fifteen digits are enough here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from mpmath import inf, mp, mpf

from reference_moments import Grid, Law, Number, cuts, integrate, is_finite, k3_of, quantile

NAMES = ("k1", "k2-factor", "k3-factor")


@lru_cache(maxsize=16)
def _gauss(nodes: int, dps: int) -> list[tuple[Number, Number]]:
    """Nodes and weights of Gauss and Legendre on (0, 1)."""
    out = []
    for i in range(nodes):
        x = mp.cos(mp.pi * (mpf(i) + mpf("0.75")) / (nodes + mpf("0.5")))
        for _ in range(8):
            p, slope = mp.legendre(nodes, x), None
            below = mp.legendre(nodes - 1, x)
            slope = nodes * (x * p - below) / (x * x - 1)
            x -= p / slope
        below = mp.legendre(nodes - 1, x)
        slope = nodes * (-below) / (x * x - 1)
        out.append(((1 + x) / 2, 1 / ((1 - x * x) * slope * slope)))
    return out


def _edges(q: Law, n: int) -> list[Number]:
    """The n - 1 edges between strata, each from its nearer end; Newton starts at the last one."""
    lower, upper = [], []
    for out, from_above in ((lower, False), (upper, True)):
        last = None
        for j in range(1, n // 2 + 1):
            start = last
            if last is not None and j > 8:
                # The next edge is about 1 / (n q) further.
                start = last + (-1 if from_above else 1) / (n * mp.exp(q.log_density(last)))
                if len(out) > 1 and abs(start - last) > 4 * abs(last - out[-2]):
                    start = None
            try:
                last = quantile(q, mpf(j) / n, from_above, start)
            except (ArithmeticError, ValueError, ZeroDivisionError):
                last = quantile(q, mpf(j) / n, from_above)
            out.append(last)
    return lower + upper[-2::-1]


def _one(q: Law, p: Law, n: int, fine: bool) -> list[list[list[Number]]]:
    """Integrals of f q and f^2 q over n strata, for the three functions f."""

    def values(x: Number) -> list[Number]:
        log_q = q.log_density(x)
        ell, weight = log_q - p.log_density(x), mp.exp(log_q)
        out = [weight]
        for f in (ell, ell * ell / 2, k3_of(ell)):
            out += [weight * f, weight * f * f]
        return out

    def moment_is_finite() -> list[bool]:
        return [is_finite(q, p, 0, 2), is_finite(q, p, 0, 4),
                all(is_finite(q, p, b, 2 - b) for b in range(3))]  # fmt: skip

    def panel(a: Number, b: Number, nodes: int) -> list[Number]:
        total = None
        for t, w in _gauss(nodes, mp.dps):
            terms = [w * (b - a) * y for y in values(a + (b - a) * t)]
            total = terms if total is None else [s + y for s, y in zip(total, terms, strict=True)]
        assert total is not None
        return total

    def close(one: Sequence[Number], other: Sequence[Number]) -> bool:
        # The variance within a stratum is E f^2 - (E f)^2, which may have lost digits.
        small = mpf(10) ** -(26 if fine else 22)
        return all(
            abs(x - y) <= small * max(abs(y), mpf("1e-40")) for x, y in zip(one, other, strict=True)
        )

    def between(a: Number, b: Number, depth: int = 0) -> list[Number]:
        one, other = panel(a, b, 10), panel(a, b, 14)
        if close(one, other):
            return other
        if depth > 40:
            raise ArithmeticError("a stratum does not settle")
        middle = (a + b) / 2
        halves = between(a, middle, depth + 1), between(middle, b, depth + 1)
        return [x + y for x, y in zip(*halves, strict=True)]

    breaks = sorted({x for x, _ in [*q.centres, *p.centres]})
    edges = _edges(q, n)
    finite = moment_is_finite()
    rows = []
    grid = Grid(26 if not fine else 30)
    for j in range(n):
        low = edges[j - 1] if j else None
        high = edges[j] if j < n - 1 else None
        if low is None or high is None:
            rows.append(_end(values, low, high, breaks, grid, q, finite))
            continue
        inner = [low, *(x for x in breaks if low < x < high), high]
        parts = [between(a, b) for a, b in zip(inner, inner[1:], strict=False)]
        rows.append([mp.fsum(column) for column in zip(*parts, strict=True)])
    worst = max(abs(row[0] * n - 1) for row in rows)
    assert worst < mpf("1e-18"), mp.nstr(worst, 5)
    return [
        [[row[1 + 2 * f], row[2 + 2 * f]] for row in rows] if finite[f] else [] for f in range(3)
    ]


def _end(
    values: Any, low: Any, high: Any, breaks: Sequence[Number], grid: Grid, q: Law,
    finite: Sequence[bool],
) -> list[Number]:  # fmt: skip
    """The integrals over a stratum at an end, whose other end is at infinity."""
    keep = [True] + [f for f in finite for _ in range(2)]
    edge = low if low is not None else high
    width = min(s for _, s in q.centres)

    def inside(x: Number) -> list[Number]:
        if (low is not None and x < low) or (high is not None and x > high):
            return [mpf(0)] * sum(keep)
        return [v for v, used in zip(values(x), keep, strict=True) if used]

    from reference_moments import _Panel  # the half line alone

    points = sorted(
        {edge, *(x for x in breaks if (low is None or x > low) and (high is None or x < high))}
    )
    panels = [_Panel(inside, a, b, None) for a, b in zip(points, points[1:], strict=False)]
    panels.append(
        _Panel(inside, points[-1], inf, width)
        if high is None
        else _Panel(inside, -inf, points[0], width)
    )
    out = []
    small = mpf(10) ** -int(0.6 * grid.digits + 3)
    while panels:
        panel = panels.pop()
        old = panel.value
        panel.refine()
        if all(abs(a - b) <= small * abs(a) for a, b in zip(panel.value, old, strict=True)):
            out.append(panel.value)
        else:
            panels += panel.halves() if panel.level > 7 else [panel]
    found = iter([mp.fsum(column) for column in zip(*out, strict=True)])
    return [next(found) if used else inf for used in keep]


@lru_cache(maxsize=64)
def _known(key: int, fine: bool) -> None:
    return None


def variances(
    coordinates: Sequence[tuple[Law, Law]], samples: Sequence[int], fine: bool
) -> dict[str, dict[str, Number]]:
    """The variance of each estimator at each n; equal coordinates are the caller's to merge."""
    total: dict[str, dict[str, Number]] = {name: {} for name in NAMES}
    n = max(samples)
    for q, p in coordinates:
        for name, parts in zip(NAMES, _one(q, p, n, fine), strict=True):
            for m in samples:
                value = _coarse(parts, n // m, m) if parts else inf
                total[name][str(m)] = total[name].get(str(m), mpf(0)) + value
    return total


def _coarse(parts: Sequence[Sequence[Number]], together: int, m: int) -> Number:
    """n^-2 sum of variances within m strata."""
    out = mpf(0)
    for j in range(m):
        first = mp.fsum(f for f, _ in parts[j * together : (j + 1) * together])
        second = mp.fsum(s for _, s in parts[j * together : (j + 1) * together])
        out += m * second - (m * first) ** 2
    return out / m**2
