"""torchtune: k3 as GRPO's loss, k1 in PPO's reward."""

from mckl.study.libraries.base import (
    BATCH_TOKENS,
    EACH_TOKEN,
    SEQUENCE_MEANS,
    SEQUENCE_SUMS,
    Library,
    Use,
)
from mckl.study.libraries.formula import K1, K3

TORCHTUNE = Library(
    name="torchtune",
    version="0.7.0",
    source="meta-pytorch/torchtune",
    commit="bd2a0fc7c314",
    date="2026-04-23",
    uses=(
        Use(
            "loss", K3, "torchtune/dev/grpo/loss.py:243-257", SEQUENCE_MEANS,
            differentiated="value", note="GRPOSimpleLoss, which the synchronous recipe names",
        ),
        Use(
            "loss", K3,
            "torchtune/dev/rl/linear_grpo_loss.py:85-98, 157, 172-173, "
            "recipes/configs/dev/qwen3B_async_grpo.yaml:95",
            SEQUENCE_MEANS, differentiated="value",
            note="LinearGRPOLoss, which the asynchronous recipe names",
        ),
        Use(
            "loss", K3, "torchtune/dev/grpo/loss.py:85-90", BATCH_TOKENS, default=False,
            differentiated="value", note="GRPOLoss",
        ),
        Use(
            "metric", K3,
            "torchtune/dev/grpo/loss.py:264, torchtune/dev/rl/linear_grpo_loss.py:162, 176",
            SEQUENCE_MEANS, note="kl_loss",
        ),
        Use("reward", K1, "torchtune/rlhf/rewards.py:79-80", EACH_TOKEN, note="PPO"),
        Use(
            "metric", K1, "recipes/ppo_full_finetune_single_device.py:1183", SEQUENCE_SUMS,
            note="PPO's kl",
        ),
    ),
)  # fmt: skip
