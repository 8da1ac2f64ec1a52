"""Every family with its parameters, other names, support, samplers, moments and an example.

The examples are the cases of studies/pairs.yaml, one for each family.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from mckl.draw.points import SAMPLERS
from mckl.errors import UserError
from mckl.estimation.offered import offered_samplers
from mckl.families.base import Family
from mckl.families.registry import FAMILIES, case_pair
from mckl.record.shipped import shipped
from mckl.text import nearest, quoted

_WIDTH = 22  # of the first column


class ListedFamily(NamedTuple):
    """A family, as the list of families shows it.

    name         its name
    sweep        how it is written in a sweep; None for a family that can only be used in cases
    parameters   the names of its parameters, with their meanings; those that q and p share, too
    other_names  other names by parameter; `converted` of them have other numbers
    samplers     the samplers of its example
    support      the values that it takes
    moments      when moments of l and r = p/q are finite
    source       where its definition comes from
    example      a case with q and p
    """

    name: str
    sweep: str | None
    parameters: Mapping[str, str]
    other_names: Mapping[str, Sequence[str]]
    converted: Sequence[str]
    samplers: Sequence[str]
    support: str
    moments: str
    source: str
    example: Mapping[str, Any]


def listed_families(names: Sequence[str] = ()) -> list[ListedFamily]:
    """The families with these names, or all of them; raises `UserError` for any other name."""
    for name in names:
        if name not in FAMILIES:
            raise UserError(f"{quoted(name)} is not a family: {nearest(name, FAMILIES)}")
    text = (shipped() / "studies" / "pairs.yaml").read_text("utf-8")
    cases = yaml.safe_load(text)["cases"]
    return [_listed(FAMILIES[name], cases[name]) for name in names or FAMILIES]


def _listed(family: Family, case: Mapping[str, Any]) -> ListedFamily:
    others: dict[str, list[str]] = {}
    for name, synonym in family.aliases.items():
        others.setdefault(synonym.parameter, []).append(name)
    return ListedFamily(
        family.name,
        family.example if family.sweep else None,
        {**family.parameters, **family.shared},
        others,
        [name for name, synonym in family.aliases.items() if synonym.convert],
        offered_samplers(case_pair(case), [*SAMPLERS]),
        *family.about,
        case,
    )


def overview(families: Sequence[ListedFamily]) -> Iterator[str]:
    """A line for each family: its name, its parameters and its support."""
    for family in families:
        names = ", ".join(family.parameters)
        yield f"{family.name:{_WIDTH}}{names}"
    yield ""
    yield "mckl families NAME shows one of them, with an example."


def details(family: ListedFamily) -> Iterator[str]:
    """All that is known of one family, with commands to try."""
    yield f"{family.name}: {family.support}"
    for name, meaning in family.parameters.items():
        yield f"  {name:{_WIDTH - 2}}{meaning}"
        if others := family.other_names.get(name):
            yield f"  {'':{_WIDTH - 2}}also " + ", ".join(
                f"{other} (converted)" if other in family.converted else other for other in others
            )
    yield f"Samplers: {', '.join(family.samplers)}"
    yield f"Moments: {family.moments}"
    yield f"In a sweep: {family.sweep or 'no, only in cases'}"
    shared = {key: value for key, value in family.example.items() if key not in ("q", "p")}
    q, p = (_flow(family.example[side]) for side in ("q", "p"))
    if shared:
        q = _flow({**family.example["q"], **shared})
    yield f"Example: mckl kl --q '{q}' --p '{p}'"


def _flow(side: Mapping[str, Any]) -> str:
    """One side of a case as a text of YAML in one line."""
    return yaml.safe_dump(dict(side), default_flow_style=True, sort_keys=False, width=10**6).strip()
