"""The score function estimator, which is l times the score, as with k1 in the reward.

It is unbiased, since the score itself has mean 0 (Williams, "Simple statistical gradient-following
algorithms", 1992).
"""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K1

SCORE = Method("score", "k1 in the reward", Whole(K1))
