"""How libraries correct a KL for samples of another law than the policy, and what that gives.

The law s that draws is an inference engine, or the policy of some steps ago. Sources were read in
November 2026, in the versions that `mckl.study.libraries.catalogue` names.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.off_policy import WEIGHTS, SampleWeight
from mckl.estimation.off_policy.off_policy_theory import (
    SampledLaw,
    off_policy_theory,
    theory_of_terms,
    weighted_table,
)
from mckl.estimation.values import ESTIMATORS, UnitTheory
from mckl.exact.moments import Moments
from mckl.families.policy.pair import PolicyPair
from mckl.study.libraries.base import BATCH_TOKENS, SEQUENCE_MEANS, Library, Use
from mckl.study.libraries.catalogue import MS_SWIFT, NEMO_RL, OPEN_INSTRUCT, SLIME, TRL, VERL, loss
from mckl.study.libraries.formula import K1, K3, KINDS, LOW_VARIANCE, Formula
from mckl.study.libraries.policies import STEPS, policies

# The policy with scale 1 and this offset, and the lags of s behind it.
OFFSET, LAGS = 0.1, (0.1, 0.5)
# The sums of `SampledLaw` whose terms are the formulas' without a clamp.
_SUMS = {"k1": "ell", "k2": "half_square", "k3": "k3"}


class Correction(NamedTuple):
    """A KL over samples of s, and the weight of its terms.

    library  whose KL it is; None for what no library does
    weight   the weight
    use      the formula in its role; its note says when this is computed
    """

    library: Library | None
    weight: SampleWeight
    use: Use

    @property
    def clamped_product(self) -> bool:
        """Whether the result's clamp acts on the value times its weight."""
        return self.use.differentiated == "value and ratio, clamped"

    def values(self, ell: Vector, log_weight: Vector) -> Vector:
        """What tokens add, each with its own weight if that is one of tokens."""
        formula = self.use.formula
        weights = self.weight(log_weight) if self.weight.level == "token" else np.ones_like(ell)
        if not self.clamped_product:
            return np.asarray(weights * formula(ell))
        most = formula.most_value
        return np.clip(weights * formula._replace(most_value=math.inf)(ell), -most, most)


_OPEN_INSTRUCT_K1, _OPEN_INSTRUCT_K3 = (Formula(k, most_log_ratio=40) for k in ("k1", "k3"))
_RATIO = "value and ratio"

