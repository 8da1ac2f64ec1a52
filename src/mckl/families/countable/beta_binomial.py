"""The number of successes in n trials whose probability has a beta law.

Quotients are (n - k) (k + a) / ((k + 1) (n - k - 1 + b)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.exact.quotients import Linear, Quotients, term_of_sum
from mckl.families.base import About
from mckl.families.coordinates.independent import Parameter
from mckl.families.countable.law import Count
from mckl.families.countable.side import COUNT, countable_family
from mckl.families.parameters import aliases


@dataclass(frozen=True)
class BetaBinomial(Count):
    """The number of successes in n trials with one probability, which is Beta(a, b)."""

    n: float
    a: float
    b: float
    name = "beta-binomial"

    @property
    def quotients(self) -> Quotients:
        terms = (
            Linear(1, -1, self.n), Linear(1, 1, self.a), Linear(-1, 1, 1.0),
            term_of_sum(-1, -1, self.n - 1.0, self.b),
        )  # fmt: skip
        return Quotients(0.0, self.n, self.n * self.a / (self.a + self.b), terms)

    @property
    def tensorflow(self) -> Distribution:
        beta = {"concentration1": self.a, "concentration0": self.b}
        return Distribution("BetaBinomial", {"total_count": self.n, **beta})

    def log_probability(self, n: Vector) -> Vector:
        inside = n <= self.n
        k = np.where(inside, n, 0.0)
        ways = -scipy.special.betaln(k + 1.0, self.n - k + 1.0) - math.log(self.n + 1.0)
        log = ways + scipy.special.betaln(k + self.a, self.n - k + self.b)
        return np.where(inside, log - scipy.special.betaln(self.a, self.b), -np.inf)


BETA_BINOMIAL = countable_family(
    "beta-binomial",
    BetaBinomial,
    {
        "n": COUNT,
        "a": Parameter("shape of the beta law at 1", above=0.0),
        "b": Parameter("shape of the beta law at 0", above=0.0),
    },
    aliases=aliases(n="total_count trials", a="alpha concentration1", b="beta concentration0"),
    about=About(
        "counts from 0 to n", "all; q's n must be at most p's", "binomial whose probability is beta"
    ),
)
