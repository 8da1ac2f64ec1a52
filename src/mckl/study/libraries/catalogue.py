"""The formulas that libraries compute as a KL. A new library is one entry, and one line at the end.

The entries hold formulas, their roles and sources, and none of the libraries' code. All sources
were read in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from mckl.study.libraries.base import (
    BATCH_TOKENS,
    EACH_TOKEN,
    SEQUENCE_MEANS,
    SEQUENCE_SUMS,
    Library,
    Use,
)
from mckl.study.libraries.formula import ABS, FULL, K1, K2, K3, LOW_VARIANCE, Formula

# A loss uses the gradient of its value, unless the entry says otherwise.
metric: partial[Use] = partial(Use, "metric")
reward: partial[Use] = partial(Use, "reward")
loss: partial[Use] = partial(Use, "loss", differentiated="value")
_K1_WITHIN_10, _K2_WITHIN_10, _K3_WITHIN_10 = (
    Formula(kind, most_value=10) for kind in ("k1", "k2", "k3")
)
_K1_OF_40, _K2_OF_40, _K3_OF_40 = (Formula(kind, most_log_ratio=40) for kind in ("k1", "k2", "k3"))

# TRL of Hugging Face: GRPO, RLOO and distillation. The importance ratio has been on by default
# since 1.10.0 (pull request 6503); 1.9 had it as an option. PPOTrainer, which 1.16.0 no longer
# has, put k1 (or, as an option, k3) into the reward.
TRL = Library(
    name="TRL", version="1.16.0", source="package trl", commit="", date="2026-10-15",
    uses=(
        loss(
            K3, "trl/trainer/grpo_trainer.py:3095-3105, 3150, 3168-3173", BATCH_TOKENS,
            differentiated="value and ratio",
            note="GRPO, off until beta > 0; times pi / pi_old, differentiated, since 1.10.0",
        ),
        metric(
            K3, "trl/trainer/grpo_trainer.py:3104-3105, 3259-3268", BATCH_TOKENS,
            note="GRPO's kl: times pi / pi_old as in the loss, so it is not k3 once pi has moved",
        ),
        reward(K1, "trl/trainer/rloo_trainer.py:1669-1673", SEQUENCE_SUMS, note="RLOO, beta 0.05"),
        metric(K1, "trl/trainer/rloo_trainer.py:1712-1716", BATCH_TOKENS, note="RLOO's kl"),
        loss(
            FULL, "trl/trainer/distillation_trainer.py:186-213, 1904-1910, "
            "trl/kernels/chunked_divergence.py:218-220, 485-487, "
            "trl/trainer/distillation_config.py:359-366", BATCH_TOKENS,
            note="distillation with beta 1, the default; 0 is the other direction, and what is "
            "between them a Jensen-Shannon divergence",
        ),
    ),
)  # fmt: skip

# verl: losses and rewards by the name of the formula. A formula whose name ends in + has the
# value of that formula, but the gradient of k2.
_VERL_CORE = "verl/trainer/ppo/core_algos.py"
VERL = Library(
    name="verl", version="0.10.0.dev", source="verl-project/verl", commit="1dda039b9c63",
    date="2026-08-22",
    uses=(
        loss(
            LOW_VARIANCE, f"{_VERL_CORE}:2238-2244, verl/workers/utils/losses.py:132-140",
            BATCH_TOKENS, note="low_var_kl, the default of kl_loss_type; off until use_kl_loss",
        ),
        loss(
            LOW_VARIANCE, f"{_VERL_CORE}:2199-2212, 2238-2244", BATCH_TOKENS, default=False,
            differentiated="k2", note="k3+: the value of k3, the gradient of k2",
        ),
        loss(K1, f"{_VERL_CORE}:2227-2228", BATCH_TOKENS, default=False, note="kl"),
        loss(ABS, f"{_VERL_CORE}:2230-2231", BATCH_TOKENS, default=False, note="abs"),
        loss(K2, f"{_VERL_CORE}:2233-2234", BATCH_TOKENS, default=False, note="mse"),
        reward(
            K1, f"{_VERL_CORE}:2227-2228, verl/trainer/ppo/ray_trainer.py:98-106", EACH_TOKEN,
            note="off until use_kl_in_reward",
        ),
        metric(K1, "verl/trainer/ppo/ray_trainer.py:108-115", SEQUENCE_MEANS),
        metric(
            K3, "verl/trainer/ppo/rollout_corr_helper.py:961-966", BATCH_TOKENS,
            note="k3_kl: the rollout engine against the trainer",
        ),
    ),
)  # fmt: skip

# OpenRLHF: one function for reward and loss, whose result is clamped for every formula.
_OPENRLHF_FORMULA = "openrlhf/models/utils.py:78-95"
OPENRLHF = Library(
    name="OpenRLHF", version="0.11.0", source="OpenRLHF/OpenRLHF", commit="3c3be6234e0c",
    date="2026-08-13",
    uses=(
        reward(
            _K1_WITHIN_10,
            f"{_OPENRLHF_FORMULA}, openrlhf/trainer/ppo_utils/experience_maker.py:205-210",
            EACH_TOKEN, note="the default",
        ),
        metric(
            _K1_WITHIN_10,
            f"{_OPENRLHF_FORMULA}, openrlhf/trainer/ppo_utils/experience_maker.py:215",
            SEQUENCE_MEANS,
        ),
        loss(
            _K2_WITHIN_10, f"{_OPENRLHF_FORMULA}, openrlhf/trainer/ray/ppo_actor.py:319-330",
            BATCH_TOKENS, default=False, note="recommended, beside k3, for a loss",
        ),
        loss(
            _K3_WITHIN_10, f"{_OPENRLHF_FORMULA}, openrlhf/trainer/ray/ppo_actor.py:319-330",
            BATCH_TOKENS, default=False, note="recommended, beside k2, for a loss",
        ),
        loss(
            _K1_WITHIN_10, f"{_OPENRLHF_FORMULA}, openrlhf/trainer/ray/ppo_actor.py:319-330",
            BATCH_TOKENS,
            note="what use_loss alone gives, for k1 is the default; a message advises k2 or k3",
        ),
    ),
)  # fmt: skip

# open-instruct of Ai2: four formulas by number, the third by default.
_OPEN_INSTRUCT_FORMULAS = "open_instruct/model_utils.py:811-818"
_OPEN_INSTRUCT_LOSS = f"{_OPEN_INSTRUCT_FORMULAS}, open_instruct/grpo_utils.py:532-534"
_OPEN_INSTRUCT_METRIC = (
    f"{_OPEN_INSTRUCT_FORMULAS}, open_instruct/grpo_utils.py:715-720, 735-740, "
    "open_instruct/grpo_fast.py:1562-1589"
)
_OPEN_INSTRUCT_ROWS = "the means of rows, each of packed sequences, weighted by the rows' tokens"
OPEN_INSTRUCT = Library(
    name="open-instruct", version="0.3.0-29-ge6c3044", source="allenai/open-instruct",
    commit="e6c3044aa620", date="2026-08-20",
    uses=(
        loss(
            _K3_OF_40, f"{_OPEN_INSTRUCT_LOSS}, open_instruct/grpo_fast.py:718-719", BATCH_TOKENS,
            note="kl_estimator 2, the default; beta 0.05",
        ),
        loss(_K1_OF_40, _OPEN_INSTRUCT_LOSS, BATCH_TOKENS, default=False, note="kl_estimator 0"),
        loss(
            _K1_OF_40, _OPEN_INSTRUCT_LOSS, BATCH_TOKENS, default=False,
            differentiated="value and ratio",
            note="kl_estimator 3: times pi / pi_old, differentiated",
        ),
        loss(_K2_OF_40, _OPEN_INSTRUCT_LOSS, BATCH_TOKENS, default=False, note="kl_estimator 1"),
        *(
            metric(
                formula, _OPEN_INSTRUCT_METRIC, BATCH_TOKENS, note=f"{name}; {_OPEN_INSTRUCT_ROWS}",
            )
            for formula, name in (
                (_K1_OF_40, "kl0_avg"),
                (_K2_OF_40, "kl1_avg"),
                (_K3_OF_40, "kl2_avg"),
                (_K1_OF_40, "kl3_avg: times pi / pi_old, so it is not k1 once pi has moved"),
            )
        ),
    ),
)  # fmt: skip

# NeMo RL of NVIDIA: k1, k2 or k3, times a ratio that is differentiated too since June 2026. l is
# clamped before that product, and the product after it.
_NEMO_RL_FORMULA = "nemo_rl/algorithms/utils.py:72-101"
_NEMO_RL_LOSS = "nemo_rl/algorithms/loss/loss_functions.py"
NEMO_RL = Library(
    name="NeMo RL", version="0.6.0", source="NVIDIA-NeMo/RL", commit="7ea279abfbeb",
    date="2026-08-22",
    uses=(
        loss(
            LOW_VARIANCE, f"{_NEMO_RL_FORMULA}, {_NEMO_RL_LOSS}:131-133, 482-509", BATCH_TOKENS,
            differentiated="value and ratio, clamped",
            note="the ratio comes before the result's clamp, and is detached where l is clamped",
        ),
        *(
            loss(
                LOW_VARIANCE._replace(kind=kind),
                f"{_NEMO_RL_FORMULA}, {_NEMO_RL_LOSS}:131-133, 482-509", BATCH_TOKENS,
                default=False, differentiated="value and ratio, clamped",
                note=f"reference_policy_kl_type {kind}",
            )
            for kind in ("k1", "k2")
        ),
        metric(
            LOW_VARIANCE, f"{_NEMO_RL_FORMULA}, {_NEMO_RL_LOSS}:777", BATCH_TOKENS,
            note="kl_penalty",
        ),
        reward(
            LOW_VARIANCE, f"{_NEMO_RL_FORMULA}, nemo_rl/algorithms/advantage_estimator.py:249-259",
            EACH_TOKEN, note="off until use_kl_in_reward",
        ),
        metric(
            K3, f"{_NEMO_RL_FORMULA}, {_NEMO_RL_LOSS}:416-427", BATCH_TOKENS,
            note="gen_kl_error: KL(generator‖trainer), on the generator's tokens",
        ),
        metric(
            Formula("k3 of -l"), f"{_NEMO_RL_FORMULA}, {_NEMO_RL_LOSS}:431-442", BATCH_TOKENS,
            note="policy_kl_error: meant for KL(trainer‖generator), on the generator's tokens",
        ),
    ),
)  # fmt: skip

# slime: k1 by default, for the reward and for the loss.
_SLIME_FORMULA = "slime/utils/ppo_utils.py:28-51"
_SLIME_LOSS = f"{_SLIME_FORMULA}, slime/backends/megatron_utils/loss.py:1116-1130"
SLIME = Library(
    name="slime", version="0.3.1-38-g624b824", source="THUDM/slime", commit="624b824a898a",
    date="2026-08-21",
    uses=(
        reward(
            K1, f"{_SLIME_FORMULA}, slime/backends/megatron_utils/loss.py:743-779", EACH_TOKEN,
            note="off until kl_coef > 0; not used by GRPO, GSPO and CISPO",
        ),
        loss(
            K1, f"{_SLIME_LOSS}, slime/utils/arguments.py:934-939", SEQUENCE_MEANS,
            note="the default of kl_loss_type; off until use_kl_loss",
        ),
        loss(K2, _SLIME_LOSS, SEQUENCE_MEANS, default=False),
        loss(K3, _SLIME_LOSS, SEQUENCE_MEANS, default=False),
        loss(_K3_WITHIN_10, _SLIME_LOSS, SEQUENCE_MEANS, default=False, note="low_var_kl"),
        *(
            loss(
                formula, f"{_SLIME_LOSS}, slime/utils/arguments.py:989-994", SEQUENCE_MEANS,
                default=False, differentiated="value and ratio",
                note="use_unbiased_kl: times pi / pi_old, differentiated",
            )
            for formula in (K1, K2, K3)
        ),
        loss(
            _K3_WITHIN_10, f"{_SLIME_LOSS}, slime/utils/arguments.py:989-994", SEQUENCE_MEANS,
            default=False, differentiated="value and ratio, clamped",
            note="low_var_kl with use_unbiased_kl: the ratio comes before the clamp",
        ),
        metric(K1, _SLIME_LOSS, SEQUENCE_MEANS, note="kl_loss"),
    ),
)  # fmt: skip

# prime-rl: l^2 of the trainer and the law that drew the tokens, without the half of k2.
_PRIME_RL_LOSS = "src/prime_rl/trainer/rl/loss.py"
PRIME_RL = Library(
    name="prime-rl", version="0.8.1.dev67", source="PrimeIntellect-ai/prime-rl",
    commit="559b44772e47", date="2026-08-21",
    uses=(
        loss(
            Formula("l^2"), f"{_PRIME_RL_LOSS}:145-149, 184-188, 394", BATCH_TOKENS,
            differentiated="value in p",
            note="the inference engine (q) draws, the trainer (p) is differentiated; times 0.001",
        ),
        metric(
            K3, f"{_PRIME_RL_LOSS}:100-106, src/prime_rl/trainer/rl/train.py:509-512", BATCH_TOKENS,
            note="mismatch_kl: the inference engine against the trainer",
        ),
        reward(
            K1, f"{_PRIME_RL_LOSS}:225-229", EACH_TOKEN,
            note="ref_kl, for distillation: each token's own l alone, detached, times a ratio",
        ),
    ),
)  # fmt: skip

# torchtune: k3 as GRPO's loss, k1 in PPO's reward.
TORCHTUNE = Library(
    name="torchtune", version="0.7.0", source="meta-pytorch/torchtune", commit="bd2a0fc7c314",
    date="2026-04-23",
    uses=(
        loss(
            K3, "torchtune/dev/grpo/loss.py:243-257", SEQUENCE_MEANS,
            note="GRPOSimpleLoss, which the synchronous recipe names",
        ),
        loss(
            K3, "torchtune/dev/rl/linear_grpo_loss.py:85-98, 157, 172-173, "
            "recipes/configs/dev/qwen3B_async_grpo.yaml:95", SEQUENCE_MEANS,
            note="LinearGRPOLoss, which the asynchronous recipe names",
        ),
        loss(K3, "torchtune/dev/grpo/loss.py:85-90", BATCH_TOKENS, default=False, note="GRPOLoss"),
        metric(
            K3, "torchtune/dev/grpo/loss.py:264, torchtune/dev/rl/linear_grpo_loss.py:162, 176",
            SEQUENCE_MEANS, note="kl_loss",
        ),
        reward(K1, "torchtune/rlhf/rewards.py:79-80", EACH_TOKEN, note="PPO"),
        metric(
            K1, "recipes/ppo_full_finetune_single_device.py:1183", SEQUENCE_SUMS, note="PPO's kl",
        ),
    ),
)  # fmt: skip

# ART of OpenPipe: k1 in the advantage. Up to 0.3.11 it had k3 as a loss. The package has no date,
# so the date below is that on which it was read.
ART = Library(
    name="ART", version="0.5.18", source="package openpipe-art", commit="", date="2026-11-24",
    uses=(
        reward(
            K1, "art/loss.py:98-103", EACH_TOKEN,
            note="off until kl_penalty_coef > 0; a token's own l less the batch's mean, detached",
        ),
        metric(K1, "art/loss.py:102-104", BATCH_TOKENS, note="kl_policy_ref"),
        reward(
            K1, "art/loss.py:53, 95-96", EACH_TOKEN, default=False,
            note="kimi_k2_tau: l of the policy against the law that drew the tokens, so it is 0 "
            "until the policy has moved; detached, times a clipped ratio of the two",
        ),
    ),
)  # fmt: skip

# SkyRL: verl's formulas, as a loss by default. Until commit 9d7bca91a505 of 2026-03-20 the
# formulas were computed without a gradient, so that the loss did nothing.
_SKYRL_FORMULAS = "skyrl/backends/skyrl_train/utils/ppo_utils.py:104-118"
_SKYRL_LOSS = (
    f"{_SKYRL_FORMULAS}, skyrl/backends/skyrl_train/workers/worker.py:1070-1089, "
    "skyrl/backends/skyrl_train/workers/megatron/megatron_model_wrapper.py:907-942"
)
_SKYRL_REWARD = f"{_SKYRL_FORMULAS}, skyrl/train/trainer.py:1419-1437"
SKYRL = Library(
    name="SkyRL", version="0.3.0", source="NovaSky-AI/SkyRL", commit="a9564572eb8e",
    date="2026-08-21",
    uses=(
        loss(
            LOW_VARIANCE, f"{_SKYRL_LOSS}, skyrl/train/config/config.py:828-836", SEQUENCE_MEANS,
            note="the default, times 0.001; had no gradient before 9d7bca91a505 (2026-03-20)",
        ),
        *(
            loss(
                formula, _SKYRL_LOSS, SEQUENCE_MEANS, default=False,
                note=f"kl_estimator_type {name}",
            )
            for formula, name in ((K1, "k1"), (ABS, "abs"), (K2, "k2"))
        ),
        metric(
            LOW_VARIANCE, "skyrl/backends/skyrl_train/workers/worker.py:1077, 1123-1124",
            SEQUENCE_MEANS, note="policy_kl",
        ),
        reward(LOW_VARIANCE, _SKYRL_REWARD, EACH_TOKEN, note="off until use_kl_in_reward"),
    ),
)  # fmt: skip

# ms-swift of ModelScope: k3 with verl's clamps as GRPO's loss, k1 in the reward of the others.
_MS_SWIFT_GRPO = "swift/rlhf_trainers/grpo_trainer.py"
_MS_SWIFT_TEACHER = "swift/rl_core/advantage.py"
MS_SWIFT = Library(
    name="ms-swift", version="4.6.0.dev0", source="modelscope/ms-swift", commit="3602360a5623",
    date="2026-08-22",
    uses=(
        loss(
            LOW_VARIANCE, f"{_MS_SWIFT_GRPO}:986-990, 1077-1081, 1096-1098, "
            "swift/arguments/rlhf_args.py:356, 525-526", SEQUENCE_MEANS,
            note="GRPO, beta 0.04; weights for the inference engine, if any, multiply it too",
        ),
        metric(LOW_VARIANCE, f"{_MS_SWIFT_GRPO}:1166-1171, 1191-1193", BATCH_TOKENS, note="kl"),
        reward(
            K1, f"{_MS_SWIFT_GRPO}:454-469, {_MS_SWIFT_TEACHER}:60-61", SEQUENCE_SUMS,
            note="kl_in_reward, the default of rloo and reinforce_plus_plus",
        ),
        metric(K1, f"{_MS_SWIFT_GRPO}:498-499", SEQUENCE_SUMS, note="kl, with kl_in_reward"),
        metric(
            K1, f"{_MS_SWIFT_GRPO}:2477-2484", BATCH_TOKENS,
            note="kl of the inference engine against the trainer; off until asked for",
        ),
        metric(
            LOW_VARIANCE, f"{_MS_SWIFT_GRPO}:2486-2491", BATCH_TOKENS,
            note="k3_kl of the inference engine against the trainer; off until asked for",
        ),
        reward(
            K1, f"{_MS_SWIFT_TEACHER}:241-291, {_MS_SWIFT_GRPO}:294-301", EACH_TOKEN,
            note="distillation with a teacher: each token's own l alone, detached",
        ),
        metric(
            K3, f"{_MS_SWIFT_TEACHER}:234-238, {_MS_SWIFT_GRPO}:302-309", BATCH_TOKENS,
            note="teacher_kl",
        ),
        loss(
            FULL, "swift/rlhf_trainers/gkd_loss.py:80-82, 138-144, "
            "swift/arguments/rlhf_args.py:516-517", BATCH_TOKENS, default=False,
            note="GKD with beta 1, on the student's own sequences; 0.5, the default, is a "
            "Jensen-Shannon divergence",
        ),
    ),
)  # fmt: skip

# ROLL of Alibaba: k3 with a clamp as a loss, k1 in the reward.
_ROLL_FUNCTIONS = "roll/utils/functionals.py"
_ROLL_LOSS = f"{_ROLL_FUNCTIONS}:198-202, 263-268, roll/pipeline/rlvr/actor_worker.py"
_ROLL_REWARD = f"{_ROLL_FUNCTIONS}:192-197, 614-631"
ROLL = Library(
    name="ROLL", version="0.3.0-9-g8eb27cc", source="alibaba/ROLL", commit="8eb27cc2dc34",
    date="2026-08-19",
    uses=(
        loss(
            _K3_WITHIN_10, f"{_ROLL_LOSS}:55-62, 106-107, roll/configs/base_config.py:568-573",
            SEQUENCE_MEANS, note="off until use_kl_loss",
        ),
        metric(_K3_WITHIN_10, f"{_ROLL_LOSS}:147", SEQUENCE_MEANS, note="kl_loss"),
        reward(
            K1, f"{_ROLL_REWARD}, roll/configs/base_config.py:527-533, 563", EACH_TOKEN,
            note="off until add_token_level_kl",
        ),
        reward(ABS, _ROLL_REWARD, EACH_TOKEN, default=False, note="kl_penalty abs"),
        reward(K2, _ROLL_REWARD, EACH_TOKEN, default=False, note="kl_penalty mse"),
        metric(K1, f"{_ROLL_REWARD}, {_ROLL_FUNCTIONS}:635", SEQUENCE_MEANS, note="critic/kl"),
    ),
)  # fmt: skip

# AReaL: OpenRLHF's formulas, all of them clamped, in the reward; k1 as a loss for distillation.
_AREAL_ACTOR = "areal/trainer/ppo/actor.py"
_AREAL_REWARD = f"areal/utils/data.py:1677-1698, {_AREAL_ACTOR}:229-257"
AREAL = Library(
    name="AReaL", version="2.0.0-55-gcbff54d", source="areal-project/AReaL", commit="cbff54d645d2",
    date="2026-08-22",
    uses=(
        reward(
            _K1_WITHIN_10, f"{_AREAL_REWARD}, areal/api/cli_args.py:1771-1775", EACH_TOKEN,
            note="times 0.1; without a reference model, log p counts as 0",
        ),
        *(
            reward(
                formula, _AREAL_REWARD, EACH_TOKEN, default=False,
                note=f"kl_estimator {formula.kind}",
            )
            for formula in (_K2_WITHIN_10, _K3_WITHIN_10)
        ),
        loss(
            K1, f"{_AREAL_ACTOR}:629-659", BATCH_TOKENS,
            note="distillation beside a reward, of the policy against the teacher; times 0.005",
        ),
        reward(
            K1, f"{_AREAL_ACTOR}:641-651", EACH_TOKEN, default=False,
            note="distillation alone: each token's own l alone, detached, times a ratio",
        ),
        *(
            metric(
                formula, f"{_AREAL_ACTOR}:1209-1226", BATCH_TOKENS,
                note=f"{name}: the inference engine against the trainer",
            )
            for formula, name in (
                (K1, "kl_div_direct"),
                (K2, "kl_div_taylor"),
                (K3, "kl_div_dual"),
            )
        ),
    ),
)  # fmt: skip

# TensorFlow Probability: functions of a whole sample's log density ratio. k1 of the whole is the
# sum of the factors' k1.
_TFP_VI = "tensorflow_probability/python/vi/csiszar_divergence.py"
TFP = Library(
    name="TensorFlow Probability", version="0.26.0-dev", source="tensorflow/probability",
    commit="c847a4160de3", date="2026-04-16",
    uses=(
        loss(
            K1, f"{_TFP_VI}:219-227, 237-282, 1115-1129", SEQUENCE_SUMS,
            differentiated="value and ratio",
            note="kl_reverse in monte_carlo_variational_loss, whose gradient is the score "
            "function's where a sample cannot be reparameterized",
        ),
        loss(
            Formula("k3", whole=True), f"{_TFP_VI}:219-230, 237-282", SEQUENCE_SUMS, default=False,
            differentiated="value and ratio", note="kl_reverse with self_normalized",
        ),
        metric(
            K1, "tensorflow_probability/python/layers/distribution_layer.py:1351-1355",
            SEQUENCE_SUMS, note="KLDivergenceRegularizer, one sample by default",
        ),
    ),
)  # fmt: skip

# Tables, figures and pages keep this order.
LIBRARIES: Mapping[str, Library] = {
    library.name: library
    for library in (
        TRL,
        VERL,
        OPENRLHF,
        OPEN_INSTRUCT,
        NEMO_RL,
        SLIME,
        PRIME_RL,
        TORCHTUNE,
        ART,
        SKYRL,
        MS_SWIFT,
        ROLL,
        AREAL,
        TFP,
    )
}
