# ruff: noqa: F401, I001 - an import is a registration, and their order is the study's
"""The samplers, by name. A sampler is a point set, in a family's usual form or its radial form.

A new point set is one file here and one line below; both samplers follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from mckl.draw.form import Form
from mckl.draw.points.base import Draw, PointSet, Stream
from mckl.draw.streams import seed_sequence

# Every point set imported here is registered; tables, figures and messages keep this order.
from mckl.draw.points.iid import IID
from mckl.draw.points.antithetic import ANTITHETIC
from mckl.draw.points.sobol import SOBOL


class DrawnPair(Protocol):
    """The attributes of a pair (`mckl.families.base.Pair`) that samplers use."""

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


class StreamSource(Protocol):
    """The attributes of a backend (`mckl.draw.backends.Backend`) that samplers use."""

    @property
    def name(self) -> str: ...

    @property
    def stream(self) -> Callable[[np.random.SeedSequence], Stream]: ...


class Sampler(NamedTuple):
    """A way to draw the samples of a pair.

    name    the name in the config
    points  how the points are placed
    radial  whether samples are drawn in the family's radial form, which takes few numbers
    """

    name: str
    points: PointSet
    radial: bool

    @property
    def short(self) -> str:
        """A short name, for places with little room."""
        return f"{self.points.short}-r" if self.radial else self.points.short

    def offered(self, pair: DrawnPair) -> bool:
        """Whether this sampler can draw the samples of the pair."""
        return (
            (pair.radial_numbers is not None or not self.radial)
            and (pair.mirrored or not self.points.mirrored)
            and (pair.additive or self.points.independent)
        )

    def sums(self, pair: DrawnPair) -> frozenset[str]:
        """The names of the sums over factors that can be computed from samples drawn this way.

        A radial form has the factors only if it draws a number for each of them.
        """
        if self.radial and pair.radial_numbers != (pair.dimension, 0):
            return frozenset()
        return pair.sums

    def form(self, pair: DrawnPair) -> Form:
        """The form in which this sampler draws a pair's samples, where the sampler is offered."""
        return pair.radial() if self.radial else pair.form()

    def numbers(self, pair: DrawnPair) -> int:
        """The number of random numbers of one sample, found without building the form."""
        return sum(pair.radial_numbers or ()) if self.radial else pair.dimension

    def start(
        self, library: StreamSource, form: Form, seed: int, replicate: int, *stage: str
    ) -> Draw:
        """The draws of one replicate.

        The key of their stream is what is drawn, not the setting that uses it. So settings whose
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
