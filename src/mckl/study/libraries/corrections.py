"""How libraries correct a KL for samples of another law than the policy, and what that gives.

The law s that draws is an inference engine, or the policy of some steps ago. Sources were read in
November 2026, in the versions that `mckl.study.libraries.catalogue` names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mckl.estimation.off_policy import WEIGHTS
from mckl.estimation.off_policy.off_policy_theory import SampledLaw, off_policy_theory
from mckl.estimation.values import ESTIMATORS
from mckl.families.policy.pair import PolicyPair
from mckl.families.registry import lagging_pair
from mckl.study.libraries.catalogue import OPEN_INSTRUCT, SLIME, TRL, VERL
from mckl.study.libraries.policies import STEPS, policies

# The policy with scale 1 and this offset, and the lags of s behind it.
OFFSET, LAGS = 0.1, (0.1, 0.5)


class Correction(NamedTuple):
    """The KL of a library, and the weight of its terms.

    library    the name in the catalogue; empty for what no library does
    estimator  the sum over tokens whose terms are weighted: `k1`, `k3-factor`
    weight     one of `mckl.estimation.off_policy.WEIGHTS`
    source     the file and the lines
    note       when this is computed, in words
    """

    library: str
    estimator: str
    weight: str
    source: str
    note: str


CORRECTIONS = (
    Correction(
        TRL.name, "k3-factor", "token", "trl/trainer/grpo_trainer.py:3085-3105, 3149-3150",
        "loss, the default since 1.10.0, for an s that is the policy when the batch was drawn",
    ),
    Correction(
        TRL.name, "k3-factor", "none",
        "trl/trainer/grpo_trainer.py:2659-2704, 3146-3150, trl/trainer/grpo_config.py:934-948",
        "loss, for an s that is vLLM: W, 0 above 3, multiplies the policy's loss before KL is "
        "added",
    ),
    Correction(
        VERL.name, "k3-factor", "none",
        "verl/workers/utils/losses.py:104-112, 132-140, verl/trainer/ppo/core_algos.py:1364-1365",
        "loss: min(w, 2) or min(W, 2), off by default, multiplies the policy's loss alone",
    ),
    Correction(
        SLIME.name, "k1", "none", "slime/backends/megatron_utils/loss.py:897-904, 1116-1130",
        "loss, the default: min(w, 2), off by default, multiplies the policy's loss alone",
    ),
    Correction(
        SLIME.name, "k1", "token",
        "slime/utils/ppo_utils.py:43-45, slime/backends/megatron_utils/loss.py:1119-1127",
        "loss, with use_unbiased_kl, for an s that is the policy when the batch was drawn",
    ),
    Correction(
        OPEN_INSTRUCT.name, "k3-factor", "none",
        "open_instruct/grpo_utils.py:111-119, 409-464, 525, 532-534",
        "loss, the default: min(w, 2), on by default, multiplies the policy's loss alone",
    ),
    Correction(
        OPEN_INSTRUCT.name, "k1", "token",
        "open_instruct/model_utils.py:811-818, open_instruct/grpo_utils.py:532-534",
        "loss, kl_estimator 3, for an s that is the policy when the batch was drawn",
    ),
    Correction("", "k3-factor", "token-truncated", "", "if min(w, 2) multiplied k3 too"),
    Correction("", "k3-factor", "token-clipped", "", "if PPO's clip multiplied k3 too"),
    Correction("", "k3-factor", "sequence", "", "the unbiased weight, without a clamp"),
)  # fmt: skip


class CorrectedLaw(NamedTuple):
    """The bias and the standard deviation of one sequence, relative to KL; NaN: not known."""

    bias: float
    deviation: float


def lagged_policy() -> PolicyPair:
    """The policy that is compared."""
    pairs = [*policies().values()]
    return pairs[STEPS.index((1.0, OFFSET))]


def corrected(correction: Correction, pair: PolicyPair) -> Sequence[CorrectedLaw]:
    """The exact law of a correction for each of `LAGS`."""
    out = []
    for lag in LAGS:
        law = SampledLaw(lagging_pair(pair, lag), pair.law)
        unit = off_policy_theory(law, ESTIMATORS[correction.estimator], WEIGHTS[correction.weight])
        deviation = math.sqrt(unit.variance) if unit.variance >= 0.0 else math.nan
        out.append(CorrectedLaw(unit.bias / pair.law.kl, deviation / pair.law.kl))
    return out
