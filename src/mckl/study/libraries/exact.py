"""The exact law of a formula's sum over a policy's tokens, to the fourth order.

A sequence is a Markov chain, so the moments of a sum of any g(previous token, token) follow from
a recursion of vectors over the states, token by token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.study.libraries.formula import Formula


class Chain(NamedTuple):
    """q and p over sequences of one length.

    Attributes
    ----------
    initial
        Probabilities of the state before the first token, shape (S,).
    q
        Probabilities of the next token, a row a state, shape (S, S).
    log_ratio
        l of every token after every state, shape (S, S); 0 where q is 0, and p is 0 there too.
    tokens
        How many tokens a sequence has.
    """

    initial: Vector
    q: Vector
    log_ratio: Vector
    tokens: int

    @property
    def p(self) -> Vector:
        """Probabilities of the next token under p, shape (S, S)."""
        return np.asarray(self.q * np.exp(-self.log_ratio))

    def reversed(self) -> Chain:
        """The same with the roles of q and p exchanged."""
        return self._replace(q=self.p, log_ratio=-self.log_ratio)


class Moments(NamedTuple):
    """A sum over a sequence's tokens.

    Attributes
    ----------
    mean, variance, fourth
        The mean and the second and fourth central moments.
    least, most
        The smallest and largest sum that a sequence can have.
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


def sum_moments(chain: Chain, values: Vector, beside: Vector | None = None) -> Moments:
    """The law of the sum of `values` over the transitions of a sequence under q.

    Parameters
    ----------
    values
        Of each transition, shape (S, S).
    beside
        Values of the same shape of a second token that p draws after each state, which are added.
    """
    mean = _raw_moments(chain, _powers(chain, values, beside, 1))[1]
    # About the mean, which is shared out over the tokens, so that nothing is lost to rounding.
    raw = _raw_moments(chain, _powers(chain, values - mean / chain.tokens, beside, 4))
    off = raw[1]  # by rounding
    variance = raw[2] - off**2
    fourth = raw[4] - 4.0 * off * raw[3] + 6.0 * off**2 * raw[2]
    return Moments(
        float(mean + off), float(variance), float(fourth),
        _end(chain, values, beside, np.min), _end(chain, values, beside, np.max),
    )  # fmt: skip


def formula_moments(chain: Chain, formula: Formula) -> Moments:
    """The law of the formula of a sequence under q: the sum over its tokens, or of its l.

    Of the sequence's l there is k3 alone, without a clamp; its fourth moment is not computed, and
    its ends are those of k3 / (1 + r).
    """
    of_tokens = sum_moments(chain, formula(chain.log_ratio))
    if not formula.whole:
        return of_tokens
    assert formula == Formula("k3", whole=True)
    forward = sum_moments(chain, chain.log_ratio)
    both_ways = forward.mean + sum_moments(chain.reversed(), -chain.log_ratio).mean
    square = chain.q * np.exp(-2.0 * chain.log_ratio)
    chi_square = float(_raw_moments(chain, [square])[0]) - 1.0
    variance = chi_square + forward.variance - 2.0 * both_ways
    return Moments(forward.mean, variance, math.nan, 0.0, max(forward.most, 1.0))


def clamped_share(chain: Chain, formula: Formula) -> float:
    """The share of tokens that a clamp changes, expected under q."""
    return sum_moments(chain, formula.clamped(chain.log_ratio)).mean / chain.tokens


def balanced(formula: Formula, ell: Vector) -> Vector:
    """The formula at l, times q / (q + p); the shape of l."""
    return np.asarray(formula(ell) / (1.0 + np.exp(-ell)))


def balanced_moments(chain: Chain, formula: Formula) -> Moments:
    """The law of a sum with the formula's mean that also looks where q hardly ever goes.

    After every prefix that q draws, one token of q and one of p count, each by `balanced`: the
    balance heuristic of Veach & Guibas, "Optimally combining sampling techniques for Monte Carlo
    rendering" (1995).
    """
    values = balanced(formula, chain.log_ratio)
    return sum_moments(chain, values, values)


def _powers(chain: Chain, values: Vector, beside: Vector | None, order: int) -> list[Vector]:
    """The tables q E (value + what stands beside it)^k, k = 0 to order, shape (S, S) each."""
    own = [values**k for k in range(order + 1)]
    if beside is None:
        return [chain.q * power for power in own]
    added = [(chain.p * beside**k).sum(axis=1, keepdims=True) for k in range(order + 1)]
    return [
        chain.q * sum(math.comb(k, j) * own[k - j] * added[j] for j in range(k + 1))
        for k in range(order + 1)
    ]


def _raw_moments(chain: Chain, powers: Sequence[Vector]) -> Vector:
    """E S^k of the sum S over a sequence, from the tables of `_powers`."""
    state = np.zeros((len(powers), chain.initial.size))  # E S^k where the last token is this
    state[0] = chain.initial
    for _ in range(chain.tokens):
        state = np.array(
            [
                sum(math.comb(k, j) * state[k - j] @ powers[j] for j in range(k + 1))
                for k in range(len(powers))
            ]
        )
    return np.asarray(state.sum(axis=1))


def _end(chain: Chain, values: Vector, beside: Vector | None, end: Callable[..., Vector]) -> float:
    """The smallest or the largest sum, by `end`, over the transitions that q can make."""
    never = math.inf if end is np.min else -math.inf
    table = np.where(chain.q > 0, values, never)
    if beside is not None:
        table = table + end(np.where(chain.p > 0, beside, never), axis=1, keepdims=True)
    reached = np.where(chain.initial > 0, 0.0, never)
    for _ in range(chain.tokens):
        reached = end(reached[:, None] + table, axis=0)
    return float(end(reached))
