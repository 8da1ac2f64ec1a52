"""Point sets: how the random numbers of successive samples depend on each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from mckl.draw.form import Form


class Stream(Protocol):
    """What a backend draws for one replicate, in arrays of shape (rows, columns)."""

    def normals(self, rows: int, columns: int) -> Any:
        """Independent standard normals."""

    def chisquares(self, rows: int, dof: Any) -> Any:
        """Independent chi-squares, one column a number of degrees of freedom."""

    def normal_quantiles(self, u: Any) -> Any:
        """The standard normal quantiles of u."""

    def chisquare_quantiles(self, u: Any, dof: Any) -> Any:
        """The chi-square quantiles of u, one column a number of degrees of freedom."""

    def sample(self, law: Any, rows: int, columns: int) -> Any:
        """Independent samples of a one-dimensional law (`mckl.families`)."""

    def quantiles(self, law: Any, u: Any) -> Any:
        """The quantiles of u under such a law."""


# Draws the next `rows` samples as `Form.draw` does, in arrays that the kernel may overwrite and
# that are valid until the next draw.
Draw = Callable[[int], Any]


class PointSet(NamedTuple):
    """A way to place points.

    name         as in the config; with the suffix "-radial" the same points, reduced
    short        the name where there is room for few letters
    mirrored     whether a unit is a sample and its mirror image, or a sample alone
    independent  whether units are independent, so that a trace has a standard error
    start        (stream, form, seed of the replicate) -> `Draw`
    most_numbers how many random numbers a sample may take at most; None: any
    most_samples how many samples it can make; None: any
    seconds_per_normal, seconds_per_chisquare, seconds_per_replicate
                 CPU time on one core, about: what the plan of a run counts with
    """

    name: str
    short: str
    mirrored: bool
    independent: bool
    start: Callable[[Stream, Form, np.random.SeedSequence], Draw]
    most_numbers: int | None = None
    most_samples: int | None = None
    seconds_per_normal: float = 8.5e-9
    seconds_per_chisquare: float = 25e-9
    seconds_per_replicate: float = 3.5e-5

    @property
    def points(self) -> int:
        """How many samples make one unit."""
        return 2 if self.mirrored else 1
