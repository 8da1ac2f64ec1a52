"""Numbers with a bound on their error, and the functions whose joint moments laws give.

A bound covers what a quadrature rule leaves and what rounding does. It is never smaller than the
error, and rarely much larger. Where a number is infinite its bound is 0; where it is not known, as
when a finite number exceeds float64, the number is NaN and its bound is inf.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector

EPS = float(np.finfo(np.float64).eps)
# Numbers called exact have bounds of at most so much: KL and Var l, and everything else.
LARGEST_ERROR_OF_KL, LARGEST_ERROR = 1e-8, 1e-6


class Moments(NamedTuple):
    """Joint moments or cumulants, and a bound on the absolute error of each: arrays of one shape.

    Entry [i, j, ...] belongs to the product of the first variable i times, the second j times, and
    so on. Axes after those of the variables are for several laws at once.
    """

    value: Vector
    error: Vector

    def at(self, *index: int) -> Bounded:
        """One entry."""
        return Bounded(float(self.value[index]), float(self.error[index]))


class Bounded(NamedTuple):
    """A number and a bound on its absolute error."""

    value: float
    error: float

    @property
    def relative(self) -> float:
        """The bound relative to the number; 0 where the number is infinite, inf where not known."""
        if math.isinf(self.value) or (self.value == 0.0 and self.error == 0.0):
            return 0.0
        if math.isnan(self.value) or self.value == 0.0:
            return math.inf
        return self.error / abs(self.value)

    @property
    def known(self) -> float:
        """The number; NaN where no bound on its error is known."""
        return self.value if math.isfinite(self.error) else math.nan


class Function(NamedTuple):
    """A function of l_i at a point, or its mean over the point and its mirror image.

    name   ``ell``: l_i; ``half_square``: l_i^2 / 2; ``ratio``: r_i - 1; ``k3``: r_i - 1 + l_i, less
           slope (r_i - 1); ``rb``: the factor's KL given those before it; ``gap``: half of r_i less
           that at the mirror image, which for pairs alone is not 0
    slope  the multiple of r_i - 1 that is taken off k3; for outcomes also an array over factors
    rest   1 - slope with all its digits
    shift  for ``half_square``, what is added to l_i before it is squared
    """

    name: str
    slope: Any = 0.0
    rest: Any = 1.0
    shift: float = 0.0


WITH_RATIO = frozenset(("ratio", "gap", "k3"))  # the names of the functions that contain r
ELL, HALF_SQUARE, RATIO, K3, RB, GAP = map(
    Function, ("ell", "half_square", "ratio", "k3", "rb", "gap")
)


def settled(
    value: Vector, error: Vector, infinite: NDArray[np.bool_] | np.bool_ | None = None
) -> Moments:
    """The moments with what overflowed as NaN, and what is `infinite` as inf."""
    certain = np.isfinite(value) & np.isfinite(error)
    value, error = np.where(certain, value, math.nan), np.where(certain, error, math.inf)
    if infinite is not None:
        value, error = np.where(infinite, math.inf, value), np.where(infinite, 0.0, error)
    return Moments(value, error)


def moment_norm(moments: Vector, n: int) -> float:
    """The norm (E |X|^n)^(1/n) from the moments of X, or a little more."""
    if n % 2 == 0:
        return float(np.abs(moments[n]) ** (1.0 / n))
    if len(moments) > n + 1 and not math.isinf(moments[n + 1]):  # by Cauchy and Schwarz
        return float(np.prod(np.abs(moments[[n - 1, n + 1]]) ** (0.5 / n)))
    return max(float(np.abs(moments[n]) ** (1.0 / n)), moment_norm(moments, n - 1))
