"""Pairs of laws of one dimension whose supports differ, or are bounded.

Where p has the larger support, it puts some of its mass where q has none. Theory is that of q
against p given q's support, with l moved by a constant (theory.md, section 2).
"""

from __future__ import annotations

import math
from functools import lru_cache

from mckl.exact.moments import EPS, Bounded
from mckl.families.base import OtherFamilyError
from mckl.families.coordinates.conditional import truncated
from mckl.families.coordinates.interval import FLAT, Interval, domain_ends, log_mass
from mckl.families.coordinates.logit import Logit
from mckl.families.coordinates.univariate import WHOLE, Between, Kept, Univariate, between


@lru_cache(maxsize=1024)
def matched(q: Univariate, p: Univariate) -> Between:
    """q and p in one coordinate; raises ValueError where p = 0 and q > 0."""
    if q.domain == p.domain and not (isinstance(q, Interval) or isinstance(p, Interval)):
        return between(q, p)
    (low, high), (p_low, p_high) = domain_ends(q), domain_ends(p)
    if low < p_low or high > p_high:
        outside = (low, min(high, p_low)) if low < p_low else (max(low, p_high), high)
        raise ValueError(
            f"KL is infinite, since p = 0 and q > 0 between {outside[0]:g} and {outside[1]:g}: "
            f"q is {q.label} on {_text(q)}, p is {p.label} on {_text(p)}"
        )
    plain_q, plain_p = q.in_x(), p.in_x()
    others = [law for law in (plain_q, plain_p) if law.support != domain_ends(law)]
    if q.tiny or others:
        raise OtherFamilyError(
            f"q is {q.label} on {_text(q)}, p is {p.label} on {_text(p)}: mckl has no theory for "
            "this pair"
        )
    inside = truncated(plain_p, low, high)
    theory = _in_one_coordinate(q, plain_q, inside, low, high)
    drawn = plain_p if plain_q is q else Logit(plain_p, low, high)
    return Between(q, drawn, theory, _kept(plain_p, low, high))


def _in_one_coordinate(
    q: Univariate, plain: Univariate, p: Univariate, low: float, high: float
) -> Between:
    """q and a p on its support, in the coordinate in which theory integrates."""
    flat = all(tail == FLAT for law in (plain, p) for tail in law.tails)
    if math.isfinite(high - low) and not flat:
        return Between(Logit(plain, low, high) if plain is q else q, Logit(p, low, high))
    step = -plain.centre if plain.movable and p.movable else 0.0
    return Between(plain.moved(step), p.moved(step))


def _kept(p: Univariate, low: float, high: float) -> Kept:
    """The mass that p has between q's ends, and outside."""
    (p_low, p_high) = p.support
    if (low, high) == (p_low, p_high):
        return WHOLE
    sides = [log_mass(p, *side) for side in ((p_low, low), (high, p_high))]
    masses = [math.exp(side.value) for side in sides]
    missed = math.fsum(masses)
    error = math.fsum(mass * side.error for mass, side in zip(masses, sides, strict=True) if mass)
    error += EPS * missed
    if missed < 0.5:
        log = Bounded(math.log1p(-missed), error / (1.0 - missed) + EPS * missed)
        return Kept(Bounded(missed, error), log)
    log = log_mass(p, low, high)
    kept = math.exp(log.value)
    return Kept(Bounded(1.0 - kept, kept * log.error + EPS), log)


def _text(law: Univariate) -> str:
    low, high = domain_ends(law)
    return f"({low:g}, {high:g})"
