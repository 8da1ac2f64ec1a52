"""The two ways to divide by sequences' lengths, and what they estimate if a stop token ends them.

A sequence has T tokens, among them the stop token, and a formula's sum over these. Libraries log or
descend the mean over all tokens of a batch, or the mean of sequences' means, in nats per token.
All formulas with the right mean after every prefix have the same mean of the sum, and over a
batch's tokens. But their means of sequences' means differ, as T depends on the tokens that it
divides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mckl.families.policy.pair import PolicyPair
from mckl.study.libraries.formula import Formula


class PerToken(NamedTuple):
    """The exact values that the averages estimate.

    Attributes
    ----------
    total
        The mean of the formula's sum over a sequence, in nats; KL for unbiased formulas.
    length
        E T, in tokens.
    batch_tokens
        The total divided by E T, which the mean over a large batch's tokens converges to.
    sequence_means
        E (sum / T), which the mean of sequences' means estimates without bias.
    """

    total: float
    length: float
    batch_tokens: float
    sequence_means: float


def per_token(pair: PolicyPair, formula: Formula) -> PerToken:
    """The values for a policy that ends at its stop token, or after `pair.dimension` tokens."""
    of = pair.transitions
    values = of.q * formula(of.ell)
    stops = np.arange(len(of.q)) == pair.stop
    alive, so_far = of.start.copy(), np.zeros(len(of.q))  # probability and mean sum, by state
    total = length = mean = 0.0
    for token in range(1, pair.dimension + 1):
        length += alive.sum()
        so_far = so_far @ of.q + alive @ values
        alive = alive @ of.q
        ends = stops if token < pair.dimension else np.ones_like(stops)
        total += so_far[ends].sum()
        mean += so_far[ends].sum() / token
        alive[ends] = so_far[ends] = 0.0
    return PerToken(*(float(x) for x in (total, length, total / length, mean)))
