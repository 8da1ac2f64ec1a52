"""k3: the mean of r - 1 + l with r = p/q (Schulman, "Approximating KL divergence", 2020).

Unbiased where E_q r = 1, and never negative. Where q = 0 and p > 0, E_q r is less than 1 by what p
has there, and so is its mean less than KL. Its variance is finite only where E r^2 is: p's tails
must not be much heavier than q's (normal laws: every rho^2 > 1/2).
"""

from mckl.estimation.values.base import plain_mean, theory_of_mean
from mckl.exact.law import add

K3 = plain_mean(
    "k3",
    "k3",
    theory_of_mean(
        lambda law, sign: add(law.ratio_minus_one(sign), law.ell(sign)),
        bias=lambda law: 0.0 - law.missed_mass,  # -0.0 would be shown
    ),
    uses_ratio=True,
    never_negative=True,
    weakness="misses the rare, large r = p/q",
)
