"""The score function estimator with the mean of l over the whole batch as the baseline.

Over n samples its mean is (n - 1)/n times the gradient.
"""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K1

SCORE_BATCH = Method(
    "score-batch", "k1 in the reward, less the batch's mean", Whole(K1, centred=True), "batch"
)
