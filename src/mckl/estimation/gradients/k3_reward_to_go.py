"""k3 by token in the reward, with the return to go.

For later tokens the mean of k3 is that of l, so only a token's own part has the wrong direction.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K3
from mckl.families.scores import Rule

K3_REWARD_TO_GO = Method(
    "k3-reward-to-go",
    "k3 in the reward, return to go",
    ByFactor(Rule(K3, K3), frozenset({"to-go"})),
)
