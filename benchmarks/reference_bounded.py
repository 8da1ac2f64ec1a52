"""Moments of one factor whose q has a finite end, at high precision, with mpmath alone.

Integrals run over q's support in x itself, which at mpmath's precision keeps enough digits of the
distance from an end. As in `reference_moments.py`, nothing is shared with mckl.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import reference_moments as moments
from mpmath import inf, mp, mpf
from reference_moments import ELL_ORDER, ORDER, RK, Factor, Grid, Law, Mirrored, Number, Tail

FAMILIES = ("uniform", "triangular", "truncated", "truncated-normal")
FLAT, ZERO = (Tail(Fraction(0), Fraction(0), Fraction(power)) for power in (2, 3))


class Bounded(NamedTuple):
    """A law between two ends, one of which may be infinite.

    law     its log density, probability and tails; at a finite end as powers of 1 / distance
    low     the ends
    high
    points  (where panels begin, a width near it)
    mirror  the mirror image of a point, None where it is not known
    """

    law: Law
    low: Number
    high: Number
    points: list[tuple[Number, Number]]
    mirror: Callable[[Number], Number] | None = None


def _uniform(low: float, high: float) -> Bounded:
    a, b = mpf(low), mpf(high)

    def below(x: Number, upper: bool) -> Number:
        return ((b - x) if upper else (x - a)) / (b - a)

    law = Law(lambda x: -mp.log(b - a), [], (FLAT, FLAT), below, (a + b) / 2)
    return Bounded(law, a, b, [], lambda x: a + b - x)


def _triangular(low: float, mode: float, high: float) -> Bounded:
    a, c, b = mpf(low), mpf(mode), mpf(high)

    def log_density(x: Number) -> Number:
        rises = x < c or c == b
        share = (x - a) / (c - a) if rises else (b - x) / (b - c)
        return mp.log(2 * share / (b - a)) if share > 0 else -inf

    def below(x: Number, upper: bool) -> Number:
        if x < c or c == b:
            part = (x - a) ** 2 / ((b - a) * (c - a))
        else:
            part = 1 - (b - x) ** 2 / ((b - a) * (b - c))
        return 1 - part if upper else part

    tails = FLAT if c == a else ZERO, FLAT if c == b else ZERO
    mirror = (lambda x: a + b - x) if c - a == b - c else None
    return Bounded(Law(log_density, [], tails, below), a, b, [(c, (b - a) / 4)], mirror)


def _power_tail(power: float) -> Tail:
    """The tail at an end where the density is a power of the distance, less 1."""
    return Tail(Fraction(0), Fraction(0), Fraction(power) + 1)


def _in_x(side: Mapping[str, Any]) -> Bounded:
    """A law without truncation, in x itself."""
    family = side.get("family", "normal")
    law = moments.law_of(side)
    if family == "gamma":
        k, rate = mpf(side["shape"]), mpf(side.get("rate", 1.0))
        constant = k * mp.log(rate) - mp.loggamma(k)
        of_x = law._replace(
            log_density=lambda x: constant + (k - 1) * mp.log(x) - rate * x,
            below=lambda x, upper: law.below(mp.log(x), upper) if x > 0 else mpf(int(upper)),
            tails=(
                _power_tail(side["shape"]),
                Tail(Fraction(0), Fraction(side.get("rate", 1.0)), 1 - Fraction(side["shape"])),
            ),
        )
        return Bounded(of_x, mpf(0), inf, [(k / rate, mp.sqrt(k) / rate)])
    if family == "beta":
        a, b = mpf(side["a"]), mpf(side["b"])
        constant = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)

        def below(x: Number, upper: bool) -> Number:
            if x <= 0 or x >= 1:
                return mpf(int((x <= 0) == upper))
            return law.below(mp.log(x / (1 - x)), upper)

        of_x = law._replace(
            log_density=lambda x: constant + (a - 1) * mp.log(x) + (b - 1) * mp.log(1 - x),
            below=below,
            tails=(_power_tail(side["a"]), _power_tail(side["b"])),
        )
        return Bounded(of_x, mpf(0), mpf(1), [(a / (a + b), mpf(1) / 8)])
    if family in moments.OF_LOGARITHMS | moments.OF_LOGITS:
        raise ValueError(f"{family}: no reference of this law in x itself")
    points = [(c + n * s, s) for c, s in law.centres for n in (0, -4, 4)]
    return Bounded(law, -inf, inf, points)


def _probability(of: Bounded, low: Number, high: Number) -> Number:
    """The probability between two points, one by which no digit is lost."""
    below = [mpf(0) if x == of.low else mpf(1) if x == of.high else of.law.below(x, False)
             for x in (low, high)]  # fmt: skip
    if below[0] < mpf(1) / 2:
        return below[1] - below[0]
    above = [mpf(0) if x == of.high else of.law.below(x, True) for x in (low, high)]
    return above[0] - above[1]


def _truncated(of: Mapping[str, Any], low: float = -inf, high: float = inf) -> Bounded:
    base = law_of(of)
    a, b = max(mpf(low), base.low), min(mpf(high), base.high)
    mass = _probability(base, a, b)
    log_mass = mp.log(mass)

    def below(x: Number, upper: bool) -> Number:
        return _probability(base, x, b) / mass if upper else _probability(base, a, x) / mass

    tails = tuple(
        tail if own == its else FLAT
        for own, its, tail in zip((a, b), (base.low, base.high), base.law.tails, strict=True)
    )
    law = Law(lambda x: base.law.log_density(x) - log_mass, [], tails, below)  # type: ignore[arg-type]
    middle = (a + b) / 2
    mirror = (lambda x: a + b - x) if base.law.symmetric == middle else None
    return Bounded(law, a, b, base.points, mirror)


def law_of(side: Mapping[str, Any]) -> Bounded:
    """The law of one side of a case, all of whose parameters are numbers."""
    given = {key: value for key, value in side.items() if key != "family"}
    family = side.get("family", "normal")
    if family == "truncated-normal":
        ends = {key: given.pop(key) for key in ("low", "high") if key in given}
        return _truncated(given, **ends)
    known = {"uniform": _uniform, "triangular": _triangular, "truncated": _truncated}
    return known[family](**given) if family in known else _in_x(side)  # type: ignore[operator]


def applies(q: Mapping[str, Any], p: Mapping[str, Any]) -> bool:
    """Whether q or p is a bounded family, or their supports differ."""
    groups = [_group(side) for side in (q, p)]
    return groups[0] != groups[1] or any(side.get("family") in FAMILIES for side in (q, p))


def _group(side: Mapping[str, Any]) -> int:
    """Which variable the law of `reference_moments` is of."""
    while side.get("family") == "mixture":
        side = side["components"][0]
    kinds = moments.OF_LOGARITHMS, moments.OF_LOGITS
    return sum(k for k, kind in enumerate(kinds, 1) if side.get("family") in kind)


def integrals(q: Bounded, p: Bounded, grid: Grid, mirrored: bool = False) -> Factor:
    """The moments of a pair whose q lies within p's support."""
    assert p.low <= q.low < q.high <= p.high
    tails = tuple(
        tail if own == its else FLAT
        for own, its, tail in zip((q.low, q.high), (p.low, p.high), p.law.tails, strict=True)
    )
    missed = p.low < q.low or p.high > q.high
    other = p.law._replace(tails=tails)  # type: ignore[arg-type]
    finite = {
        (b, a): moments.is_finite(q.law, other, b, a)
        for b in range(ORDER + 1) for a in range(ELL_ORDER + 1)
    }  # fmt: skip
    ells = [a for a in range(1, ELL_ORDER + 1) if finite[0, a]]
    orders = [
        (i, j) for i, j in RK
        if all(finite[b, j - m] for m in range(j + 1) for b in range(i + m + 1))
    ]  # fmt: skip
    image = q.mirror if mirrored else None

    def values(x: Number) -> list[Number]:
        log_q, log_p = q.law.log_density(x), p.law.log_density(x)
        if log_q == -inf or log_p == -inf:  # at an end, where x is rounded
            return [mpf(0)] * count
        ell, weight = log_q - log_p, mp.exp(log_q)
        ratio, k, reverse = moments.parts(ell)
        out = [weight, weight * reverse if finite[1, 1] else mpf(0)]
        out += [weight * ell**a for a in ells]
        out += [weight * ratio**i * k**j for i, j in orders]
        if image is not None:
            there = image(x)
            logs = q.law.log_density(there), p.law.log_density(there)
            if -inf in logs:
                return [mpf(0)] * count
            l2 = logs[0] - logs[1]
            ratio2, k2, _ = moments.parts(l2)
            e, h, m, r = (ell + l2) / 2, (ell**2 + l2**2) / 4, (k + k2) / 2, (ratio + ratio2) / 2
            for f, reach in zip((e, h, m), reaches, strict=True):
                out += [weight * f**n for n in reach]
            if square:
                out += [weight * m * r, weight * r * r]
        return out

    powers = range(1, ORDER + 1)
    reaches = (
        [n for n in powers if n in ells], [n for n in powers if 2 * n in ells],
        [n for n in powers if (0, n) in orders],
    )  # fmt: skip
    square = (2, 0) in orders
    count = 2 + len(ells) + len(orders)
    if image is not None:
        count += sum(map(len, reaches)) + 2 * square
    points = {x: w for x, w in [*q.points, *p.points] if q.low < x < q.high}
    widths = [*points.values(), *([q.high - q.low] if q.high < inf and q.low > -inf else [])]
    width = min(widths, default=mpf(1))
    for end in (q.low, q.high):
        if abs(end) < inf:
            points[end] = width
    if image is not None:
        points |= {image(x): w for x, w in points.items()}
    ordered = sorted(points.items())
    if grid.cut:
        more = [(x + w / 3, w) for x, w in ordered if x + w / 3 < q.high]
        ordered = sorted({**dict(more), **dict(ordered)}.items())
    found = iter(moments.integrate(values, ordered, grid, (q.low == -inf, q.high == inf)))
    total = next(found)
    assert abs(total - 1) < mpf(10) ** -(grid.digits - 12), mp.nstr(total - 1, 5)
    reverse = next(found)
    ell = [mpf(1)] + [inf] * ELL_ORDER
    for a in ells:
        ell[a] = next(found)
    rk = dict.fromkeys(RK, inf) | {key: next(found) for key in orders}
    if finite[1, 0]:
        # Integrals of r alone may have digits to lose: what p misses is a sum of probabilities.
        outside = [(p.low, q.low), (q.high, p.high)]
        rk[1, 0] = -mp.fsum(_probability(p, *side) for side in outside if side[0] < side[1])
    pairs = None
    if image is not None:
        lists = [
            [mpf(1)] + [next(found) if n in reach else inf for n in powers] for reach in reaches
        ]
        pairs = Mirrored(*lists, *((next(found), next(found)) if square else (inf, inf)))
    return Factor(ell, rk, inf if missed or not finite[1, 1] else reverse, pairs)
