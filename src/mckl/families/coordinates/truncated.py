"""The families of truncated laws: any law of one dimension, and the normal by its usual name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mckl.families.base import About, Family, OtherFamilyError, Side
from mckl.families.coordinates.conditional import truncated
from mckl.families.coordinates.gaussian import Gaussian
from mckl.families.coordinates.image import Image, Law, facing, image_of
from mckl.families.coordinates.independent import (
    INDEPENDENT,
    Independent,
    Parameter,
    independent_family,
)
from mckl.families.coordinates.interval import log_mass
from mckl.families.coordinates.mixture import MIXTURE
from mckl.families.coordinates.univariate import Coordinates
from mckl.families.maps import image, inverse
from mckl.families.parameters import aliases, missing, one_length, parameter_numbers, shown_briefly
from mckl.families.transformed import transformed
from mckl.text import nearest, quoted

_LEAST_LOG_MASS = -650.0

_LOWEST, _HIGHEST = (
    Parameter(f"{end} end of the support, {no} for none", default=no, infinite=True)
    for end, no in (("lower", -math.inf), ("upper", math.inf))
)


def _made(base: Law, low: float, high: float) -> Law:
    """The law as a case gives it; raises ValueError where it has no mass that can be drawn."""
    if not low < high:
        raise ValueError(f"truncated: low {low:g} and high {high:g}, expected low < high")
    whole = image_of(base)
    if whole.law.tiny:
        raise ValueError(f"truncated: mckl has no theory of a truncated {whole.kind}")
    start, stop = max(low, whole.interval[0]), min(high, whole.interval[1])
    inside = image((start, stop), inverse(whole.maps))
    if not (start < stop and log_mass(whole.law, *inside).value > _LEAST_LOG_MASS):
        raise ValueError(
            f"truncated: {whole.kind} has no probability between {low:g} and {high:g} "
            "that float64 can tell from 0"
        )
    return _truncated(whole, start, stop)


def _truncated(whole: Image, low: float, high: float) -> Law:
    """The law of the value itself, or, where its tails are not known, of its variable."""
    plain = whole.plain()
    if plain is None:
        return whole.within(low, high)
    law = truncated(plain, low, high)
    try:
        _ = law.tails
    except OtherFamilyError:
        return whole.within(low, high)
    if not whole.maps:
        return law
    return whole if law is plain else Image(law, (), f"truncated({whole.kind})")


def _base(given: Any) -> Independent:
    known = {**INDEPENDENT, MIXTURE.name: MIXTURE}
    known.pop("truncated")
    if not isinstance(given, Mapping):
        raise ValueError(
            f"truncated: of {shown_briefly(given)}, expected a law with its parameters"
        )
    side = transformed(given, lambda law: _of_family(law, known)).independent()
    assert isinstance(side, Independent)
    return side


def _of_family(given: Mapping[str, Any], known: Mapping[str, Family]) -> Side:
    name = given.get("family", "normal")
    if name == "truncated":
        raise ValueError(
            "truncated: of a truncated law, which cannot be truncated again: give its low and high"
        )
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"truncated: of family {quoted(name)}: {nearest(name, known)}")
    family, numbers = known[name], {k: v for k, v in given.items() if k != "family"}
    return family.side(family.named(numbers))


def _side(given: Mapping[str, Any]) -> Independent:
    if "of" not in given:
        raise missing("truncated", "of")
    base = _base(given["of"])
    low, high = (
        parameter_numbers("truncated", key, given.get(key, default), infinite=True)
        for key, default in (("low", -math.inf), ("high", math.inf))
    )
    several = np.zeros(() if base.scalar or len(base.laws) == 1 else len(base.laws))
    length = one_length("truncated", {"of": several, "low": low, "high": high})
    bases = base.laws if several.ndim else base.laws * (length or 1)
    ends_of_each = (np.broadcast_to(v, (length or 1,)).tolist() for v in (low, high))
    made = {row: _made(*row) for row in dict.fromkeys(zip(bases, *ends_of_each, strict=True))}
    rows = zip(
        bases, *(np.broadcast_to(v, (length or 1,)).tolist() for v in (low, high)), strict=True
    )
    return Independent(
        "truncated", tuple(made[row] for row in rows), length is None and base.scalar
    )


TRUNCATED = Family(
    "truncated",
    (),
    {
        "of": "the law that is truncated, with its family and parameters",
        "low": _LOWEST.meaning,
        "high": _HIGHEST.meaning,
    },
    _side,
    aliases=aliases(of="base law", low="a lower min left", high="b upper max right"),
    about=About(
        "those of `of` from low to high",
        "all at a finite end where q's density is positive; at others as `of`",
        "the law of x given low < x < high",
    ),
)
INDEPENDENT["truncated"] = TRUNCATED


def _truncated_normal(mean: float, sd: float, low: float, high: float) -> Law:
    return _made(Gaussian(mean, sd), low, high)


def _sweep(shapes: Sequence[float], dimension: int, scale: float, offset: float) -> Coordinates:
    """The normal laws of the normal family's sweep, both truncated to one interval."""
    factor = facing(_truncated_normal(offset, 1.0, *shapes), _truncated_normal(0.0, scale, *shapes))
    return Coordinates([factor], [dimension])


TRUNCATED_NORMAL = independent_family(
    "truncated-normal",
    _truncated_normal,
    {
        "mean": Parameter("mean before truncation", default=0.0),
        "sd": Parameter("standard deviation before truncation", default=1.0, above=0.0),
        "low": _LOWEST,
        "high": _HIGHEST,
    },
    ("low", "high"),
    _sweep,
    aliases=aliases(
        mean="mu loc location", sd="sigma scale std", low="a lower min", high="b upper max"
    ),
    about=About(
        "numbers from low to high",
        "at an infinite end as normal",
        "as scipy.stats.truncnorm, with ends in x",
    ),
)
