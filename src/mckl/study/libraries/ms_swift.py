"""ms-swift of ModelScope: k3 with verl's clamps as GRPO's loss, k1 in the reward of the others."""

from mckl.study.libraries.base import (
    BATCH_TOKENS,
    EACH_TOKEN,
    SEQUENCE_MEANS,
    SEQUENCE_SUMS,
    Library,
    Use,
)
from mckl.study.libraries.formula import FULL, K1, K3, LOW_VARIANCE

_GRPO = "swift/rlhf_trainers/grpo_trainer.py"
_TEACHER = "swift/rl_core/advantage.py"

MS_SWIFT = Library(
    name="ms-swift",
    version="4.6.0.dev0",
    source="modelscope/ms-swift",
    commit="3602360a5623",
    date="2026-08-22",
    uses=(
        Use(
            "loss", LOW_VARIANCE, f"{_GRPO}:986-990, 1077-1081, 1096-1098, "
            "swift/arguments/rlhf_args.py:356, 525-526", SEQUENCE_MEANS, differentiated="value",
            note="GRPO, beta 0.04; weights for the inference engine, if any, multiply it too",
        ),
        Use("metric", LOW_VARIANCE, f"{_GRPO}:1166-1171, 1191-1193", BATCH_TOKENS, note="kl"),
        Use(
            "reward", K1, f"{_GRPO}:454-469, {_TEACHER}:60-61", SEQUENCE_SUMS,
            note="kl_in_reward, the default of rloo and reinforce_plus_plus",
        ),
        Use("metric", K1, f"{_GRPO}:498-499", SEQUENCE_SUMS, note="kl, with kl_in_reward"),
        Use(
            "metric", K1, f"{_GRPO}:2477-2484", BATCH_TOKENS,
            note="kl of the inference engine against the trainer; off until asked for",
        ),
        Use(
            "metric", LOW_VARIANCE, f"{_GRPO}:2486-2491", BATCH_TOKENS,
            note="k3_kl of the inference engine against the trainer; off until asked for",
        ),
        Use(
            "reward", K1, f"{_TEACHER}:241-291, {_GRPO}:294-301", EACH_TOKEN,
            note="distillation with a teacher: each token's own l alone, detached",
        ),
        Use("metric", K3, f"{_TEACHER}:234-238, {_GRPO}:302-309", BATCH_TOKENS, note="teacher_kl"),
        Use(
            "loss", FULL, "swift/rlhf_trainers/gkd_loss.py:80-82, 138-144, "
            "swift/arguments/rlhf_args.py:516-517", BATCH_TOKENS, default=False,
            differentiated="value",
            note="GKD with beta 1, on the student's own sequences; 0.5, the default, is a "
            "Jensen-Shannon divergence",
        ),
    ),
)  # fmt: skip
