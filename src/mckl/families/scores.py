"""The score of q beside the log density ratio: what gradient estimators are made of.

The score is the gradient of log q_theta(z) in the parameters theta of q. A sample of several
factors has the score sum s_t and the log density ratio l = sum l_t.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector

POWERS = (1, 2, 3, 4)  # the moments of a gradient that its mean, its variance and the gate take

# Where l is this small, r - 1 and -l agree in nearly every digit: r is its Taylor polynomial there.
SMALL = 2e-3
_TAYLOR_DEGREE, _MOST_DEGREE = 11, 18

# For every tilt t the coefficients of the powers of l that multiply e^(t l).
Expression = Mapping[int, Vector]


class Weight(NamedTuple):
    """A function of a log density ratio l, by which a score is multiplied.

    at      l -> its values
    terms   (alpha, beta, gamma) of alpha + beta l + gamma (r - 1) with r = e^(-l); None where it
            is no such sum
    kinks   the values of l at which it is not smooth
    """

    at: Callable[[Vector], Vector]
    terms: tuple[float, float, float] | None = None
    kinks: tuple[float, ...] = ()


def linear(constant: float = 0.0, ell: float = 0.0, ratio: float = 0.0) -> Weight:
    """The weight constant + ell l + ratio (r - 1)."""

    def at(l: Vector) -> Vector:  # noqa: E741 - the log density ratio
        out = constant + ell * l
        if ratio:
            with np.errstate(over="ignore"):
                out = out + ratio * np.expm1(-l)
        return np.asarray(out)

    return Weight(at, (constant, ell, ratio))


ONE, ELL = linear(1.0), linear(ell=1.0)


def power_of(weight: Weight, power: int, small: bool) -> Expression:
    """A power of a weight with `terms`, as polynomials times exponentials of l."""
    assert weight.terms is not None
    constant, ell, ratio = weight.terms
    base: Expression
    if not ratio:
        base = {0: np.array([constant, ell])}
    elif small:
        taylor = [(-1.0) ** m / math.factorial(m) for m in range(_TAYLOR_DEGREE + 1)]
        base = {0: ratio * np.array(taylor)}
        base[0][:2] += constant - ratio, ell
    else:
        base = {0: np.array([constant - ratio, ell]), -1: np.array([ratio])}
    out: dict[int, Vector] = {0: np.ones(1)}
    for _ in range(power):
        product: dict[int, Vector] = {}
        for t, f in out.items():
            for u, g in base.items():
                c = np.convolve(f, g)[: _MOST_DEGREE + 1]
                known = product.get(t + u, np.zeros(1))
                size = max(c.size, known.size)
                product[t + u] = np.pad(c, (0, size - c.size)) + np.pad(
                    known, (0, size - known.size)
                )
        out = product
    return out


class Rule(NamedTuple):
    """A gradient estimator that is a sum over factors t, with sums over the later factors u > t.

    Per factor: (now(l_t) + sum_u later(l_u)) s_t. With `expected`, the first term is its mean given
    the factors before, and a later factor counts with its mean given those before it.
    """

    now: Weight
    later: Weight | None = None
    expected: bool = False


class Draws(ABC):
    """Independent samples of a pair.

    Attributes
    ----------
    ell
        The l_t of every factor, shape (replicates, samples, factors).
    points
        What was drawn: categories, states from the start state on, or standard normals.
    later
        The mean of l_t given the factors before it, of the same shape; None where there is none.
    """

    ell: Vector
    points: Vector
    later: Vector | None = None

    @abstractmethod
    def scored(self, weights: Vector) -> Vector:
        """Sums over samples of sum_t weights_t s_t, shape (replicates, parameters).

        Weights have shape (replicates, samples, factors), or one factor for all of them.
        """

    def expected(self) -> Vector:
        """Sums over samples of sum_t E[l_t s_t given the factors before]."""
        raise NotImplementedError

    def pathwise(self, stick: bool) -> Vector:
        """Sums over samples of the derivative of l at fixed noise."""
        raise NotImplementedError


class Scores(ABC):
    """The joint law of l and the score of one sample.

    Arrays of parameters have shape (parameters,), but equal ones may be given once.

    Attributes
    ----------
    offers
        Kinds of gradient estimators that the family has, beside `whole`: `factor`, `to-go` (sums
        over later factors), `expected` (the sum over the next token), `pathwise`.
    count
        How many equal parameters every entry stands for.
    factors
        How many factors a sample has.
    kl, variance
        Mean and variance of l, in nats and their square.
    gradient
        The gradient of KL(q_theta||p) at q.
    """

    offers: frozenset[str]
    count: Vector
    factors: int
    kl: float
    variance: float
    gradient: Vector

    @property
    def parameter_count(self) -> int:
        """How many parameters q has."""
        return int(self.count.sum())

    @abstractmethod
    def whole(self, weight: Weight, highest: int = 4) -> Vector:
        """Moments 1 ... highest of weight(l) s for every parameter, shape (highest, parameters).

        inf where one diverges; NaN where none is known.
        """

    def by_factor(self, rule: Rule, highest: int = 4) -> Vector:
        """The same moments of a sum over factors."""
        raise NotImplementedError

    def pathwise(self, stick: bool, highest: int = 4) -> Vector:
        """The same moments of the derivative of l at fixed noise.

        `stick` leaves out the part that goes through the score, which has mean 0.
        """
        raise NotImplementedError

    @cached_property
    def fisher(self) -> Vector:
        """The mean square of the score, for every parameter."""
        return np.asarray(self.whole(ONE, 2)[1])

    @abstractmethod
    def draws(self, generator: np.random.Generator, replicates: int, samples: int) -> Draws:
        """Independent samples."""
