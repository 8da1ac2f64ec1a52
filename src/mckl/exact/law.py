"""The law of the log density ratio l of a pair (q, p), with a bound on the error of each number.

With KL = E l let l = KL + Q + L at a sample and l' = KL + Q - L at its mirror image: Q is the even
part of l - KL, and L the odd part. What estimators average are functions of l, or sums over a
sample's factors of functions of l_i. Three things give their laws (theory.md, section 2):

- the joint cumulants of (Q, L), which add up over independent factors, for l and its square;
- the joint moments of functions of one factor's l_i, whose cumulants add up, for sums over factors;
- the same moments of r_i - 1 and k3, joined as `mckl.exact.independent_blocks`
  does, for r and k3 of the whole.

Where the law tilted by e^{T (KL + Q) + S L} has a closed form, so has the distribution of a mean of
l (`AnalyticLaw`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from mckl.arrays import Complex, Vector
from mckl.exact import joint
from mckl.exact.independent_blocks import joined_blocks
from mckl.exact.moments import EPS, GAP, RATIO, Function, Moments, settled

Tilt = tuple[float, float]  # (T, S): the exponential e^{T (KL + Q) + S L}


class Law(ABC):
    """The law of the log density ratio of a pair (q, p) under z ~ q.

    Numbers are `inf` where an expectation diverges, and NaN where it exceeds the largest float64.

    kl, kl_error  KL(q||p) and a bound on its absolute error, in nats.
    mirrored      Whether a sample has a mirror image. Without one L is 0.
    outcomes      The number of values that l takes; None where it is not finite, or not known.
    missed_mass   p's probability of the values that q never takes, so that E r = 1 - missed_mass.
    missed_error  A bound on its absolute error, beyond a few roundings.
    """

    kl: float
    kl_error: float
    mirrored: bool = True
    outcomes: int | None = None
    missed_mass: float = 0.0
    missed_error: float = 0.0

    @abstractmethod
    def is_finite(self, s: float, order: int = 0) -> bool:
        """Whether E |l|^order e^{s l} is finite."""

    @property
    def kept_mass(self) -> float:
        """E r, which is 1 - missed_mass."""
        return 1.0 - self.missed_mass

    @property
    def ratio_variance_finite(self) -> bool:
        """Whether the variance of r is finite."""
        return self.is_finite(-2.0)

    @property
    @abstractmethod
    def lowest_tilt(self) -> float:
        """The infimum of all s for which E e^{s l} is finite."""

    def parts(self, order: int) -> Moments:
        """The joint cumulants of (Q, L) from order 2 on, shape (order + 1, order + 1).

        A law without mirror images has `ell` instead.
        """
        raise NotImplementedError

    @abstractmethod
    def factor_moments(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> tuple[Moments, Vector]:
        """The joint central moments of functions of l_i for each distinct factor, and the counts.

        functions  What is evaluated at l_i (`mckl.exact.moments.Function`).
        paired     Whether functions are averaged over an antithetic pair.
        order      The largest total order.

        Returns the moments, of shape (order + 1,) * len(functions) + (factors,), whose entries of
        order 1 are the means; and how many factors have each of these laws, shape (factors,).
        """

    def ell(self, order: int, paired: bool = False) -> Moments:
        """The cumulants of l, or of KL + Q if paired, shape (order + 1,); entry 1 is KL."""
        value, error = np.zeros(order + 1), np.zeros(order + 1)
        parts = self.parts(order)
        value[1], error[1] = self.kl, self.kl_error
        for m in range(2, order + 1):
            for j in range(1 if paired else m + 1):
                times, (cumulant, bound) = math.comb(m, j), parts.at(m - j, j)
                value[m] += times * cumulant
                error[m] += times * (bound + 2.0 * EPS * abs(cumulant)) if cumulant else 0.0
        return Moments(value, error)

    @property
    def variance(self) -> float:
        """Var l, in nats squared."""
        return float(self.ell(2).value[2])

    def sums(self, functions: Sequence[Function], paired: bool, order: int = 4) -> Moments:
        """The joint cumulants of sums over a sample's factors, as `factor_moments` has them.

        Entries of order 1 are the means. Entry [0, ..., 0] and those of a higher total order are 0.
        """
        shape = (order + 1,) * len(functions)
        value, error, infinite = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
        for moments, counts in self.pieces(functions, paired, order):
            kappa = joint.cumulants(moments, len(functions))
            for first in joint.firsts(len(functions)):
                kappa.value[first], kappa.error[first] = moments.value[first], moments.error[first]
            infinite |= np.isinf(kappa.value).any(axis=-1)
            with np.errstate(invalid="ignore", over="ignore"):
                value += kappa.value @ counts
                rounding = EPS * (2.0 + math.log2(counts.size)) * (np.abs(kappa.value) @ counts)
                error += kappa.error @ counts + rounding + EPS * np.abs(value)
        return settled(value, error, infinite)

    def block(self, paired: bool, order: int, slope: float = 0.0, rest: float = 1.0) -> Moments:
        """The joint moments of R and of y = k3 - E k3 - slope R over whole samples.

        R is r - 1 less its mean, and `rest` is 1 - slope with all its digits. For antithetic pairs
        they are the moments of (M, D, y) in `mckl.exact.independent_blocks`.
        """
        functions = functions_of_block(paired, slope, rest)
        return joined_blocks(self.pieces(functions, paired, order), rest, len(functions), order)

    def pieces(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> Iterator[tuple[Moments, Vector]]:
        """`factor_moments` for some of the factors at a time, lest they fill the memory."""
        yield self.factor_moments(functions, paired, order)


def functions_of_block(paired: bool, slope: float, rest: float) -> tuple[Function, ...]:
    """The functions whose moments `Law.block` joins."""
    residual = Function("k3", slope, rest)
    return (RATIO, GAP, residual) if paired else (RATIO, residual)


class AnalyticLaw(Law):
    """A law whose tilts have closed forms, also at complex numbers."""

    @abstractmethod
    def log_mgf(self, tilt: Tilt) -> float:
        """The logarithm of E e^{T (KL + Q) + S L}; inf where it diverges."""

    @abstractmethod
    def complex_log_mgf(self, s: Complex, paired: bool) -> Complex:
        """log E e^{s x} at complex s, shape (nodes,); x is l, or KL + Q if paired.

        `s` must lie on a line that crosses the real axis where `log_mgf` is finite.
        """

    @abstractmethod
    def tilted(self, s: float, paired: bool) -> tuple[float, float]:
        """Mean and variance of x under the law tilted by e^{s x}; x is l, or KL + Q if paired."""
