# ruff: noqa: F401, I001 - an import is a registration, and their order is the study's
"""The samplers, by name. A sampler is a point set, in a family's usual form or its radial form.

A new point set is one file here and one line below; both samplers follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mckl.draw.form import Drawable, Form
from mckl.draw.points.base import PointSet
from mckl.draw.streams import seed_sequence

# Every point set imported here is registered; tables, figures and messages keep this order.
from mckl.draw.points.iid import IID
from mckl.draw.points.antithetic import ANTITHETIC
from mckl.draw.points.sobol import SOBOL


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

    def offered(self, pair: Drawable) -> bool:
        """Whether this sampler can draw the samples of the pair."""
        return (
            (pair.radial_numbers is not None or not self.radial)
            and (pair.mirrored or not self.points.mirrored)
            and (pair.additive or self.points.independent)
        )

    def sums(self, pair: Drawable) -> frozenset[str]:
        """The names of the sums over factors that can be computed from samples drawn this way.

        A radial form has the factors only if it draws a number for each of them.
        """
        if self.radial and pair.radial_numbers != (pair.dimension, 0):
            return frozenset()
        return pair.sums

    def form(self, pair: Drawable) -> Form:
        """The form in which this sampler draws a pair's samples, where the sampler is offered."""
        return pair.radial() if self.radial else pair.form()

    def numbers(self, pair: Drawable) -> int:
        """The number of random numbers of one sample, found without building the form."""
        return sum(pair.radial_numbers or ()) if self.radial else pair.dimension

    def key(
        self, backend: str, form: Form, seed: int, replicate: int, *stage: str
    ) -> np.random.SeedSequence:
        """The seed of one replicate's numbers.

        It depends on what is drawn, not on the setting that uses it. So settings whose samples take
        the same numbers share them (theory.md, section 9).
        """
        return seed_sequence(seed, *stage, form.shape, self.name, backend, replicate)


SAMPLERS: Mapping[str, Sampler] = {
    sampler.name: sampler
    for points in [*globals().values()]
    if isinstance(points, PointSet)
    for sampler in (
        Sampler(points.name, points, False),
        Sampler(f"{points.name}-radial", points, True),
    )
}

__all__ = ["SAMPLERS", "PointSet", "Sampler"]
