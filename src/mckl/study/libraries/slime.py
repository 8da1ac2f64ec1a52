"""slime: k1 by default, for the reward and for the loss."""

from mckl.study.libraries.base import EACH_TOKEN, SEQUENCE_MEANS, Library, Use
from mckl.study.libraries.formula import K1, K2, K3, Formula

_LOW = Formula("k3", most_value=10)
_FORMULA = "slime/utils/ppo_utils.py:28-51"
_LOSS = f"{_FORMULA}, slime/backends/megatron_utils/loss.py:1116-1130"

SLIME = Library(
    name="slime",
    version="0.3.1-38-g624b824",
    source="THUDM/slime",
    commit="624b824a898a",
    date="2026-08-21",
    uses=(
        Use(
            "reward", K1, f"{_FORMULA}, slime/backends/megatron_utils/loss.py:743-779", EACH_TOKEN,
            note="off until kl_coef > 0; not used by GRPO, GSPO and CISPO",
        ),
        Use(
            "loss", K1, f"{_LOSS}, slime/utils/arguments.py:934-939", SEQUENCE_MEANS,
            differentiated="value", note="the default of kl_loss_type; off until use_kl_loss",
        ),
        Use("loss", K2, _LOSS, SEQUENCE_MEANS, default=False, differentiated="value"),
        Use("loss", K3, _LOSS, SEQUENCE_MEANS, default=False, differentiated="value"),
        Use(
            "loss", _LOW, _LOSS, SEQUENCE_MEANS, default=False,
            differentiated="value", note="low_var_kl",
        ),
        *(
            Use(
                "loss", formula, f"{_LOSS}, slime/utils/arguments.py:989-994", SEQUENCE_MEANS,
                default=False, differentiated="value and ratio",
                note="use_unbiased_kl: times pi / pi_old, differentiated",
            )
            for formula in (K1, K2, K3)
        ),
        Use(
            "loss", _LOW, f"{_LOSS}, slime/utils/arguments.py:989-994", SEQUENCE_MEANS,
            default=False, differentiated="value and ratio, clamped",
            note="low_var_kl with use_unbiased_kl: the ratio comes before the clamp",
        ),
        Use("metric", K1, _LOSS, SEQUENCE_MEANS, note="kl_loss"),
    ),
)  # fmt: skip
