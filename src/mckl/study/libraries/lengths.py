"""What the ways to divide by sequences' lengths estimate, where a stop token ends a sequence.

A sequence has T tokens, the stop token among them, and l in all, the sum over its tokens. The mean
of l is KL; libraries log or descend one of two other numbers, in nats a token. Every formula whose
tokens have the right mean after every prefix has the same sum and the same mean over the batch's
tokens, but not the same mean of sequences' means: T depends on the tokens that it divides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mckl.study.libraries.exact import Chain
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


def per_token(chain: Chain, formula: Formula, stop: int) -> PerToken:
    """The numbers of a policy that ends at the token `stop`, or after `chain.tokens` tokens."""
    values = chain.q * formula(chain.log_ratio)
    alive, so_far = chain.initial.copy(), np.zeros_like(chain.initial)  # P and E l, by state
    alive[stop] = 0.0
    alive /= alive.sum()
    total = length = mean = 0.0
    for token in range(1, chain.tokens + 1):
        length += alive.sum()
        so_far = so_far @ chain.q + alive @ values
        alive = alive @ chain.q
        ends = np.arange(alive.size) == stop if token < chain.tokens else np.ones(alive.size, bool)
        total += so_far[ends].sum()
        mean += so_far[ends].sum() / token
        alive[ends] = so_far[ends] = 0.0
    return PerToken(*(float(x) for x in (total, length, total / length, mean)))
