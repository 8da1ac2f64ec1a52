"""What draws the numbers and evaluates l, by name; imported only when it is used.

A backend module has a class `Stream` (`mckl.points.base.Stream`) and a class `Kernel`, which
turns draws into log density ratios. A new one is one file here and one line below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol

import numpy as np

from mckl.gaussians import Vector
from mckl.points.base import Draw, Stream
from mckl.reduction import Form

BACKENDS = ("numpy",)


class Kernel(Protocol):
    """Turns draws into log density ratios."""

    def log_density_ratios(self, draws: Sequence[Draw], units: int) -> Vector:
        """The next `units` units of l, shape (points per unit, replicates, units)."""


class Backend(NamedTuple):
    """`stream` takes a replicate's seed; `kernel` takes a form and the points per unit."""

    stream: Callable[[np.random.SeedSequence], Stream]
    kernel: Callable[[Form, int], Kernel]


def load(name: str) -> Backend:
    """The backend of this name, with its libraries imported."""
    module = import_module(f"mckl.backends.{name}")
    return Backend(module.Stream, module.Kernel)
