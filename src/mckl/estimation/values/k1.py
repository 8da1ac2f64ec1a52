"""The estimator k1: the mean of l = log q - log p.

It is unbiased, and may be negative (Schulman, "Approximating KL divergence", 2020).
"""

from mckl.estimation.values.base import (
    POWERS,
    UnitTheory,
    ell_normal_from,
    exact_theory,
    plain_mean,
)
from mckl.exact import joint
from mckl.exact.law import Law
from mckl.exact.moments import Bounded


def _theory(law: Law, paired: bool) -> UnitTheory:
    moments = joint.central_moments(law.ell(4, paired), 1)
    return exact_theory(Bounded(0.0, 0.0), law.kl, moments, POWERS)


K1 = plain_mean(
    "k1",
    "ell",
    _theory,
    normal_from=ell_normal_from,
    additive="ell",
    weakness="fails early where ℓ is skewed",
)
