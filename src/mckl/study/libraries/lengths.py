"""What the ways to divide by sequences' lengths estimate, where a stop token ends a sequence.

A sequence has T tokens, the stop token among them, and a formula's sum over them. Libraries log or
descend one of two numbers, in nats a token. Every formula whose tokens have the right mean after
every prefix has the same mean of the sum and over the batch's tokens, but not the same mean of
sequences' means: T depends on the tokens that it divides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mckl.families.policy import PolicyPair
from mckl.study.libraries.formula import Formula


class PerToken(NamedTuple):
    """What is estimated, exactly.

    Attributes
    ----------
    total
        E of the formula's sum over a sequence, KL where it is unbiased, in nats.
    length
        E T.
    batch_tokens
        The total / E T: what the mean over a large batch's tokens comes to.
    sequence_means
        E (sum / T): what the mean of the sequences' means is unbiased for.
    """

    total: float
    length: float
    batch_tokens: float
    sequence_means: float


def per_token(pair: PolicyPair, formula: Formula) -> PerToken:
    """The numbers of a policy that ends at its stop token, or after `pair.dimension` tokens."""
    of = pair.transitions
    values = of.q * formula(of.ell)
    stops = np.arange(len(of.q)) == pair.stop
    alive, so_far = of.start.copy(), np.zeros(len(of.q))  # P and E of the sum, by state
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
