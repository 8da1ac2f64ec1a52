"""SkyRL: verl's formulas, as a loss by default.

Until commit 9d7bca91a505 of 2026-03-20 the formulas were computed without a gradient, so that the
loss did nothing.
"""

from mckl.study.libraries.base import EACH_TOKEN, SEQUENCE_MEANS, Library, Use
from mckl.study.libraries.formula import ABS, K1, K2, LOW_VARIANCE

_FORMULAS = "skyrl/backends/skyrl_train/utils/ppo_utils.py:104-118"
_LOSS = (
    f"{_FORMULAS}, skyrl/backends/skyrl_train/workers/worker.py:1070-1089, "
    "skyrl/backends/skyrl_train/workers/megatron/megatron_model_wrapper.py:907-942"
)
_REWARD = f"{_FORMULAS}, skyrl/train/trainer.py:1419-1437"

SKYRL = Library(
    name="SkyRL",
    version="0.3.0",
    source="NovaSky-AI/SkyRL",
    commit="a9564572eb8e",
    date="2026-08-21",
    uses=(
        Use(
            "loss", LOW_VARIANCE, f"{_LOSS}, skyrl/train/config/config.py:828-836", SEQUENCE_MEANS,
            differentiated="value",
            note="the default, times 0.001; had no gradient before 9d7bca91a505 (2026-03-20)",
        ),
        *(
            Use(
                "loss", formula, _LOSS, SEQUENCE_MEANS, default=False, differentiated="value",
                note=f"kl_estimator_type {name}",
            )
            for formula, name in ((K1, "k1"), (ABS, "abs"), (K2, "k2"))
        ),
        Use(
            "metric", LOW_VARIANCE, "skyrl/backends/skyrl_train/workers/worker.py:1077, 1123-1124",
            SEQUENCE_MEANS, note="policy_kl",
        ),
        Use("reward", LOW_VARIANCE, _REWARD, EACH_TOKEN, note="off until use_kl_in_reward"),
    ),
)  # fmt: skip
