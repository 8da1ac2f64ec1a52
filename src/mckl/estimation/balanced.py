"""The law of an estimate over balanced Sobol' points, where it averages a sum over coordinates.

To leading order, an estimate with a fitted coefficient is the mean of its residual at the
coefficient's limit. The fit adds (b - beta) times the mean of x, where b is fitted and beta is its
limit. Let q be the ratio of the variances of these two parts. By the inequality of Cauchy and
Schwarz the fit changes the variance by a factor of at most 1 + 2 sqrt(q) + q, and the variance of
b is no larger than over independent samples (theory.md, section 6).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from mckl.draw.form import Form, Stratified
from mckl.estimation.values import Estimator
from mckl.estimation.values.base import Limit
from mckl.exact.law import Law
from mckl.exact.moments import LARGEST_ERROR

# The leading order is used if the fit changes it by at most this share.
_LARGEST_NEXT_ORDER = 0.2


class Balanced(NamedTuple):
    """The law of an estimate over n balanced points of a form, n a power of two; NaN: not known."""

    form: Form
    limit: Limit

    @property
    def exact(self) -> bool:
        """Whether nothing is fitted, so that the law is exact for every n."""
        return self.limit.spread == 0.0

    def variance(self, n: int) -> float:
        """The variance of the estimate, which takes the same time for every n."""
        return self.form.balanced_variance(n, self.limit.integrand, self.limit.slope)

    def law(self, n: int) -> Stratified:
        """Variance, skewness and kurtosis of the estimate; only the variance if not `exact`."""
        if self.exact:
            return self.form.stratified(n, self.limit.integrand)
        variance = self.variance(n)
        # Slightly less, so that no quotient of the two is rounded to more than `LARGEST_ERROR`.
        error = math.nextafter(LARGEST_ERROR, 0.0) * variance
        return Stratified(variance, math.nan, math.nan, error)

    def settled(self, n: int) -> bool:
        """Whether the leading order of the variance is right to within a fifth."""
        if self.exact:
            return True
        limit, variance = self.limit, self.variance(n)
        if variance == 0.0:
            return True
        part = self.form.balanced_variance(n, "ratio") / limit.spread
        q = limit.mixed / n * part / variance
        return 2.0 * math.sqrt(q) + q + (limit.fourth - 1.0) / n <= _LARGEST_NEXT_ORDER


def balanced_theory(estimator: Estimator, law: Law, form: Form) -> Balanced | None:
    """The law of an estimator over the points of a form; None where it is not known."""
    if estimator.additive is not None:
        return Balanced(form, Limit(estimator.additive))
    limit = estimator.limit(law) if estimator.limit is not None else None
    return None if limit is None else Balanced(form, limit)
