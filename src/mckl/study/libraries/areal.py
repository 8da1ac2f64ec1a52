"""AReaL: OpenRLHF's formulas, all of them clamped, in the reward; k1 as a loss for distillation."""

from mckl.study.libraries.base import BATCH_TOKENS, EACH_TOKEN, Library, Use
from mckl.study.libraries.formula import K1, K2, K3, Formula

_ACTOR = "areal/trainer/ppo/actor.py"
_REWARD = f"areal/utils/data.py:1677-1698, {_ACTOR}:229-257"

AREAL = Library(
    name="AReaL",
    version="2.0.0-55-gcbff54d",
    source="areal-project/AReaL",
    commit="cbff54d645d2",
    date="2026-08-22",
    uses=(
        Use(
            "reward", Formula("k1", most_value=10), f"{_REWARD}, areal/api/cli_args.py:1771-1775",
            EACH_TOKEN,
            note="times 0.1; without a reference model, log p counts as 0",
        ),
        *(
            Use(
                "reward", Formula(kind, most_value=10), _REWARD, EACH_TOKEN, default=False,
                note=f"kl_estimator {kind}",
            )
            for kind in ("k2", "k3")
        ),
        Use(
            "loss", K1, f"{_ACTOR}:629-659", BATCH_TOKENS, differentiated="value",
            note="distillation beside a reward, of the policy against the teacher; times 0.005",
        ),
        Use(
            "reward", K1, f"{_ACTOR}:641-651", EACH_TOKEN, default=False,
            note="distillation alone: each token's own l alone, detached, times a ratio",
        ),
        *(
            Use(
                "metric", formula, f"{_ACTOR}:1209-1226", BATCH_TOKENS,
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
