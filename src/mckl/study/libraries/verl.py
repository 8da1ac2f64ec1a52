"""verl: losses and rewards by the name of the formula.

A formula whose name ends in + has the value of that formula, but the gradient of k2.
"""

from mckl.study.libraries.base import (
    BATCH_TOKENS,
    EACH_TOKEN,
    SEQUENCE_MEANS,
    Library,
    Use,
)
from mckl.study.libraries.formula import ABS, K1, K2, K3, LOW_VARIANCE

_CORE = "verl/trainer/ppo/core_algos.py"

VERL = Library(
    name="verl",
    version="0.10.0.dev",
    source="verl-project/verl",
    commit="1dda039b9c63",
    date="2026-08-22",
    uses=(
        Use(
            "loss", LOW_VARIANCE, f"{_CORE}:2238-2244, verl/workers/utils/losses.py:132-140",
            BATCH_TOKENS, differentiated="value",
            note="low_var_kl, the default of kl_loss_type; off until use_kl_loss",
        ),
        Use(
            "loss", LOW_VARIANCE, f"{_CORE}:2199-2212, 2238-2244", BATCH_TOKENS, default=False,
            differentiated="k2", note="k3+: the value of k3, the gradient of k2",
        ),
        Use(
            "loss", K1, f"{_CORE}:2227-2228", BATCH_TOKENS, default=False, differentiated="value",
            note="kl",
        ),
        Use(
            "loss", ABS, f"{_CORE}:2230-2231", BATCH_TOKENS, default=False, differentiated="value",
            note="abs",
        ),
        Use(
            "loss", K2, f"{_CORE}:2233-2234", BATCH_TOKENS, default=False, differentiated="value",
            note="mse",
        ),
        Use(
            "reward", K1, f"{_CORE}:2227-2228, verl/trainer/ppo/ray_trainer.py:98-106", EACH_TOKEN,
            note="off until use_kl_in_reward",
        ),
        Use("metric", K1, "verl/trainer/ppo/ray_trainer.py:108-115", SEQUENCE_MEANS),
        Use(
            "metric", K3, "verl/trainer/ppo/rollout_corr_helper.py:961-966", BATCH_TOKENS,
            note="k3_kl: the rollout engine against the trainer",
        ),
    ),
)  # fmt: skip
