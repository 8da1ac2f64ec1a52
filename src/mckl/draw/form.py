"""What one sample of a pair draws, and how its log density ratio follows from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from mckl.arrays import Vector


class Stratified(NamedTuple):
    """The law of the mean of l over balanced Sobol' points, to the fourth order.

    NaN means not known.
    """

    variance: float
    skewness: float
    excess_kurtosis: float


class NumberCost(NamedTuple):
    """CPU seconds that a number of a sample takes, about, on the machine of docs/scaling.md.

    draw      to draw it
    quantile  to place it by its quantile function instead, for Sobol' points
    evaluate  its part of l, for every pair that shares the draw and every point of a unit
    mirror    its mirror image
    """

    draw: float
    quantile: float
    evaluate: float
    mirror: float = 0.0


class Evaluator(Protocol):
    """Turns draws into log density ratios of several forms with NumPy, tile by tile."""

    def resize(self, replicates: int, units: int) -> None:
        """Make room for so many replicates and units."""

    def add(self, draw: Any, replicate: int, start: int, stop: int) -> None:
        """Take in the draw of the units start to stop, which may be overwritten."""

    def finish(self, out: Vector) -> None:
        """Write l, shape (signs, forms, replicates, units), once every unit is in."""


class Form(ABC):
    """How one sample of a pair is drawn.

    Settings whose forms have the same `shape` share their draws: it is the key of the stream.

    Attributes
    ----------
    numbers
        How many random numbers one sample takes.
    shape
        What one sample draws, as text.
    """

    numbers: int
    shape: str

    @abstractmethod
    def draw(self, stream: Any, rows: int) -> Any:
        """The next `rows` samples of a backend's stream."""

    def at(self, stream: Any, u: Vector) -> Any:
        """The samples at uniform numbers u in (0, 1), shape (rows, numbers), for Sobol' points."""
        raise NotImplementedError

    @abstractmethod
    def evaluator(self, forms: Sequence[Any], signs: int) -> Evaluator:
        """What evaluates forms of this shape together, with NumPy."""

    def stratified(self, n: int) -> Stratified:
        """The exact law of the mean of l over n = 2^m Sobol' points."""
        raise NotImplementedError

    def balanced_variance(self, n: int) -> float:
        """The variance in `stratified`, cheap for every n."""
        return self.stratified(n).variance
