"""NeMo RL of NVIDIA: k3 with two clamps, times a ratio, differentiated too since June 2026."""

from mckl.study.libraries.base import BATCH_TOKENS, EACH_TOKEN, Library, Use
from mckl.study.libraries.formula import K3, Formula

_K3 = Formula("k3", most_log_ratio=20, most_value=10)
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
            "loss", _K3, f"{_FORMULA}, {_LOSS}:131-133, 482-509", BATCH_TOKENS,
            differentiated="value and ratio",
            note="where a clamp acts, the value has no gradient, and the ratio still has one",
        ),
        Use("metric", _K3, f"{_FORMULA}, {_LOSS}:777", BATCH_TOKENS, note="kl_penalty"),
        Use(
            "reward", _K3, f"{_FORMULA}, nemo_rl/algorithms/advantage_estimator.py:249-259",
            EACH_TOKEN, note="off until use_kl_in_reward",
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
