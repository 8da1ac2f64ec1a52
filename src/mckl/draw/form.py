"""Forms: the random numbers that one sample of a pair takes, and how l follows from them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.distribution import DensityTerm
from mckl.draw.streams import Stream

# The numbers of some samples: arrays with one row a sample, or a generator from which the evaluator
# takes them itself, where how many it needs depends on what was drawn.
Numbers = Sequence[NDArray[Any]] | np.random.Generator


class Stratified(NamedTuple):
    """Variance, skewness and excess kurtosis of a mean over balanced Sobol' points.

    NaN means not known. `error`, `skewness_error` and `kurtosis_error` are bounds on the absolute
    errors of the three.
    """

    variance: float
    skewness: float
    excess_kurtosis: float
    error: float = math.inf
    skewness_error: float = math.inf
    kurtosis_error: float = math.inf


class Seconds(NamedTuple):
    """Approximate CPU seconds on one core for one random number and its share of l.

    draw      for a number that is drawn independently
    image     in addition, for its mirror image
    quantile  for a number that is the quantile of a uniform one
    sums      in addition, for the sums over factors at a sample or at its mirror image
    sample    in addition, for a sample, whatever its numbers are
    """

    draw: float
    image: float
    quantile: float
    sums: float = 3e-9
    sample: float = 0.0


class Evaluator(Protocol):
    """Computes l and sums over factors, for several forms, from draws that come in tiles.

    A unit is one sample, or an antithetic pair of samples.
    """

    def resize(self, replicates: int, units: int) -> None:
        """Make room for the results of these numbers of replicates and units."""

    def add(self, draw: Numbers, replicate: int, start: int, stop: int) -> None:
        """Process the draw of the units from `start` to `stop`; `draw` may be overwritten."""

    def finish(self, out: Vector) -> None:
        """Write l and then the sums, once all units have been added.

        `out` has shape (1 + sums, signs, forms, replicates, units); the sums are in the order in
        which they were asked for.
        """


class Form(ABC):
    """How one sample of a pair is drawn.

    Settings whose forms have the same `shape` share their draws, as it is the key of the stream.

    numbers  The number of random numbers that one sample takes.
    shape    A text that says what one sample draws.
    block    The number of samples that are drawn together. An evaluator is asked for multiples of
             it, so that a sample's numbers do not depend on how many samples are asked for at a
             time.
    """

    numbers: int
    shape: str
    block: int = 1

    @abstractmethod
    def draw(self, stream: Stream, rows: int) -> Numbers:
        """The numbers of the next `rows` samples of a replicate."""

    def at(self, stream: Stream, u: Vector) -> Numbers:
        """The samples at points u in (0, 1), shape (rows, numbers), for Sobol' points.

        Raises NotImplementedError where a family has no quantile functions.
        """
        raise NotImplementedError

    def mirror(self, draw: Numbers) -> Numbers | None:
        """The mirror images of a draw; None if they are its numbers with the other sign."""
        return None

    def parts(self) -> Sequence[Sequence[DensityTerm]] | None:
        """The densities of each array that `draw` returns, as TensorFlow Probability names them.

        None where the numbers are not points that have densities.
        """
        return None

    @abstractmethod
    def evaluator(self, forms: Sequence[Any], signs: int, sums: Sequence[str] = ()) -> Evaluator:
        """The NumPy evaluator of several forms that have this shape.

        `signs` is 2 for antithetic pairs, else 1. `sums` names the sums over factors that are
        wanted beside l; they must be among those that the pair offers.
        """

    def stratified(self, n: int, integrand: str = "ell") -> Stratified:
        """The exact law of the mean of l, or of a sum over factors, over n = 2^m Sobol' points.

        `integrand` names the sum (`mckl.exact.factor_sums`).
        """
        raise NotImplementedError

    def balanced_variance(self, n: int, integrand: str = "ell", slope: float = 0.0) -> float:
        """The variance in `stratified`, which takes little time for every n. NaN means not known.

        With a slope, it is the variance for the sum less slope times the sum of r_i - 1.
        """
        raise NotImplementedError


class Drawable(ABC):
    """What samplers know of a pair (`mckl.families.base.Pair`).

    dimension       The number of factors of a sample.
    mirrored        Whether a sample has a mirror image with the same law, which antithetic pairs
                    need.
    additive        Whether l is a sum of functions of independent uniform numbers, which Sobol'
                    points need.
    radial_numbers  The numbers of normals and of chi-squares that a sample takes in the form
                    `radial`; None where the family lacks this form.
    sums            The names of the sums over a sample's factors that its forms can compute.
    """

    dimension: int
    mirrored: bool = True
    additive: bool = True
    radial_numbers: tuple[int, int] | None = None
    sums: frozenset[str]

    @abstractmethod
    def form(self) -> Form:
        """How one sample is drawn, factor by factor."""

    def radial(self) -> Form:
        """How one sample is drawn from few numbers; NotImplementedError without such a form."""
        raise NotImplementedError
