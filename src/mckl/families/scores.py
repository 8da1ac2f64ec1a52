"""The joint law of the score of q and the log density ratio, from which gradient estimators follow.

The score s of a sample z is the gradient of log q_theta(z) with respect to the parameters theta of
q. A sample of several factors t has the score s = sum s_t and the log density ratio l = sum l_t.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector

POWERS = (1, 2, 3, 4)  # the moments that a gradient's mean, its variance and verification need

# For smaller |l|, r - 1 and -l agree in nearly every digit: a Taylor polynomial replaces r.
SMALL = 2e-3
_TAYLOR_DEGREE, _MOST_DEGREE = 11, 18

# For every tilt t, the coefficients of the polynomial in l that multiplies e^(t l).
Expression = Mapping[int, Vector]


class Weight(NamedTuple):
    """A function of a log density ratio l, by which a score is multiplied.

    at      the function itself: it takes an array of l and returns an array of the same shape
    terms   (alpha, beta, gamma) if the function is alpha + beta l + gamma (r - 1) with r = e^(-l);
            None for any other function, such as one with a clamp
    kinks   the values of l at which the function is not smooth
    """

    at: Callable[[Vector], Vector]
    terms: tuple[float, float, float] | None = None
    kinks: tuple[float, ...] = ()


def linear(constant: float = 0.0, ell: float = 0.0, ratio: float = 0.0) -> Weight:
    """The weight constant + ell l + ratio (r - 1)."""

    def value_at(l: Vector) -> Vector:  # noqa: E741 - the log density ratio
        out = constant + ell * l
        if ratio:
            with np.errstate(over="ignore"):
                out = out + ratio * np.expm1(-l)
        return np.asarray(out)

    return Weight(value_at, (constant, ell, ratio))


ONE, ELL = linear(1.0), linear(ell=1.0)


def power_of(weight: Weight, power: int, small: bool) -> Expression:
    """A power of a weight that has `terms`, as a sum of polynomials times exponentials of l.

    With `small`, r is replaced by its Taylor polynomial (`SMALL`).
    """
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
                term = product.get(t + u, np.zeros(1))
                size = max(c.size, term.size)
                product[t + u] = np.pad(c, (0, size - c.size)) + np.pad(term, (0, size - term.size))
        out = product
    return out


class Rule(NamedTuple):
    """A gradient estimator that is a sum over factors t, with sums over the later factors u > t.

    The term of a factor is (now(l_t) + sum_u later(l_u)) s_t. With `expected`, now(l_t) s_t is
    replaced by its mean given the factors before t, and each l_u by its mean given those before u.
    """

    now: Weight
    later: Weight | None = None
    expected: bool = False


class Draws(ABC):
    """Independent samples of a pair, and sums of gradient estimates over them.

    ell     The l_t of every factor in nats, shape (replicates, samples, factors).
    points  The drawn values: categories, states from the start state on, or standard normals.
    later   The mean of l_t given the factors before t, of the same shape; None for families whose
            `Scores.offers` lacks `expected`.
    """

    ell: Vector
    points: Vector
    later: Vector | None = None

    @abstractmethod
    def scored(self, weights: Vector) -> Vector:
        """Sums over samples of sum_t weights_t s_t, shape (replicates, parameters).

        `weights` has shape (replicates, samples, factors), or (replicates, samples, 1) where all
        factors of a sample have the same weight.
        """

    def expected(self) -> Vector:
        """Sums over samples of sum_t E[l_t s_t given the factors before t].

        Shape (replicates, parameters). NotImplementedError where the family does not offer it.
        """
        raise NotImplementedError

    def pathwise(self, stick: bool) -> Vector:
        """Sums over samples of the derivative of l at fixed noise; `stick` as in `Scores.pathwise`.

        Shape (replicates, parameters). NotImplementedError where the family does not offer it.
        """
        raise NotImplementedError


class Scores(ABC):
    """The joint law of l and the score of one sample.

    Arrays over parameters have shape (parameters,), in which one entry may stand for several
    parameters with equal laws.

    offers        The kinds of gradient estimators that the family has beside `whole`: `factor`,
                  `to-go` (with sums over later factors), `expected` (with sums over the next
                  token), `pathwise`.
    count         How many parameters each entry stands for.
    factors       The number of factors of a sample.
    kl, variance  The mean of l in nats, and its variance in nats squared.
    gradient      The gradient of KL(q_theta||p) at q, in nats per unit of each parameter.
    """

    offers: frozenset[str]
    count: Vector
    factors: int
    kl: float
    variance: float
    gradient: Vector

    @property
    def parameter_count(self) -> int:
        """The number of parameters of q."""
        return int(self.count.sum())

    @abstractmethod
    def whole(self, weight: Weight, highest: int = 4) -> Vector:
        """The moments 1 to `highest` of weight(l) s, shape (highest, parameters).

        inf where a moment diverges; NaN where no formula is known.
        """

    def by_factor(self, rule: Rule, highest: int = 4) -> Vector:
        """The moments, as in `whole`, of a rule's sum over factors.

        Raises NotImplementedError where the family has no such estimators.
        """
        raise NotImplementedError

    def pathwise(self, stick: bool, highest: int = 4) -> Vector:
        """The moments, as in `whole`, of the derivative of l at fixed noise.

        With `stick`, the derivative leaves out the score, whose mean is 0 ("sticking the landing":
        Roeder, Wu & Duvenaud, 2017). Raises NotImplementedError where the family has none.
        """
        raise NotImplementedError

    @cached_property
    def fisher(self) -> Vector:
        """The mean square of the score for every parameter, the diagonal of Fisher information."""
        return np.asarray(self.whole(ONE, 2)[1])

    @abstractmethod
    def draws(self, generator: np.random.Generator, replicates: int, samples: int) -> Draws:
        """Independent samples: `samples` in each of the replicates."""
