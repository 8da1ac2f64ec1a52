"""The exact moments of a formula's sum over a policy's tokens, to the fourth order.

A formula of a token's l is a function of two successive tokens. So the transfer matrices of the
chain give the law of its sum over a sequence (`mckl.families.policy.law`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.values import ESTIMATORS
from mckl.families.policy.law import log_mean
from mckl.families.policy.pair import PolicyPair
from mckl.families.policy.series import factorials
from mckl.families.policy.token_means import TokenMeans, token_means
from mckl.study.libraries.formula import Formula

_ORDER = 4


class SumMoments(NamedTuple):
    """The moments and the range of a sum over a sequence's tokens.

    mean, variance, fourth  The mean and the second and fourth central moments.
    least, most             The smallest and largest sum that a sequence can have.
    """

    mean: float
    variance: float
    fourth: float
    least: float
    most: float

    @property
    def farthest(self) -> float:
        """The largest distance of a sum from its mean."""
        return max(self.most - self.mean, self.mean - self.least)


def sum_moments(pair: PolicyPair, values: Vector, beside: Vector | None = None) -> SumMoments:
    """The moments of the sum of `values` over the transitions of a sequence drawn from q.

    pair    The policies.
    values  The value of each transition, shape (states, states).
    beside  Values of the same shape for a second token that p draws after each state; they are
            added. q must not be 0 where p is not.
    """
    chain, orders = pair.transitions, range(_ORDER + 1)
    parts = [values**k / math.factorial(k) for k in orders]
    if beside is not None:
        p = chain.q * np.exp(-chain.ell)
        added = [(p * beside**k).sum(axis=1, keepdims=True) / math.factorial(k) for k in orders]
        parts = [sum(parts[k - j] * added[j] for j in range(k + 1)) for k in orders]
    weights = [chain.q * part for part in parts]
    sums = np.stack([w.sum(axis=1) for w in weights], axis=1)
    sums[:, 0] = 0.0
    moments = log_mean(chain.start, weights, sums, pair.dimension) * factorials(_ORDER)
    _, mean, variance, _, fourth = map(float, moments)
    ends = (_end(pair, values, beside, end) for end in (np.min, np.max))
    return SumMoments(mean, variance, fourth + 3.0 * variance**2, *ends)


def formula_moments(pair: PolicyPair, formula: Formula) -> SumMoments:
    """The moments of a formula over a sequence drawn from q.

    The formula is summed over tokens, or applied to the sequence's l. The latter must be k3 without
    a clamp; its fourth moment is not computed, and its range is that of k3 / (1 + r).
    """
    if not formula.whole:
        chain = pair.transitions
        return sum_moments(pair, formula.table(chain.q, chain.ell))
    assert formula == Formula("k3", whole=True)
    variance = ESTIMATORS["k3"].theory(pair.law, False).variance
    most = _end(pair, pair.transitions.ell, None, np.max)
    return SumMoments(pair.law.kl, variance, math.nan, 0.0, max(most, 1.0))


def formula_means(pair: PolicyPair, formula: Formula) -> TokenMeans:
    """What the two ways to divide a formula's sum over tokens by sequences' lengths estimate.

    All formulas with the right mean after every prefix have the same mean of the sum, and over a
    batch's tokens. But their means of sequences' means differ, as a length depends on the tokens
    that it divides.
    """
    chain = pair.transitions
    return token_means(chain.q, formula(chain.ell), chain.start, pair.dimension, pair.stop)


def clamped_share(pair: PolicyPair, formula: Formula) -> float:
    """The expected share of tokens, drawn from q, whose value a clamp changes."""
    return sum_moments(pair, formula.clamped(pair.transitions.ell)).mean / pair.dimension


def balanced(formula: Formula, ell: Vector) -> Vector:
    """The formula at l times q / (q + p), in the shape of l."""
    return np.asarray(formula(ell) / (1.0 + np.exp(-ell)))


def balanced_moments(pair: PolicyPair, formula: Formula) -> SumMoments:
    """The moments of a sum with the formula's mean that also samples what q hardly ever draws.

    After every prefix that q draws, one token of q and one of p are added, each with the weight of
    `balanced`. This is the balance heuristic of Veach & Guibas, "Optimally combining sampling
    techniques for Monte Carlo rendering" (1995). A mean over the vocabulary needs no such help.
    """
    if formula.vocabulary:
        return formula_moments(pair, formula)
    values = balanced(formula, pair.transitions.ell)
    return sum_moments(pair, values, values)


def _end(
    pair: PolicyPair, values: Vector, beside: Vector | None, end: Callable[..., Vector]
) -> float:
    """The smallest or the largest possible sum, as `end` is min or max, over q's transitions."""
    chain, never = pair.transitions, math.inf if end is np.min else -math.inf
    table = np.where(chain.q > 0, values, never)
    if beside is not None:
        table = table + end(np.where(chain.q > 0, beside, never), axis=1, keepdims=True)
    reached = np.where(chain.start > 0, 0.0, never)
    for _ in range(pair.dimension):
        reached = end(reached[:, None] + table, axis=0)
    return float(end(reached))
