"""Settings: the cells of the sweep and the named cases."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mckl.errors import UserError
from mckl.estimation.offered import combinations, offered_samplers
from mckl.families.base import Pair
from mckl.families.policy.sampled_chain import SampledChain
from mckl.families.registry import canonical_case, case_pair, sampled_pair, sweep_pair
from mckl.record.case import abridged, is_abridged, with_numbers
from mckl.text import number

AXES = ("family", "dimension", "scale", "offset")
_LETTER = {"family": "", "dimension": "d", "scale": "s", "offset": "o"}


@dataclass(frozen=True)
class Setting:
    """One pair (q, p) of the study.

    name     a short, unique and stable name: ``d16-s1.25-o0.25``, ``student-t5-d16-s1.25-o0.25``,
             or the case's name
    case     the case's name; None for a cell of the sweep
    scale, offset  those of the cell; None for a case
    parameters  the mappings q and p of a case, in which a digest replaces arrays with more than 64
             numbers
    family   the family of a cell, as in the config: ``student-t(5)``; None for a case, whose pair
             has it
    case_pair  the pair of a case
    sampler  the pair with samples of the third law s of a case; None where it has none
    """

    name: str
    case: str | None
    dimension: int
    scale: float | None
    offset: float | None
    parameters: Mapping[str, Any] | None = None
    family: str | None = "normal"
    case_pair: Pair | None = field(default=None, compare=False, repr=False)
    sampler: SampledChain | None = field(default=None, compare=False, repr=False)

    @property
    def pair(self) -> Pair:
        """The pair. Raises ValueError where there is none."""
        if self.case_pair is not None:
            return self.case_pair
        assert self.family is not None
        assert self.scale is not None
        assert self.offset is not None
        return sweep_pair(self.family, self.dimension, self.scale, self.offset)

    def offered(self, samplers: Sequence[str]) -> tuple[str, ...]:
        """The samplers among these that can draw the setting."""
        if self.family is not None:
            return _offered_by(self.family, tuple(samplers))
        return offered_samplers(self.pair, samplers)

    def combinations(
        self, samplers: Sequence[str], estimators: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        """`mckl.estimation.offered.combinations` for the setting."""
        if self.family is not None:  # a family has the same ones in all dimensions from 2 on
            few = min(self.dimension, 2)
            return _combinations_of(self.family, few, tuple(samplers), tuple(estimators))
        return combinations(self.pair, samplers, estimators)

    def as_dict(self) -> dict[str, Any]:
        """The setting as plain numbers and strings, which are parameters of a job."""
        return {name: getattr(self, name) for name in _SHOWN}


_SHOWN = tuple(f.name for f in dataclasses.fields(Setting) if f.compare)


def from_dict(
    fields: Mapping[str, Any], cases: Mapping[str, Mapping[str, Any]] | None = None
) -> Setting:
    """The setting that `Setting.as_dict` wrote.

    fields  The result of `Setting.as_dict`.
    cases   The cases of the config, from which long vectors and matrices are read again, with their
            files.

    Raises `UserError` if a file no longer has the numbers whose digest is in the fields.
    """
    name, parameters = fields["case"], fields["parameters"]
    if name is None:
        return Setting(**fields)
    if is_abridged(parameters):
        assert cases is not None
        parameters = with_numbers(cases[name], f"cases.{name}.")
    setting = case_setting(name, parameters)
    if setting.as_dict() != fields:
        raise UserError(
            f"cases.{name}: a file has changed since the run began: run the same command again"
        )
    return setting


def of_job(job: Mapping[str, Any], config: Mapping[str, Any]) -> list[Setting]:
    """The settings of a job of the study, from its parameter `settings` and the config."""
    return [from_dict(fields, config.get("cases")) for fields in job["settings"]]


def matching(every: Sequence[Setting], patterns: Sequence[str]) -> list[Setting]:
    """The settings whose names match one of the patterns."""
    names = {x for x in patterns if not set(x) & set("*?[")}
    others = [x for x in patterns if x not in names]
    return [
        s for s in every
        if s.name in names or any(fnmatch.fnmatchcase(s.name, x) for x in others)
    ]  # fmt: skip


@lru_cache(maxsize=1024)
def _combinations_of(
    family: str, dimension: int, samplers: tuple[str, ...], estimators: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """`combinations` for a cell of the sweep."""
    return combinations(sweep_pair(family, dimension, 1.0, 0.0), samplers, estimators)


@lru_cache(maxsize=1024)
def _offered_by(family: str, samplers: tuple[str, ...]) -> tuple[str, ...]:
    """The samplers among these that can draw every cell of a family's sweep."""
    return offered_samplers(sweep_pair(family, 1, 1.0, 0.0), samplers)


@lru_cache(maxsize=1024)
def _prefix(family: str) -> str:
    """The family's part of a setting's name: nothing for normal, student-t5 for student-t(5)."""
    return family.replace("(", "").replace(")", "").replace(", ", "-")


def grid_setting(dimension: int, scale: float, offset: float, family: str = "normal") -> Setting:
    """The setting of a cell; `family` is as `mckl.families.registry.canonical` writes it."""
    name = f"d{dimension}-s{number(scale)}-o{number(offset)}"
    if family != "normal":
        name = f"{_prefix(family)}-{name}"
    return Setting(name, None, dimension, scale, offset, None, family)


def case_setting(name: str, parameters: Mapping[str, Any]) -> Setting:
    """The setting of a case, whose vectors are arrays or lists. ValueError if it has no pair."""
    parameters = canonical_case(parameters)
    pair = case_pair(parameters)
    sampler = sampled_pair(pair, parameters["s"]) if "s" in parameters else None
    shown = abridged(parameters)
    return Setting(name, name, pair.dimension, None, None, shown, None, pair, sampler)


def settings(sweep: Mapping[str, Sequence[Any]], cases: Iterable[Setting]) -> list[Setting]:
    """All cells of the sweep, which has none without axes, then all cases."""
    if not sweep:
        return [*cases]
    families = sweep.get("family", ["normal"])
    axes = (families, *(sweep[axis] for axis in AXES[1:]))
    grid = [
        grid_setting(int(dimension), float(scale), float(offset), family)
        for family, dimension, scale, offset in itertools.product(*axes)
    ]
    return [*grid, *cases]


def chunks(items: Iterable[Setting], one_job_per: Sequence[str]) -> dict[str, list[Setting]]:
    """The settings of each job, or chunk: those with equal values on all axes of `one_job_per`.

    The name of a chunk has these values (``d16-s1.25``), and not its position. So a setting that is
    added to the sweep or removed changes no other chunk. Each case is a chunk.
    """
    out: dict[str, list[Setting]] = {}
    axes = [axis for axis in AXES if axis in one_job_per]
    for setting in items:
        if setting.case is not None:
            name = f"case-{setting.case}"
        else:
            name = "-".join(_value(setting, axis) for axis in axes) or "grid"
        out.setdefault(name, []).append(setting)
    return {name: sorted(group, key=lambda s: s.name) for name, group in out.items()}


def _value(setting: Setting, axis: str) -> str:
    value = getattr(setting, axis)
    return _prefix(value) if axis == "family" else _LETTER[axis] + number(value)


def batches(items: Sequence[Setting], most: int) -> Iterator[Sequence[Setting]]:
    """Settings of one family and dimension, which may share draws, at most `most` at a time."""
    for _, group in itertools.groupby(items, key=lambda s: (s.family, s.dimension)):
        same = list(group)
        yield from (same[first : first + most] for first in range(0, len(same), most))