CORRECTIONS = (
    Correction(TRL, WEIGHTS["token"], loss(
        K3, "trl/trainer/grpo_trainer.py:3085-3105, 3149-3150", BATCH_TOKENS, differentiated=_RATIO,
        note="the default since 1.10.0, for an s that is the policy when the batch was drawn",
    )),
    Correction(TRL, WEIGHTS["none"], loss(
        K3, "trl/trainer/grpo_trainer.py:2659-2704, 3146-3150, "
        "trl/trainer/grpo_config.py:934-948", BATCH_TOKENS, differentiated=_RATIO,
        note="for an s that is vLLM: W, 0 above 3, multiplies the policy's loss before KL is added",
    )),
    Correction(VERL, WEIGHTS["none"], loss(
        LOW_VARIANCE, "verl/workers/utils/losses.py:104-112, 132-140, "
        "verl/trainer/ppo/core_algos.py:1364-1365", BATCH_TOKENS,
        note="min(w, 2) or min(W, 2), off by default, multiplies the policy's loss alone",
    )),
    Correction(SLIME, WEIGHTS["none"], loss(
        K1, "slime/backends/megatron_utils/loss.py:897-904, 1116-1130", SEQUENCE_MEANS,
        note="the default: min(w, 2), off by default, multiplies the policy's loss alone",
    )),
    Correction(SLIME, WEIGHTS["token"], loss(
        K1, "slime/utils/ppo_utils.py:43-45, slime/backends/megatron_utils/loss.py:1119-1127",
        SEQUENCE_MEANS, default=False, differentiated=_RATIO,
        note="use_unbiased_kl, for an s that is the policy when the batch was drawn",
    )),
    Correction(OPEN_INSTRUCT, WEIGHTS["none"], loss(
        _OPEN_INSTRUCT_K3, "open_instruct/grpo_utils.py:111-119, 409-464, 525, 532-534",
        BATCH_TOKENS,
        note="the default: min(w, 2), on by default, multiplies the policy's loss alone",
    )),
    Correction(OPEN_INSTRUCT, WEIGHTS["token"], loss(
        _OPEN_INSTRUCT_K1, "open_instruct/model_utils.py:811-818, "
        "open_instruct/grpo_utils.py:532-534", BATCH_TOKENS, default=False, differentiated=_RATIO,
        note="kl_estimator 3, for an s that is the policy when the batch was drawn",
    )),
    Correction(NEMO_RL, WEIGHTS["token"], loss(
        LOW_VARIANCE, "nemo_rl/algorithms/loss/loss_functions.py:482-509, "
        "nemo_rl/algorithms/utils.py:94-98", BATCH_TOKENS, default=False,
        differentiated="value and ratio, clamped",
        note="use_on_policy_kl_approximation, for an s that is the engine; the clamp of the result "
        "comes after the weight",
    )),
    Correction(MS_SWIFT, WEIGHTS["token-truncated"], loss(
        LOW_VARIANCE, "swift/rlhf_trainers/grpo_trainer.py:986-990, 1077-1081, 1761, 2351-2353, "
        "swift/rlhf_trainers/args_mixin.py:478-480", SEQUENCE_MEANS, default=False,
        note="rollout_importance_sampling_mode token_truncate, for an s that is the engine: the "
        "weight multiplies the whole loss, KL too",
    )),
    Correction(None, WEIGHTS["token-clipped"], loss(
        K3, "", BATCH_TOKENS, default=False, note="if PPO's clip multiplied k3 too",
    )),
    Correction(None, WEIGHTS["sequence"], loss(
        K3, "", BATCH_TOKENS, default=False, note="the unbiased weight, without a clamp",
    )),
)  # fmt: skip


def lagged_policy() -> tuple[str, PolicyPair]:
    """The policy that is compared, by the name of its setting."""
    return [*policies().items()][STEPS.index((1.0, OFFSET))]


def corrected(correction: Correction, law: SampledLaw) -> UnitTheory:
    """The exact law of a correction over one sequence of s."""
    formula = correction.use.formula
    if correction.weight.level == "sequence":
        assert formula == K3
        return off_policy_theory(law, ESTIMATORS["k3-factor"], correction.weight)
    return theory_of_terms(law, _terms(correction, law))


def _terms(correction: Correction, law: SampledLaw) -> Moments:
    """What each transition adds, with its weight. A clamp makes no error larger."""
    formula, ell = correction.use.formula, law.chain.pair.ell
    free = law.values[_SUMS[formula.kind]]
    held = formula._replace(most_value=math.inf)
    value = np.where(np.abs(ell) <= held.most_log_ratio, free.value, held(ell))
    terms, weights = Moments(value, free.error), law.weights(correction.weight)
    if correction.clamped_product:
        return _clipped(weighted_table(weights, terms), formula.most_value)
    return weighted_table(weights, _clipped(terms, formula.most_value))


def _clipped(terms: Moments, most: float) -> Moments:
    return Moments(np.clip(terms.value, -most, most), terms.error)


def changed_share(correction: Correction, law: SampledLaw) -> float:
    """The expected share of the tokens of s for which a clamp of the value or weight acts."""
    chain, weight = law.chain, correction.weight
    free = KINDS[correction.use.formula.kind].value(chain.pair.ell)
    if weight.level == "token":
        free = free * weight._replace(least=0.0, most=math.inf)(chain.log_weight)
    value = correction.values(chain.pair.ell, chain.log_weight)
    acts = np.abs(value - free) > 1e-9 * np.abs(free)
    (mean,), _ = law.sums([Moments(acts.astype(float), np.zeros(acts.shape))], 2)
    return mean.value / chain.tokens
