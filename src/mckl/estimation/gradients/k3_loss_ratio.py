"""k3 as a loss that is weighted by the importance ratio q_theta/q, which is differentiated too.

The derivative has two parts, those of k3 in the reward and of k3 as a loss. They add up to l times
the score (Tang and Munos, "On a few pitfalls in KL divergence gradient estimation for RL", 2025).
"""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K3, plus, slope

K3_LOSS_RATIO = Method(
    "k3-loss-ratio", "k3 as a loss, ratio differentiated", Whole(plus(K3, slope(K3)))
)
