"""How the samples needed grow with a sequence's length, by exact theory alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import fewest_samples
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import sweep_pair

FAMILY, STATES = "policy(32)", 32
# The scale and offset of a q that is close to p, and of one that is far from it.
POLICIES = ((1.05, 0.0), (1.0, 0.5))
LENGTHS = tuple(2**k for k in range(13))
TOLERANCE = 0.01


class LongSequences(NamedTuple):
    """The theory of one policy over the length.

    kl      KL in nats per sequence, shape (lengths,)
    needed  the samples for the tolerance, by estimator; NaN where no number is known
    """

    kl: Vector
    needed: Mapping[str, Vector]


def long_sequences(scale: float, offset: float) -> LongSequences:
    """The theory of one policy over `LENGTHS`."""
    pairs = [sweep_pair(FAMILY, length, scale, offset) for length in LENGTHS]
    rows = [fewest_samples(pair, TOLERANCE, SAMPLERS["iid"], ESTIMATORS.values()) for pair in pairs]
    needed = dict(zip(ESTIMATORS, np.array(rows).T, strict=True))
    return LongSequences(np.array([pair.law.kl for pair in pairs]), needed)
