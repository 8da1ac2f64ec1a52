# ruff: noqa: F401, I001 - an import is a registration, and their order is the study's
"""The samplers, by name: a point set times a reduction.

A new point set is one file here and one line below; it comes with its radial form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from mckl.draw.form import Form
from mckl.draw.points.base import Draw, PointSet, Stream
from mckl.draw.streams import seed_sequence

# Every point set imported here is registered, in the order in which everything shows them.
from mckl.draw.points.iid import IID
from mckl.draw.points.antithetic import ANTITHETIC
from mckl.draw.points.sobol import SOBOL


class Pair(Protocol):
    """What the samplers use of a pair (`mckl.families.base.Pair`)."""

    @property
    def dimension(self) -> int: ...

    @property
    def mirrored(self) -> bool: ...

    @property
    def additive(self) -> bool: ...

    @property
    def radial_numbers(self) -> tuple[int, int] | None: ...

    @property
    def sums(self) -> frozenset[str]: ...

    def form(self) -> Form: ...

    def radial(self) -> Form: ...


class Library(Protocol):
    """What the samplers use of a backend (`mckl.draw.backends.Backend`)."""

    @property
    def name(self) -> str: ...

    @property
    def stream(self) -> Callable[[np.random.SeedSequence], Stream]: ...


class Sampler(NamedTuple):
    """Where the points lie, and how many numbers stand for one of them.

    name    as in the config
    points  how the points are placed
    radial  whether samples are drawn in the few numbers that a family's radial form takes
    """

    name: str
    points: PointSet
    radial: bool

    @property
    def short(self) -> str:
        """The name where there is room for few letters."""
        return f"{self.points.short}-r" if self.radial else self.points.short

    def offered(self, pair: Pair) -> bool:
        """Whether the pair's family has what this sampler takes."""
        return (
            (pair.radial_numbers is not None or not self.radial)
            and (pair.mirrored or not self.points.mirrored)
            and (pair.additive or self.points.independent)
        )

    def sums(self, pair: Pair) -> frozenset[str]:
        """The sums over factors that samples drawn this way give.

        A radial form knows its factors only where it draws a number for each.
        """
        if self.radial and pair.radial_numbers != (pair.dimension, 0):
            return frozenset()
        return pair.sums

    def form(self, pair: Pair) -> Form:
        """What this sampler draws for a sample of a pair, where it is offered."""
        return pair.radial() if self.radial else pair.form()

    def numbers(self, pair: Pair) -> int:
        """How many random numbers one sample takes, without making a form."""
        return sum(pair.radial_numbers or ()) if self.radial else pair.dimension

    def start(self, library: Library, form: Form, seed: int, replicate: int, *stage: str) -> Draw:
        """The draws of one replicate.

        Their stream is keyed by what is drawn, not by the setting it is for: settings whose
        samples take the same numbers share them (docs/theory.md, section 9).
        """
        key = seed_sequence(seed, *stage, form.shape, self.name, library.name, replicate)
        return self.points.start(library.stream(key), form, key)


SAMPLERS: Mapping[str, Sampler] = {
    sampler.name: sampler
    for points in [*globals().values()]
    if isinstance(points, PointSet)
    for sampler in (
        Sampler(points.name, points, False),
        Sampler(f"{points.name}-radial", points, True),
    )
}

__all__ = ["SAMPLERS", "Draw", "PointSet", "Sampler", "Stream"]
