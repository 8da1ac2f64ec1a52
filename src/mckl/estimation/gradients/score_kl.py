"""The score function estimator with KL(q||p), the mean of l, as the baseline.

KL is not known in practice, so this shows what a very good running mean of l would achieve. The
baseline need not help: its effect depends on the covariance of l and the squared score.
"""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K1

SCORE_KL = Method("score-kl", "k1 in the reward, less KL", Whole(K1, centred=True))
