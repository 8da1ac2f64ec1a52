"""Pairs of laws of one variable whose supports differ, or are bounded.

Where p has the larger support, it puts some of its mass where q has none. Theory is that of q
against p given q's support, with l moved by a constant (theory.md, section 2).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from mckl.exact.moments import EPS, Bounded
from mckl.families import wide
from mckl.families.coordinates.conditional import truncated
from mckl.families.coordinates.interval import FLAT, log_mass
from mckl.families.coordinates.logit import Logit, Shifted
from mckl.families.coordinates.univariate import (
    WHOLE,
    Between,
    Kept,
    Univariate,
    exact_step,
)
from mckl.families.maps import EXP, LOGISTIC, POSITIVE, UNIT, Maps, inverse


class Seen(NamedTuple):
    """The p of a pair as a law of q's variable, which may leave out some of p's values.

    whole   p with the density that its samples' log density ratio needs; its mass may be below 1
    inside  p given that the variable has its value
    kept    the mass of p there
    """

    whole: Univariate
    inside: Univariate
    kept: Kept = WHOLE


def seen(p: Univariate, maps: Maps) -> Seen | None:
    """A law of values as a law of the variable of which `maps` makes these; None if unknown."""
    out = Seen(p, p)
    for step in reversed(maps):
        if step.name == "affine":
            (back,) = inverse((step,))
            moved = [affine_law(law, back.shift, back.scale) for law in (out.whole, out.inside)]
            whole, inside = moved
            if whole is None or inside is None:
                return None
            out = out._replace(whole=whole, inside=inside)
        elif step in (EXP, LOGISTIC):
            low, high = ends = POSITIVE if step == EXP else UNIT
            if out.inside.support[0] > low or out.inside.support[1] < high:
                return None
            kept = _both_kept(out.kept, _kept(out.inside, low, high))
            inside = truncated(out.inside, low, high)
            out = Seen(Logit(out.whole, *ends), Logit(inside, *ends), kept)
        else:
            return None
    return out


def affine_law(law: Univariate, shift: float, scale: float) -> Univariate | None:
    """The law of shift + scale x; None where there is no such law here."""
    if (moved := law.affine(shift, scale)) is not None:
        return moved
    scaled = law.affine(0.0, scale) if law.support == POSITIVE else None
    return None if scaled is None else Shifted(scaled, wide.affine(shift, 0.0, 0.0))


def matched(q: Univariate, p: Seen) -> Between | None:
    """q and p in q's variable; None where q's support is not within p's."""
    (low, high), (p_low, p_high) = q.support, p.inside.support
    if q.tiny or low < p_low or high > p_high:
        return None
    theory = _in_one_coordinate(q, truncated(p.inside, low, high), low, high)
    return Between(q, p.whole, theory, _both_kept(p.kept, _kept(p.inside, low, high)))


def _in_one_coordinate(q: Univariate, p: Univariate, low: float, high: float) -> Between:
    """q and a p on its support, in the coordinate in which theory integrates."""
    flat = all(tail == FLAT for law in (q, p) for tail in law.tails)
    if math.isfinite(high - low) and not flat:
        return Between(Logit(q, low, high), Logit(p, low, high))
    step = exact_step(q, p) if q.movable and p.movable else 0.0
    return Between(q.moved(step), p.moved(step))


def _both_kept(first: Kept, second: Kept) -> Kept:
    """The mass that p has in a part of a part."""
    if WHOLE in (first, second):
        return second if first == WHOLE else first
    (one, log_one), (two, log_two) = first, second
    missed = one.value + two.value * (1.0 - one.value)
    error = one.error + two.error + 2.0 * EPS * missed
    log = Bounded(log_one.value + log_two.value, log_one.error + log_two.error)
    return Kept(Bounded(missed, error), log)


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
