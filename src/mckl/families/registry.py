# ruff: noqa: F401, I001 - an import is a registration, and their order is the study's
"""The families, by name. A new family is one file in a folder here and one line below."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mckl.families.base import Family, Pair
from mckl.text import nearest, quoted, shortened, with_shapes

# Every family imported here is registered; tables, figures and messages keep this order.
from mckl.families.normal.pair import NORMAL
from mckl.families.coordinates.student_t import STUDENT_T
from mckl.families.coordinates.laplace import LAPLACE
from mckl.families.coordinates.logistic import LOGISTIC
from mckl.families.coordinates.gamma import GAMMA
from mckl.families.coordinates.beta import BETA
from mckl.families.coordinates.mixture import MIXTURE
from mckl.families.exponential.poisson import POISSON
from mckl.families.exponential.categorical import CATEGORICAL
from mckl.families.exponential.dirichlet import DIRICHLET
from mckl.families.policy.pair import POLICY

FAMILIES: Mapping[str, Family] = {f.name: f for f in [*globals().values()] if isinstance(f, Family)}

_TEXT = re.compile(r"\s*([a-z][a-z-]*)\s*(?:\(([^()]*)\))?\s*")


def family_and_shapes(text: str) -> tuple[Family, tuple[float, ...]]:
    """The family and the shape parameters that a sweep's text names, such as ``student-t(5)``.

    Raises ValueError, with a message of one line, for any other text.
    """
    match = _TEXT.fullmatch(text)
    family = _family(match[1] if match else text)
    if family.sweep is None:
        swept = ", ".join(f.example for f in FAMILIES.values() if f.sweep)
        raise ValueError(f"'{family.name}' can only be used in cases, expected one of {swept}")
    assert match
    try:
        shapes = tuple(float(part) for part in match[2].split(",")) if match[2] else ()
    except ValueError:
        shapes = ()
    if len(shapes) != len(family.shapes):
        raise ValueError(f"{quoted(text)}, expected {family.example}")
    return family, shapes


def canonical(text: str) -> str:
    """The text of a family as results write it: ``student-t(5)`` for ``student-t( 5.0 )``."""
    family, shapes = family_and_shapes(text)
    return with_shapes(family.name, shapes)


def sweep_pair(text: str, dimension: int, scale: float, offset: float) -> Pair:
    """The pair of one cell of a sweep; theory.md, section 1, defines scale and offset.

    Raises ValueError, with a message of one line, where the family has no such pair.
    """
    family, shapes = family_and_shapes(text)
    assert family.sweep is not None
    return family.sweep(shapes, dimension, scale, offset)


def case_pair(case: Mapping[str, Any]) -> Pair:
    """The pair of a case, which has mappings `q` and `p`, each with its `family` (default normal).

    Keys beside `q` and `p` are parameters that both share (`Family.shared`); they may also be among
    those of `q`. Raises ValueError, with a message of one line that names the side.
    """
    sides = {}
    shared = {name: value for name, value in case.items() if name not in ("q", "p")}
    for name in ("q", "p"):
        given = dict(case[name]) | (shared if name == "q" else {})
        try:
            sides[name] = _family(given.pop("family", "normal")).side(given)
        except ValueError as error:
            raise ValueError(f"{name}: {shortened(str(error), 240)}") from None
    return sides["q"].against(sides["p"])


def _family(name: Any) -> Family:
    if not isinstance(name, str) or name not in FAMILIES:
        raise ValueError(f"{quoted(name)} is not a family: {nearest(name, FAMILIES)}")
    return FAMILIES[name]
