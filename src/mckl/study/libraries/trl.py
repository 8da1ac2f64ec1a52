"""TRL of Hugging Face: GRPO, RLOO and distillation.

The importance ratio has been on by default since 1.10.0 (pull request 6503); 1.9 had it as an
option. PPOTrainer, which 1.16.0 no longer has, put k1 (or, as an option, k3) into the reward.
"""

from mckl.study.libraries.base import BATCH_TOKENS, SEQUENCE_SUMS, Library, Use
from mckl.study.libraries.formula import FULL, K1, K3

TRL = Library(
    name="TRL",
    version="1.16.0",
    source="package trl",
    commit="",
    date="2026-10-15",
    uses=(
        Use(
            "loss", K3, "trl/trainer/grpo_trainer.py:3095-3105, 3150, 3168-3173", BATCH_TOKENS,
            differentiated="value and ratio",
            note="GRPO, off until beta > 0; times pi / pi_old, differentiated, since 1.10.0",
        ),
        Use(
            "metric", K3, "trl/trainer/grpo_trainer.py:3104-3105, 3259-3268", BATCH_TOKENS,
            note="GRPO's kl: times pi / pi_old as in the loss, so it is not k3 once pi has moved",
        ),
        Use(
            "reward", K1, "trl/trainer/rloo_trainer.py:1669-1673", SEQUENCE_SUMS,
            note="RLOO, beta 0.05",
        ),
        Use(
            "metric", K1, "trl/trainer/rloo_trainer.py:1712-1716", BATCH_TOKENS, note="RLOO's kl"
        ),
        Use(
            "loss", FULL,
            "trl/trainer/distillation_trainer.py:186-213, 1904-1910, "
            "trl/kernels/chunked_divergence.py:218-220, 485-487, "
            "trl/trainer/distillation_config.py:359-366",
            BATCH_TOKENS, differentiated="value",
            note="distillation with beta 1, the default; 0 is the other direction, and what is "
            "between them a Jensen-Shannon divergence",
        ),
    ),
)  # fmt: skip
