"""The families of truncated laws: any law of one dimension, and the normal by its usual name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mckl.families.base import Family
from mckl.families.coordinates.conditional import truncated
from mckl.families.coordinates.gaussian import Gaussian
from mckl.families.coordinates.independent import (
    INDEPENDENT,
    Independent,
    Parameter,
    independent_family,
)
from mckl.families.coordinates.interval import domain_ends, log_mass
from mckl.families.coordinates.mixture import MIXTURE
from mckl.families.coordinates.univariate import Univariate
from mckl.families.parameters import aliases, missing, one_length, parameter_numbers, shown_briefly
from mckl.text import nearest, quoted

_LEAST_LOG_MASS = -650.0

_LOWEST, _HIGHEST = (
    Parameter(f"{end} end of the support, {no} for none", default=no, infinite=True)
    for end, no in (("lower", -math.inf), ("upper", math.inf))
)


def _made(base: Univariate, low: float, high: float) -> Univariate:
    """The law as a case gives it; raises ValueError where it has no mass that can be drawn."""
    if not low < high:
        raise ValueError(f"truncated: low {low:g} and high {high:g}, expected low < high")
    base = base.in_x()
    if base.tiny or base.support != domain_ends(base):
        raise ValueError(f"truncated: mckl has no theory of a truncated {base.label}")
    start, stop = max(low, base.support[0]), min(high, base.support[1])
    kept = log_mass(base, start, stop)
    if not kept.value > _LEAST_LOG_MASS:
        raise ValueError(
            f"truncated: {base.label} has no probability between {low:g} and {high:g} "
            "that float64 can tell from 0"
        )
    return truncated(base, low, high)


def _base(given: Any) -> Independent:
    known = {**INDEPENDENT, MIXTURE.name: MIXTURE}
    known.pop("truncated")
    if not isinstance(given, Mapping):
        raise ValueError(
            f"truncated: of {shown_briefly(given)}, expected a law with its parameters"
        )
    name = given.get("family", "normal")
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"truncated: of family {quoted(name)}: {nearest(name, known)}")
    family, numbers = known[name], {k: v for k, v in given.items() if k != "family"}
    side = family.side(family.named(numbers))
    assert isinstance(side, Independent)
    return side


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
)
INDEPENDENT["truncated"] = TRUNCATED

TRUNCATED_NORMAL = independent_family(
    "truncated-normal",
    lambda mean, sd, low, high: _made(Gaussian(mean, sd), low, high),
    {
        "mean": Parameter("mean before truncation", default=0.0),
        "sd": Parameter("standard deviation before truncation", default=1.0, above=0.0),
        "low": _LOWEST,
        "high": _HIGHEST,
    },
    aliases=aliases(
        mean="mu loc location", sd="sigma scale std", low="a lower min", high="b upper max"
    ),
)
