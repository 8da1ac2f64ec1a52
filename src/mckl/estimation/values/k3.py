"""The estimator k3: the mean of r - 1 + l, r = p/q (Schulman, "Approximating KL divergence", 2020).

It is never negative, and unbiased if E_q r = 1. If q = 0 where p > 0, then E_q r is less than 1 by
p's probability there, and the estimator's mean is less than KL by the same amount. Its variance is
finite only if E r^2 is, so p's tails must not be much heavier than q's. For normal laws every
rho^2 = (sigma_q / sigma_p)^2 must exceed 1/2.
"""

from mckl.estimation.values.base import plain_mean, theory_of_mean
from mckl.exact.law import add

K3 = plain_mean(
    "k3",
    "k3",
    theory_of_mean(
        lambda law, sign: add(law.ratio_minus_one(sign), law.ell(sign)),
        bias=lambda law: 0.0 - law.missed_mass,  # so that 0 is not shown as -0
    ),
    uses_ratio=True,
    never_negative=True,
    weakness="misses the rare, large r = p/q",
)
