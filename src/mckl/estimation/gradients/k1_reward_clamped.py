"""k1 in the reward with the whole l clamped to [-10, 10]."""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K1, clamped

K1_REWARD_CLAMPED = Method(
    "k1-reward-clamped", "k1 clamped to 10 in the reward", Whole(clamped(K1, -10.0, 10.0))
)
