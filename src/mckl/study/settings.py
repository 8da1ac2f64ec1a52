"""Settings: the cells of the sweep and the named cases."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mckl.families.normal import Diagonal, grid_pair, pair

AXES = ("dimension", "scale", "offset")
_LETTER = {"dimension": "d", "scale": "s", "offset": "o"}


class Setting(NamedTuple):
    """One pair (q, p) of the study.

    name     short, unique and stable: ``d16-s1.25-o0.25``, or the case's name
    case     the case's name, None for a cell of the grid
    scale, offset  None for a case
    """

    name: str
    case: str | None
    dimension: int
    scale: float | None
    offset: float | None
    vectors: Mapping[str, Any] | None = None

    @property
    def pair(self) -> Diagonal:
        """The pair of Gaussians."""
        if self.vectors is None:
            assert self.scale is not None
            assert self.offset is not None
            return grid_pair(self.dimension, self.scale, self.offset)
        q, p = self.vectors["q"], self.vectors["p"]
        return pair(q["mean"], q["sd"], p["mean"], p["sd"])

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings that `from_dict` reads: what a job is told."""
        return self._asdict()


def from_dict(fields: Mapping[str, Any]) -> Setting:
    """The setting that `Setting.as_dict` wrote."""
    return Setting(**fields)


def number(value: float) -> str:
    """The shortest text of a number that reads back as the same number; 1 for 1.0."""
    return repr(float(value)).removesuffix(".0")


def grid_setting(dimension: int, scale: float, offset: float) -> Setting:
    """A cell of the sweep."""
    name = f"d{dimension}-s{number(scale)}-o{number(offset)}"
    return Setting(name, None, dimension, scale, offset)


def case_setting(name: str, vectors: Mapping[str, Any]) -> Setting:
    """A named case; raises ValueError for vectors that make no pair."""
    q, p = vectors["q"], vectors["p"]
    dimension = pair(q["mean"], q["sd"], p["mean"], p["sd"]).dimension
    return Setting(name, name, dimension, None, None, vectors)


def settings(
    sweep: Mapping[str, Sequence[float]], cases: Mapping[str, Mapping[str, Any]]
) -> list[Setting]:
    """Every cell of the grid, then every case."""
    grid = [
        grid_setting(int(dimension), float(scale), float(offset))
        for dimension, scale, offset in itertools.product(*(sweep[axis] for axis in AXES))
    ]
    return grid + [case_setting(name, vectors) for name, vectors in cases.items()]


def chunks(items: Iterable[Setting], one_job_per: Sequence[str]) -> dict[str, list[Setting]]:
    """Settings by job: those that agree on every axis in `one_job_per` share one.

    A chunk is named by what its settings agree on (``d16-s1.25``), never by position, so a
    setting that joins or leaves the sweep touches no other chunk. A case is a chunk of its own.
    """
    out: dict[str, list[Setting]] = {}
    axes = [axis for axis in AXES if axis in one_job_per]
    for setting in items:
        if setting.case is not None:
            name = f"case-{setting.case}"
        else:
            name = "-".join(_LETTER[x] + number(getattr(setting, x)) for x in axes) or "grid"
        out.setdefault(name, []).append(setting)
    return {name: sorted(group, key=lambda s: s.name) for name, group in out.items()}


def batches(items: Sequence[Setting], most: int) -> Iterator[Sequence[Setting]]:
    """Settings of one dimension, whose draws have one shape, at most so many at a time."""
    for _, group in itertools.groupby(items, key=lambda setting: setting.dimension):
        same = list(group)
        yield from (same[first : first + most] for first in range(0, len(same), most))
