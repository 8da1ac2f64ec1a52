"""ROLL of Alibaba: k3 with a clamp as a loss, k1 in the reward."""

from mckl.study.libraries.base import EACH_TOKEN, SEQUENCE_MEANS, Library, Use
from mckl.study.libraries.formula import ABS, K1, K2, Formula

_K3 = Formula("k3", most_value=10)
_FUNCTIONS = "roll/utils/functionals.py"
_LOSS = f"{_FUNCTIONS}:198-202, 263-268, roll/pipeline/rlvr/actor_worker.py"
_REWARD = f"{_FUNCTIONS}:192-197, 614-631"

ROLL = Library(
    name="ROLL",
    version="0.3.0-9-g8eb27cc",
    source="alibaba/ROLL",
    commit="8eb27cc2dc34",
    date="2026-08-19",
    uses=(
        Use(
            "loss", _K3, f"{_LOSS}:55-62, 106-107, roll/configs/base_config.py:568-573",
            SEQUENCE_MEANS, differentiated="value", note="off until use_kl_loss",
        ),
        Use("metric", _K3, f"{_LOSS}:147", SEQUENCE_MEANS, note="kl_loss"),
        Use(
            "reward", K1, f"{_REWARD}, roll/configs/base_config.py:527-533, 563", EACH_TOKEN,
            note="off until add_token_level_kl",
        ),
        Use("reward", ABS, _REWARD, EACH_TOKEN, default=False, note="kl_penalty abs"),
        Use("reward", K2, _REWARD, EACH_TOKEN, default=False, note="kl_penalty mse"),
        Use("metric", K1, f"{_REWARD}, {_FUNCTIONS}:635", SEQUENCE_MEANS, note="critic/kl"),
    ),
)  # fmt: skip
