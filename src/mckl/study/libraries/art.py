"""ART of OpenPipe: k1 in the advantage. Up to 0.3.11 it had k3 as a loss.

The package has no date, so the date below is that on which it was read.
"""

from mckl.study.libraries.base import BATCH_TOKENS, EACH_TOKEN, Library, Use
from mckl.study.libraries.formula import K1

ART = Library(
    name="ART",
    version="0.5.18",
    source="package openpipe-art",
    commit="",
    date="2026-11-24",
    uses=(
        Use(
            "reward", K1, "art/loss.py:98-103", EACH_TOKEN,
            note="off until kl_penalty_coef > 0; a token's own l less the batch's mean, detached",
        ),
        Use("metric", K1, "art/loss.py:102-104", BATCH_TOKENS, note="kl_policy_ref"),
        Use(
            "reward", K1, "art/loss.py:53, 95-96", EACH_TOKEN, default=False,
            note="kimi_k2_tau: l of the policy against the law that drew the tokens, so it is 0 "
            "until the policy has moved; detached, times a clipped ratio of the two",
        ),
    ),
)  # fmt: skip
