"""The number of failures before the r-th success, and before the first.

Quotients are (k + r) / (k + 1) times the probability of a failure; r need not be whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.exact.quotients import Linear, Quotients, term_of_sum
from mckl.families.base import About
from mckl.families.coordinates.independent import Parameter
from mckl.families.countable.law import Count
from mckl.families.countable.side import LOGIT, PROBABILITY, countable_family
from mckl.families.parameters import Synonym, aliases

_LONG_EPS = float(np.finfo(np.longdouble).eps)


@dataclass(frozen=True)
class NegativeBinomial(Count):
    """Failures before r successes; a success has a probability or log odds, or there is a mean.

    failure  the probability of a failure
    """

    r: float
    probability: float | None = None
    failure: float | None = None
    logit: float | None = None
    mean: float | None = None
    name = "negative-binomial"

    def __post_init__(self) -> None:
        if self.failure == 1.0:
            raise ValueError(f"{self.name}: failure 1, expected a number below 1")

    @property
    def quotients(self) -> Quotients:
        terms = Linear(1, 1, self.r), Linear(-1, 1, 1.0)
        success, failure = self._chances
        # A success may be so rare that its probability is 0 in float64.
        mean = self.r * failure / success if success else math.inf
        factors: tuple[Linear, ...]
        if self.probability is not None:
            factors = (term_of_sum(1, 0, 1.0, -self.probability),)
        elif self.failure is not None:
            factors = (Linear(1, 0, self.failure),)
        elif self.mean is not None:
            factors = Linear(1, 0, self.mean), term_of_sum(-1, 0, self.r, self.mean)
        else:
            assert self.logit is not None
            odds = np.exp(np.longdouble(self.logit))
            error = _LONG_EPS * (2.0 + abs(self.logit))
            factors = (Linear(-1, 0, 1.0 + odds, 0.0, error),)
        return Quotients(0.0, math.inf if failure else 0.0, mean, (*terms, *factors))

    @property
    def _chances(self) -> tuple[float, float]:
        """The probabilities of a success and of a failure."""
        if self.probability is not None:
            return self.probability, 1.0 - self.probability
        if self.failure is not None:
            return 1.0 - self.failure, self.failure
        if self.mean is not None:
            return self.r / (self.r + self.mean), self.mean / (self.r + self.mean)
        assert self.logit is not None
        return float(scipy.special.expit(self.logit)), float(scipy.special.expit(-self.logit))

    @property
    def tensorflow(self) -> Distribution:
        if self.logit is not None:
            return Distribution("NegativeBinomial", {"total_count": self.r, "logits": -self.logit})
        parameters = {"total_count": self.r, "probs": self._chances[1]}
        return Distribution("NegativeBinomial", parameters)

    def log_probability(self, n: Vector) -> Vector:
        success, failure = self._chances
        log_gamma, xlogy = scipy.special.gammaln, scipy.special.xlogy
        ways = log_gamma(n + self.r) - log_gamma(self.r) - log_gamma(n + 1.0)
        return np.asarray(ways + xlogy(self.r, success) + xlogy(n, failure))


_STOPS = PROBABILITY._replace(least=None, above=0.0)
_FAILURE = Parameter("probability of a failure", least=0.0, most=1.0)
_EITHER = {"probability": _STOPS, "failure": _FAILURE, "logit": LOGIT}
GEOMETRIC = countable_family(
    "geometric",
    partial(NegativeBinomial, 1.0),
    {**_EITHER, "mean": Parameter("mean number of failures", above=0.0)},
    (*_EITHER, "mean"),
    aliases(probability="p prob probs success", logit="logits", mean="mu"),
    from_log_odds=lambda logit: NegativeBinomial(1.0, logit=-logit),
    about=About(
        "counts from 0",
        "E r² if (1 − probability_p)² < 1 − probability_q",
        "failures before the first success; scipy.stats.geom less 1",
    ),
)
NEGATIVE_BINOMIAL = countable_family(
    "negative-binomial",
    NegativeBinomial,
    {
        "r": Parameter("number of successes", above=0.0),
        **_EITHER,
        "mean": Parameter("mean number of failures", above=0.0),
    },
    (*_EITHER, "mean"),
    {
        **aliases(r="n size total_count", probability="p prob success", failure="probs", mean="mu"),
        # The variance is mean + dispersion * mean^2.
        **{name: Synonym("r", lambda x: 1.0 / x) for name in ("dispersion", "alpha")},
        "logits": Synonym("logit", lambda x: -x, above=None),  # torch's and TFP's, of a failure
    },
    ("r",),
    lambda r, logit: NegativeBinomial(r, logit=-logit),
    about=About(
        "counts from 0",
        "E r² if (1 − probability_p)² < 1 − probability_q",
        "failures before the r-th success; as scipy.stats.nbinom",
    ),
)
