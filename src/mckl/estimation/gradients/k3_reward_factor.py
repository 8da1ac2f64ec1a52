"""k3 by factor in the reward, which is every factor's own k3 times its score."""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K3
from mckl.families.scores import Rule

K3_REWARD_FACTOR = Method("k3-reward-factor", "k3 by factor in the reward", ByFactor(Rule(K3)))
