"""The estimator k3: the mean of r - 1 + l, r = p/q (Schulman, "Approximating KL divergence", 2020).

It is never negative, and unbiased if E_q r = 1. If q = 0 where p > 0, then E_q r is less than 1 by
p's probability there, and the estimator's mean is less than KL by the same amount. Its variance is
finite only if E r^2 is, so p's tails must not be much heavier than q's. For normal laws every
rho^2 = (sigma_q / sigma_p)^2 must exceed 1/2.
"""

from mckl.estimation.values.base import controlled_theory, plain_mean

K3 = plain_mean(
    "k3",
    "k3",
    controlled_theory,
    uses_ratio=True,
    never_negative=True,
    weakness="misses the rare, large r = p/q",
)
