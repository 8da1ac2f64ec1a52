"""The law of an estimate over balanced Sobol' points, where it averages a sum over coordinates.

An estimate with a fitted coefficient averages, to leading order, its residual at the coefficient's
limit. What the fit adds is (b - beta) times the mean of x, where b fits beta: by the inequality of
Cauchy and Schwarz its share of the variance is at most 2 sqrt(q) + q with q the two parts'
ratio of variances, and that of b is no larger than over independent samples
(docs/theory.md, section 6).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from mckl.draw.form import Form, Stratified
from mckl.estimation.values import Estimator
from mckl.estimation.values.base import Limit
from mckl.exact.law import Law

# The leading order is given where what follows it adds up to at most so much of it.
_SETTLED = 0.2


class Balanced(NamedTuple):
    """An estimate over the points of a form; n is a power of two. NaN means not known."""

    form: Form
    limit: Limit

    @property
    def exact(self) -> bool:
        """Whether nothing is fitted, so that the law is exact for every n."""
        return self.limit.spread == 0.0

    def variance(self, n: int) -> float:
        """The variance of the estimate, at one cost for every n."""
        return self.form.balanced_variance(n, self.limit.integrand, self.limit.slope)

    def law(self, n: int) -> Stratified:
        """The law of the estimate to the fourth order; to leading order the variance alone."""
        if self.exact:
            return self.form.stratified(n, self.limit.integrand)
        return Stratified(self.variance(n), math.nan, math.nan)

    def settled(self, n: int) -> bool:
        """Whether the leading order is within a fifth of the variance."""
        if self.exact:
            return True
        limit, variance = self.limit, self.variance(n)
        if variance == 0.0:
            return True
        part = self.form.balanced_variance(n, "ratio") / limit.spread
        q = limit.mixed / n * part / variance
        return 2.0 * math.sqrt(q) + q + (limit.fourth - 1.0) / n <= _SETTLED


def balanced(estimator: Estimator, law: Law, form: Form) -> Balanced | None:
    """The law of an estimator over the points of a form; None where it is not known."""
    if estimator.additive is not None:
        return Balanced(form, Limit(estimator.additive))
    limit = estimator.limit(law) if estimator.limit is not None else None
    return None if limit is None else Balanced(form, limit)
