"""Laws and densities by the names that TensorFlow Probability gives them; nothing is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Distribution(NamedTuple):
    """A law as TensorFlow Probability has it.

    name        of its class in tfp.distributions
    parameters  by their names there: numbers, or arrays with one a coordinate
    points      whether what a form draws are points of this law; else it only serves KL
    terms       size of the terms that the registered KL adds up, which rounding is relative to
    """

    name: str
    parameters: Mapping[str, Any]
    points: bool = True
    terms: float = 1.0


class Part(NamedTuple):
    """Numbers start to stop of a sample, and the densities whose log ratio is their share of l."""

    start: int
    stop: int
    q: Distribution
    p: Distribution


class Factor(NamedTuple):
    """q and p of independent parts of a sample, of which there are so many."""

    times: float
    q: Distribution
    p: Distribution

    @property
    def points(self) -> bool:
        """Whether what a form draws are points of both laws."""
        return self.q.points and self.p.points
