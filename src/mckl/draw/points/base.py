"""Point sets: how the random numbers of successive samples depend on each other.

A unit of a point set is one sample, or for antithetic points a pair of samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mckl.draw.form import Form, Numbers
from mckl.draw.streams import Stream

# A function that draws the next `rows` samples as `Form.draw` does. The kernel may overwrite the
# arrays, which are valid until the next draw.
Draw = Callable[[int], Numbers]


class PointSet(NamedTuple):
    """A way to place points.

    name         the name in the config; with the suffix "-radial", the same points in radial form
    short        a short name, for places with little room
    mirrored     whether a unit is a sample and its mirror image, or one sample
    independent  whether units are independent, so that a trace has a standard error
    start        a function (stream, form, seed of the replicate) -> `Draw`
    balanced     whether of the first 2^m points one lies in each interval of length 2^-m of every
                 coordinate, uniformly and independently of the other intervals and coordinates, so
                 that the theory of strata applies (`mckl.exact.strata`). Over points that are
                 neither independent nor balanced an estimate has a bias, but no known variance
    most_numbers the most random numbers that one sample may take; None for no limit
    most_samples the most samples of one replicate; None for no limit
    seconds_per_normal, seconds_per_chisquare, seconds_per_sample, seconds_per_replicate
                 approximate CPU seconds on one core, from which the plan of a run is made
    """

    name: str
    short: str
    mirrored: bool
    independent: bool
    start: Callable[[Stream, Form, np.random.SeedSequence], Draw]
    balanced: bool = False
    most_numbers: int | None = None
    most_samples: int | None = None
    seconds_per_normal: float = 8.5e-9
    seconds_per_chisquare: float = 25e-9
    seconds_per_sample: float = 0.0
    seconds_per_replicate: float = 3.5e-5

    @property
    def points(self) -> int:
        """The number of samples in one unit."""
        return 2 if self.mirrored else 1
