"""Names laws and densities as TensorFlow Probability does, without importing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Distribution(NamedTuple):
    """A law as TensorFlow Probability describes it.

    name        the name of its class in tfp.distributions
    parameters  its parameters by name: numbers, or arrays with one number for each coordinate
    points      whether a form draws points of this law; if not, the law is only used for its KL
    terms       the size of the terms in the registered formula of KL, which bounds its rounding
    """

    name: str
    parameters: Mapping[str, Any]
    points: bool = True
    terms: float = 1.0


class DensityTerm(NamedTuple):
    """Numbers `start` to `stop` of a sample, and the densities whose log ratio they add to l."""

    start: int
    stop: int
    q: Distribution
    p: Distribution


class Factor(NamedTuple):
    """q and p of one factor of a sample; `times` factors have the same."""

    times: float
    q: Distribution
    p: Distribution

    @property
    def points(self) -> bool:
        """Whether a form draws points of both laws."""
        return self.q.points and self.p.points
