"""The samplers, by name: a point set times a reduction.

A new point set is one file here and one line below; it comes with its radial form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from mckl.draw.points.antithetic import ANTITHETIC
from mckl.draw.points.base import Draw, PointSet, Stream
from mckl.draw.points.iid import IID
from mckl.draw.points.sobol import SOBOL
from mckl.draw.reduction import Form, full, radial
from mckl.draw.streams import seed_sequence
from mckl.families.normal import Pair


class Library(Protocol):
    """What the samplers use of a backend (`mckl.draw.backends.Backend`)."""

    @property
    def name(self) -> str: ...

    @property
    def stream(self) -> Callable[[np.random.SeedSequence], Stream]: ...


class Sampler(NamedTuple):
    """Where the points lie, and how many numbers stand for one of them."""

    name: str
    points: PointSet
    reduce: Callable[[Pair], Form]

    def numbers(self, pair: Pair) -> int:
        """How many random numbers one sample takes, without making the form of a full pair."""
        return pair.dimension if self.reduce is full else self.reduce(pair).numbers

    def start(self, library: Library, form: Form, seed: int, replicate: int, *stage: str) -> Draw:
        """The draws of one replicate.

        Their stream is keyed by what is drawn, not by the setting it is for: settings whose
        samples take the same numbers share them (docs/theory.md, section 9).
        """
        key = seed_sequence(seed, *stage, form.shape, self.name, library.name, replicate)
        return self.points.start(library.stream(key), form, key)


_POINT_SETS = (IID, ANTITHETIC, SOBOL)

SAMPLERS: Mapping[str, Sampler] = {
    sampler.name: sampler
    for points in _POINT_SETS
    for sampler in (
        Sampler(points.name, points, full),
        Sampler(f"{points.name}-radial", points, radial),
    )
}

__all__ = ["SAMPLERS", "Draw", "PointSet", "Sampler", "Stream"]
