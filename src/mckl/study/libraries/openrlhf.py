"""OpenRLHF: one function for reward and loss, whose result is clamped for every formula."""

from mckl.study.libraries.base import (
    BATCH_TOKENS,
    EACH_TOKEN,
    SEQUENCE_MEANS,
    Library,
    Use,
)
from mckl.study.libraries.formula import Formula

_K1, _K2, _K3 = (Formula(kind, most_value=10) for kind in ("k1", "k2", "k3"))
_FORMULA = "openrlhf/models/utils.py:78-95"

OPENRLHF = Library(
    name="OpenRLHF",
    version="0.11.0",
    source="OpenRLHF/OpenRLHF",
    commit="3c3be6234e0c",
    date="2026-08-13",
    uses=(
        Use(
            "reward", _K1, f"{_FORMULA}, openrlhf/trainer/ppo_utils/experience_maker.py:205-210",
            EACH_TOKEN, note="the default",
        ),
        Use(
            "metric", _K1, f"{_FORMULA}, openrlhf/trainer/ppo_utils/experience_maker.py:215",
            SEQUENCE_MEANS,
        ),
        Use(
            "loss", _K2, f"{_FORMULA}, openrlhf/trainer/ray/ppo_actor.py:319-330", BATCH_TOKENS,
            default=False, differentiated="value", note="recommended, beside k3, for a loss",
        ),
        Use(
            "loss", _K3, f"{_FORMULA}, openrlhf/trainer/ray/ppo_actor.py:319-330", BATCH_TOKENS,
            default=False, differentiated="value", note="recommended, beside k2, for a loss",
        ),
        Use(
            "loss", _K1, f"{_FORMULA}, openrlhf/trainer/ray/ppo_actor.py:319-330", BATCH_TOKENS,
            differentiated="value",
            note="what use_loss alone gives, for k1 is the default; a message advises k2 or k3",
        ),
    ),
)  # fmt: skip
