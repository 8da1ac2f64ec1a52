"""The number of successes in n trials, and one trial: quotients (n - k) / (k + 1) times odds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.exact.quotients import Linear, Quotients, term_of_sum
from mckl.families.base import About
from mckl.families.countable.law import Count, Countable, LogRatios
from mckl.families.countable.side import COUNT, LOGIT, PROBABILITY, countable_family
from mckl.families.exponential.categorical import Categorical
from mckl.families.parameters import aliases
from mckl.families.scores import Scores


@dataclass(frozen=True)
class Binomial(Count):
    """The number of successes in n trials, whose probability or log odds are given."""

    n: float
    probability: float | None = None
    logit: float | None = None
    name = "binomial"

    @property
    def quotients(self) -> Quotients:
        terms = Linear(1, -1, self.n), Linear(-1, 1, 1.0)
        if self.logit is not None:
            mean = self.n * float(scipy.special.expit(self.logit))
            return Quotients(0.0, self.n, mean, terms, self.logit)
        p = self.probability
        assert p is not None
        odds = Linear(1, 0, p), term_of_sum(-1, 0, 1.0, -p)
        low, high = self.n if p == 1.0 else 0.0, 0.0 if p == 0.0 else self.n
        return Quotients(low, high, self.n * p, (*terms, *odds))

    @property
    def tensorflow(self) -> Distribution:
        given = ("probs", self.probability) if self.logit is None else ("logits", self.logit)
        return Distribution("Binomial", {"total_count": self.n, given[0]: given[1]})

    def scores(self, table: LogRatios) -> Scores | None:
        """Of one trial, whose two values have a logit each."""
        law = self.categories()
        return law.scores(table) if law is not self else None

    def categories(self) -> Countable:
        if self.n != 1.0:
            return self
        if self.logit is not None:
            return Categorical(np.array([0.0, self.logit]))
        assert self.probability is not None
        probabilities = np.array([1.0 - self.probability, self.probability])
        with np.errstate(divide="ignore"):
            return Categorical(np.log(probabilities), probabilities)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.intp]:
        if self.n != 1.0:
            return super().draw(generator, shape)
        success = float(np.exp(self.log_probability(np.ones(1)))[0])
        return (generator.random(shape) < success).astype(np.intp)

    def log_probability(self, n: Vector) -> Vector:
        if self.logit is None:
            assert self.probability is not None
            p, q = self.probability, 1.0 - self.probability
        else:
            p, q = float(scipy.special.expit(self.logit)), float(scipy.special.expit(-self.logit))
        ways = -scipy.special.betaln(n + 1.0, self.n - n + 1.0) - math.log(self.n + 1.0)
        log = ways + scipy.special.xlogy(n, p) + scipy.special.xlogy(self.n - n, q)
        return np.where(n > self.n, -np.inf, log)


_ALIASES = aliases(probability="p prob probs success", logit="logits")
BERNOULLI = countable_family(
    "bernoulli",
    lambda **given: Binomial(1.0, **given),
    {"probability": PROBABILITY, "logit": LOGIT},
    ("probability", "logit"),
    _ALIASES,
    from_log_odds=lambda logit: Binomial(1.0, logit=logit),
    about=About("0 and 1", "all", "binomial with n 1"),
)
BINOMIAL = countable_family(
    "binomial",
    Binomial,
    {"n": COUNT, "probability": PROBABILITY, "logit": LOGIT},
    ("probability", "logit"),
    {**_ALIASES, **aliases(n="total_count trials")},
    ("n",),
    lambda n, logit: Binomial(n, logit=logit),
    about=About("counts from 0 to n", "all; q's n must be at most p's", "sum of n bernoulli laws"),
)
