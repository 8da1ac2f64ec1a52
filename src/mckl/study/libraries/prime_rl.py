"""prime-rl: l^2 of the trainer and the law that drew the tokens, without the half of k2."""

from mckl.study.libraries.base import BATCH_TOKENS, EACH_TOKEN, Library, Use
from mckl.study.libraries.formula import K1, K3, Formula

_LOSS = "src/prime_rl/trainer/rl/loss.py"

PRIME_RL = Library(
    name="prime-rl",
    version="0.8.1.dev67",
    source="PrimeIntellect-ai/prime-rl",
    commit="559b44772e47",
    date="2026-08-21",
    uses=(
        Use(
            "loss", Formula("l^2"), f"{_LOSS}:145-149, 184-188, 394", BATCH_TOKENS,
            differentiated="value in p",
            note="the inference engine (q) draws, the trainer (p) is differentiated; times 0.001",
        ),
        Use(
            "metric", K3, f"{_LOSS}:100-106, src/prime_rl/trainer/rl/train.py:509-512",
            BATCH_TOKENS, note="mismatch_kl: the inference engine against the trainer",
        ),
        Use(
            "reward", K1, f"{_LOSS}:225-229", EACH_TOKEN,
            note="ref_kl, for distillation: each token's own l alone, detached, times a ratio",
        ),
    ),
)  # fmt: skip
