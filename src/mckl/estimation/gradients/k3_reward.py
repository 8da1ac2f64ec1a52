"""k3 in the reward, which is r - 1 + l times the score.

Its mean is the gradient of KL(q||p) less that of KL(p||q).
"""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K3

K3_REWARD = Method("k3-reward", "k3 in the reward", Whole(K3))
