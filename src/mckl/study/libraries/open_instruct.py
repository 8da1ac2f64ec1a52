"""open-instruct of Ai2: four formulas by number, the third by default."""

from mckl.study.libraries.base import BATCH_TOKENS, Library, Use
from mckl.study.libraries.formula import Formula

_K1, _K2, _K3 = (Formula(kind, most_log_ratio=40) for kind in ("k1", "k2", "k3"))
_FORMULAS = "open_instruct/model_utils.py:811-818"
_LOSS = f"{_FORMULAS}, open_instruct/grpo_utils.py:532-534"
_METRIC = (
    f"{_FORMULAS}, open_instruct/grpo_utils.py:715-720, 735-740, "
    "open_instruct/grpo_fast.py:1562-1589"
)
_ROWS = "the means of rows, each of packed sequences, weighted by the rows' tokens"

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
        *(
            Use("metric", formula, _METRIC, BATCH_TOKENS, note=f"{name}; {_ROWS}")
            for formula, name in (
                (_K1, "kl0_avg"),
                (_K2, "kl1_avg"),
                (_K3, "kl2_avg"),
                (_K1, "kl3_avg: times pi / pi_old, so it is not k1 once pi has moved"),
            )
        ),
    ),
)  # fmt: skip
