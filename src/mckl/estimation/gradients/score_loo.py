"""The score function estimator less the mean of l over the other samples (leave one out).

It is the sample covariance of l and the score: unbiased, with the variance of a covariance (Kool,
van Hoof and Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019).
"""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K1

SCORE_LOO = Method(
    "score-loo",
    "k1 in the reward, less the others' mean",
    Whole(K1, centred=True),
    "leave-one-out",
)
