"""What a lag between the law that draws and the policy costs, by exact theory alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.off_policy import WEIGHTS
from mckl.estimation.off_policy.off_policy_theory import SampledLaw, off_policy_theory
from mckl.estimation.theory import over_units
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import sweep_pair

FAMILY, TOKENS = "policy(32)", 64
# The policy is a training step away from its reference.
SCALE, OFFSET = 1.05, 0.1
SEQUENCES = 1024  # of a batch
WORTH = 0.1  # the share of an error that a correction must save
LAGS = tuple(float(lag) for lag in np.geomspace(0.001, 1.0, 31))
SHOWN = ("k1", "k3-factor", "rb")
SHOWN_WEIGHTS = ("none", "token", "token-truncated", "sequence", "sequence-normalised")


class OffPolicyLags(NamedTuple):
    """The theory of one policy over the lag; NaN where no number is known.

    kl        KL(q||p) of a sequence, in nats
    mismatch  KL(s||q) of a token, in nats, shape (lags,)
    bias      the relative bias that no number of samples removes, by estimator and weight
    rmse      the relative RMSE of `SEQUENCES` samples of s, likewise
    """

    kl: float
    mismatch: Vector
    bias: Mapping[tuple[str, str], Vector]
    rmse: Mapping[tuple[str, str], Vector]

    def worth(self, estimator: str) -> tuple[float, str]:
        """The smallest lag at which a weight saves `WORTH` of the error without one, and which.

        NaN and no name where none does. Truncated weights do not count: where they save anything,
        their bias happens to have the other sign than the one that s causes.
        """
        plain = self.rmse[estimator, "none"]
        for i, lag in enumerate(LAGS):
            weights = [name for name in SHOWN_WEIGHTS[1:] if not WEIGHTS[name].bounded]
            known = {weight: self.rmse[estimator, weight][i] for weight in weights}
            best = min(known, key=lambda weight: np.nan_to_num(known[weight], nan=math.inf))
            if known[best] <= (1.0 - WORTH) * plain[i]:
                return lag, best
        return math.nan, ""

    def at(self, lag: float) -> int:
        """The index of a lag."""
        return int(np.argmin(np.abs(np.log(np.array(LAGS) / lag))))


def off_policy_lags() -> OffPolicyLags:
    """The theory of the policy over `LAGS`."""
    pair = sweep_pair(FAMILY, TOKENS, SCALE, OFFSET)
    kl, mismatch, laws = pair.law.kl, [], []
    for lag in LAGS:
        chain = pair.lagging(lag)
        assert chain is not None
        laws.append(SampledLaw(chain, pair.law))
        mismatch.append(laws[-1].mismatch)
    bias, rmse = {}, {}
    for name in SHOWN:
        for weight in SHOWN_WEIGHTS:
            units = [off_policy_theory(law, ESTIMATORS[name], WEIGHTS[weight]) for law in laws]
            exact = [over_units(unit, SEQUENCES) for unit in units]
            bias[name, weight] = np.array([unit.bias for unit in units]) / kl
            rmse[name, weight] = (
                np.array([math.hypot(e.bias, math.sqrt(e.variance)) for e in exact]) / kl
            )
    return OffPolicyLags(kl, np.array(mismatch), bias, rmse)
