"""NeMo RL of NVIDIA: k1, k2 or k3, times a ratio that is differentiated too since June 2026.

l is clamped before that product, and the product after it.
"""

from mckl.study.libraries.base import BATCH_TOKENS, EACH_TOKEN, Library, Use
from mckl.study.libraries.formula import K3, LOW_VARIANCE, Formula

_FORMULA = "nemo_rl/algorithms/utils.py:72-101"
_LOSS = "nemo_rl/algorithms/loss/loss_functions.py"

NEMO_RL = Library(
    name="NeMo RL",
    version="0.6.0",
    source="NVIDIA-NeMo/RL",
    commit="7ea279abfbeb",
    date="2026-08-22",
    uses=(
        Use(
            "loss", LOW_VARIANCE, f"{_FORMULA}, {_LOSS}:131-133, 482-509", BATCH_TOKENS,
            differentiated="value and ratio, clamped",
            note="the ratio comes before the result's clamp, and is detached where l is clamped",
        ),
        *(
            Use(
                "loss", LOW_VARIANCE._replace(kind=kind), f"{_FORMULA}, {_LOSS}:131-133, 482-509",
                BATCH_TOKENS, default=False, differentiated="value and ratio, clamped",
                note=f"reference_policy_kl_type {kind}",
            )
            for kind in ("k1", "k2")
        ),
        Use("metric", LOW_VARIANCE, f"{_FORMULA}, {_LOSS}:777", BATCH_TOKENS, note="kl_penalty"),
        Use(
            "reward", LOW_VARIANCE,
            f"{_FORMULA}, nemo_rl/algorithms/advantage_estimator.py:249-259", EACH_TOKEN,
            note="off until use_kl_in_reward",
        ),
        Use(
            "metric", K3, f"{_FORMULA}, {_LOSS}:416-427", BATCH_TOKENS,
            note="gen_kl_error: KL(generator‖trainer), on the generator's tokens",
        ),
        Use(
            "metric", Formula("k3 of -l"), f"{_FORMULA}, {_LOSS}:431-442", BATCH_TOKENS,
            note="policy_kl_error: meant for KL(trainer‖generator), on the generator's tokens",
        ),
    ),
)  # fmt: skip
