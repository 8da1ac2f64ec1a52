"""What a point set is: how the random numbers of successive samples hang together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from mckl.draw.reduction import Form


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


# Draws the next `rows` samples: their normals (rows, k) and chi-squares (rows, g), in arrays that
# the kernel may overwrite and that are valid until the next draw.
Draw = Callable[[int], tuple[Any, Any]]


class PointSet(NamedTuple):
    """A way to place points.

    name         as in the config; with the suffix "-radial" the same points, reduced
    points       how many samples make one unit (2 for an antithetic pair)
    independent  whether units are independent, so that a trace has a standard error
    start        (stream, form, seed of the replicate) -> `Draw`
    most_numbers how many random numbers a sample may take at most; None: any
    most_samples how many samples it can make; None: any
    seconds_per_normal, seconds_per_chisquare, seconds_per_replicate
                 CPU time on one core, about: what the plan of a run counts with
    """

    name: str
    points: int
    independent: bool
    start: Callable[[Stream, Form, np.random.SeedSequence], Draw]
    most_numbers: int | None = None
    most_samples: int | None = None
    seconds_per_normal: float = 8.5e-9
    seconds_per_chisquare: float = 25e-9
    seconds_per_replicate: float = 3.5e-5
