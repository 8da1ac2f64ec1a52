"""open-instruct of Ai2: four formulas by number, the third by default."""

from mckl.study.libraries.base import BATCH_TOKENS, SEQUENCE_MEANS, Library, Use
from mckl.study.libraries.formula import Formula

_K1, _K2, _K3 = (Formula(kind, most_log_ratio=40) for kind in ("k1", "k2", "k3"))
_FORMULAS = "open_instruct/model_utils.py:811-818"
_LOSS = f"{_FORMULAS}, open_instruct/grpo_utils.py:532-534"
_METRIC = f"{_FORMULAS}, open_instruct/grpo_utils.py:715-720"

OPEN_INSTRUCT = Library(
    name="open-instruct",
    version="0.3.0-29-ge6c3044",
    source="allenai/open-instruct",
    commit="e6c3044aa620",
    date="2026-08-20",
    uses=(
        Use(
            "loss", _K3, f"{_LOSS}, open_instruct/grpo_fast.py:718-719", BATCH_TOKENS,
            differentiated="value", note="kl_estimator 2, the default; beta 0.05",
        ),
        Use(
            "loss", _K1, _LOSS, BATCH_TOKENS, default=False, differentiated="value",
            note="kl_estimator 0",
        ),
        Use(
            "loss", _K1, _LOSS, BATCH_TOKENS, default=False, differentiated="value and ratio",
            note="kl_estimator 3: times pi / pi_old, differentiated",
        ),
        Use(
            "loss", _K2, _LOSS, BATCH_TOKENS, default=False, differentiated="value",
            note="kl_estimator 1",
        ),
        Use("metric", _K1, _METRIC, SEQUENCE_MEANS, note="kl0_avg"),
        Use("metric", _K2, _METRIC, SEQUENCE_MEANS, note="kl1_avg"),
        Use("metric", _K3, _METRIC, SEQUENCE_MEANS, note="kl2_avg"),
    ),
)  # fmt: skip
