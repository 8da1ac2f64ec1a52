"""The estimator k3: the mean of r - 1 + l, r = p/q (Schulman, "Approximating KL divergence", 2020).

It is never negative, and unbiased if E_q r = 1. If q = 0 where p > 0, then E_q r is less than 1 by
p's probability there, and the estimator's mean is less than KL by the same amount. Its variance is
finite only if E r^2 is, so p's tails must not be much heavier than q's. For normal laws every
rho^2 = (sigma_q / sigma_p)^2 must exceed 1/2.
"""

from mckl.estimation.values.base import UnitTheory, exact_theory, plain_mean, why_infinite_sum
from mckl.exact.law import Law
from mckl.exact.moments import EPS, Bounded, Moments


def _theory(law: Law, paired: bool) -> UnitTheory:
    block = law.block(paired, 4)
    y = (0, 0) if paired else (0,)
    moments = Moments(block.value[y], block.error[y])
    missed = 0.0 - law.missed_mass  # so that 0 is not shown as -0
    bias = Bounded(missed, 8.0 * EPS * abs(missed))
    return exact_theory(bias, law.kl + missed, moments, why_infinite_sum(law, "k3"))


K3 = plain_mean(
    "k3",
    "k3",
    _theory,
    uses_ratio=True,
    never_negative=True,
    weakness="misses the rare, large r = p/q",
)
