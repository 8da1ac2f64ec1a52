"""A side that is given as a transform of another: ``{transform: exp, of: {mean: 0, sd: 1}}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mckl.families.base import Side
from mckl.families.maps import transforms
from mckl.families.parameters import shown_briefly
from mckl.text import listed

_KEYS = ("transform", "of")


def transformed(given: Mapping[str, Any], side: Callable[[Mapping[str, Any]], Side]) -> Side:
    """The side of a mapping with the keys `transform` and `of`, which may be such a mapping again.

    `side` makes the side of any other mapping. Raises ValueError with one line.
    """
    if "transform" not in given:
        return side(given)
    if "of" not in given:
        raise ValueError("transform: of is missing, expected a law with its parameters")
    if {*given} != {*_KEYS}:
        raise ValueError(f"transform: {listed([*map(str, given)])}, expected {listed(_KEYS)}")
    known, base = transforms(given["transform"]), given["of"]
    if not isinstance(base, Mapping):
        raise ValueError(f"of: {shown_briefly(base)}, expected a law with its parameters")
    return transformed(base, side).under(known)
