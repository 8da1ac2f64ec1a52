"""What one sample of a pair draws, and how its log density ratio follows from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from mckl.arrays import Vector
from mckl.draw.distribution import Part


class Stratified(NamedTuple):
    """The law of a mean over balanced Sobol' points, to the fourth order.

    NaN means not known.
    """

    variance: float
    skewness: float
    excess_kurtosis: float


class Seconds(NamedTuple):
    """CPU seconds on one core that one random number takes, with its part of l, about.

    draw      drawn independently
    image     what its mirror image adds
    quantile  as a quantile of a uniform number
    sums      what the sums over factors add, at a sample or its mirror image
    """

    draw: float
    image: float
    quantile: float
    sums: float = 3e-9


class Evaluator(Protocol):
    """Turns draws into l and sums over factors of several forms with NumPy, tile by tile."""

    def resize(self, replicates: int, units: int) -> None:
        """Make room for so many replicates and units."""

    def add(self, draw: Any, replicate: int, start: int, stop: int) -> None:
        """Take in the draw of the units start to stop, which may be overwritten."""

    def finish(self, out: Vector) -> None:
        """Write l and then the sums, once every unit is in.

        Shape (1 + sums, signs, forms, replicates, units), the sums in the order asked for.
        """


class Form(ABC):
    """How one sample of a pair is drawn.

    Settings whose forms have the same `shape` share their draws: it is the key of the stream.

    Attributes
    ----------
    numbers
        How many random numbers one sample takes.
    shape
        What one sample draws, as text.
    block
        How many samples are drawn together: an evaluator is asked for multiples of it, so that
        what a sample draws does not depend on how many are asked for.
    """

    numbers: int
    shape: str
    block: int = 1

    @abstractmethod
    def draw(self, stream: Any, rows: int) -> Any:
        """The next `rows` samples of a backend's stream."""

    def at(self, stream: Any, u: Vector) -> Any:
        """The samples at uniform numbers u in (0, 1), shape (rows, numbers), for Sobol' points."""
        raise NotImplementedError

    def mirror(self, draw: Any) -> Any:
        """The mirror images of a draw; None where they are its numbers with the other sign."""
        return None

    def parts(self) -> Sequence[Sequence[Part]] | None:
        """The densities of each array that `draw` gives, for TensorFlow Probability.

        None where no densities stand behind the numbers.
        """
        return None

    @abstractmethod
    def evaluator(self, forms: Sequence[Any], signs: int, sums: Sequence[str] = ()) -> Evaluator:
        """What evaluates forms of this shape together, with NumPy.

        `sums` over a sample's factors, of those that the pair offers, come with l.
        """

    def stratified(self, n: int, integrand: str = "ell") -> Stratified:
        """The exact law of the mean over n = 2^m Sobol' points of l, or of a sum over factors.

        `integrand` names the sum (`mckl.exact.integrands`).
        """
        raise NotImplementedError

    def balanced_variance(self, n: int, integrand: str = "ell", slope: float = 0.0) -> float:
        """The variance in `stratified`, cheap for every n.

        With a slope, of the sum less slope times the sum of r_i - 1. NaN means not known.
        """
        raise NotImplementedError
