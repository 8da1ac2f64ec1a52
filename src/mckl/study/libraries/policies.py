"""The policies on which the formulas are compared, the same in every study."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mckl.arrays import Vector
from mckl.draw.streams import generator
from mckl.study.libraries.exact import Chain

STATES, TOKENS = 16, 32
# (scale, offset): q leaves p step by step, until it hardly ever draws what p likes; in the last two
# p is sharper than q, so that l is large.
STEPS = ((1.0, 0.02), (1.0, 0.1), (1.0, 0.5), (1.0, 1.0), (1.0, 2.0), (1.0, 4.0),
         (0.25, 0.5), (0.1, 0.5))  # fmt: skip
SHARPER = 2  # how many, at the end, are of the second kind


def policies() -> Mapping[str, Chain]:
    """The policies by name of their setting, from nearly equal to far apart."""
    return {
        f"policy{STATES}-d{TOKENS}-s{scale:g}-o{offset:g}": policy(scale, offset)
        for scale, offset in STEPS
    }


def policy(scale: float, offset: float, tokens: int = TOKENS) -> Chain:
    """The policy of a cell of a sweep over `policy(16)` (docs/theory.md, section 1)."""
    chance = generator(0, "policy", STATES)  # TEMPORARY until the family is there
    G, H = chance.standard_normal((2, STATES, STATES))

    def log_softmax(x: Vector) -> Vector:
        return np.asarray(x - np.log(np.exp(x).sum(axis=1, keepdims=True)))

    log_q, log_p = log_softmax(G + offset * H), log_softmax(G / scale)
    return Chain(np.full(STATES, 1 / STATES), np.exp(log_q), log_q - log_p, tokens)
