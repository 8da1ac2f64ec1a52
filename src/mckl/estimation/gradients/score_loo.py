"""The score function estimator with the mean of l over the other samples as the baseline.

It is the sample covariance of l and the score, which is unbiased (Kool, van Hoof and Welling, "Buy
4 REINFORCE samples, get a baseline for free!", 2019).
"""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K1

SCORE_LOO = Method(
    "score-loo",
    "k1 in the reward, less the others' mean",
    Whole(K1, centred=True),
    "leave-one-out",
)
