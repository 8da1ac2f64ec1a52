"""Sums over sequences that end at a stop token, divided by the sequences' lengths.

For n sequences with sums X and lengths N, the *mean over tokens* is sum X / sum N, and the *mean of
sequence means* is the mean of X / N. They estimate different numbers, E X / E N and E[X / N], and
neither is E X. For l, the first is KL per token, and the second need not even be positive.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector


class TokenMeans(NamedTuple):
    """Means and variances of estimates that divide a sum X over tokens by the length N.

    probabilities
        P(N = n) for n = 1, 2, ..., shape (largest length,).
    mean_length
        E N, in tokens.
    total
        E X, the mean sum of one sequence, in nats.
    per_token
        E X / E N, which the mean over the tokens of n sequences converges to.
    token_mean_bias, token_mean_variance
        n times the bias and n times the variance of that mean, to leading order.
    sequence_mean, sequence_mean_variance
        E[X / N] and Var[X / N]. The mean of n sequence means has exactly this mean, and this
        variance divided by n.
    """

    probabilities: Vector
    mean_length: float
    total: float
    per_token: float
    token_mean_bias: float
    token_mean_variance: float
    sequence_mean: float
    sequence_mean_variance: float


def token_means(
    q: Vector,
    table: Vector,
    start: Vector,
    steps: int,
    stop: int | None,
    total: float | None = None,
) -> TokenMeans:
    """The exact means and variances of a sum X over tokens that is divided by the length.

    q, start     The transition probabilities, shape (states, states), and the law of the state
                 before the first token, shape (states,).
    table        The term of X for each transition, shape (states, states).
    steps, stop  The largest length, and the token that ends a sequence; None if all have this
                 length.
    total        E X, if it is known to more digits than a sum over lengths gives.
    """
    going = np.ones(len(q), dtype=bool)
    if stop is not None:
        going[stop] = False
    lengths = np.arange(1, steps + 1)
    mass, sums, _ = _by_length(q, table, start, steps, going).T
    mean_length = float(lengths @ mass)
    total = float(sums.sum()) if total is None else total
    rate = total / mean_length
    # X - N E X / E N is used in place of X, so that no digits are lost where this mean is large.
    _, first, second = _by_length(q, table - rate, start, steps, going).T
    of_mean = float(np.sum(first / lengths))
    return TokenMeans(
        mass,
        mean_length,
        total,
        rate,
        -float(lengths @ first) / mean_length**2,
        float(second.sum()) / mean_length**2,
        rate + of_mean,
        float(np.sum(second / lengths**2)) - of_mean**2,
    )


def _by_length(
    q: Vector, table: Vector, start: Vector, steps: int, going: NDArray[np.bool_]
) -> Vector:
    """E[X^k 1(N = n)] for n = 1 to steps and k = 0, 1, 2, shape (steps, 3)."""
    added = q * table
    squared = added * table
    out = np.zeros((steps, 3))
    zero, one, two = start * 1.0, np.zeros(len(q)), np.zeros(len(q))
    for n in range(steps):
        two = two @ q + 2.0 * (one @ added) + zero @ squared
        one = one @ q + zero @ added
        zero = zero @ q
        ends = ~going if n + 1 < steps else np.ones(len(q), dtype=bool)
        out[n] = [x[ends].sum() for x in (zero, one, two)]
        zero, one, two = (np.where(ends, 0.0, x) for x in (zero, one, two))
    return out
