"""The estimators of KL(q||p), by name. A new one is one entry here, and one line at the end.

An estimator whose theory takes more than a few lines keeps that theory in a module beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping

from mckl.estimation.values import cv, k2, regression
from mckl.estimation.values.base import (
    Estimator,
    UnitTheory,
    controlled_theory,
    ell_normal_from,
    ell_theory,
    plain_mean,
    plain_mean_of_sum,
)

# k1, the mean of l = log q - log p, is unbiased, and may be negative (Schulman, "Approximating KL
# divergence", 2020).
K1 = plain_mean(
    "k1", "ell", ell_theory,
    normal_from=ell_normal_from, additive="ell", weakness="fails early where ℓ is skewed",
)  # fmt: skip

# k3, the mean of r - 1 + l with r = p/q, is never negative, and unbiased if E_q r = 1 (Schulman,
# 2020). If q = 0 where p > 0, then E_q r is less than 1 by p's probability there, and the
# estimator's mean is less than KL by the same amount. Its variance is finite only if E r^2 is, so
# p's tails must not be much heavier than q's. For normal laws every rho^2 = (sigma_q / sigma_p)^2
# must exceed 1/2.
K3 = plain_mean(
    "k3", "k3", controlled_theory,
    uses_ratio=True, never_negative=True, weakness="misses the rare, large r = p/q",
)  # fmt: skip

# k2, the mean of l^2 / 2, has the mean (Var l + KL^2) / 2, which is close to KL only where KL is
# small (Schulman, 2020).
K2 = plain_mean(
    "k2", "half_square", k2.k2_theory,
    consistent=False, unbiased_twin=K3, never_negative=True,
    weakness="closes around a biased value",
)  # fmt: skip

# cv is the mean of l with the control variate r - 1, whose exact mean is 0.
CV = regression.estimator("cv", regression.Control("ratio", "k3"), cv.moments)

# k3-factor, the mean of sum (r_i - 1 + l_i) over a sample's factors i, is never negative like k3,
# and unbiased if E r_i = 1 for all factors. Over independent factors its variance is a sum, while
# that of k3 contains the product of all 1 + chi^2_i. With tokens as factors it is the penalty of
# GRPO (Shao et al., "DeepSeekMath", 2024). If q_i = 0 where p_i > 0, its mean is less than KL by
# p_i's probability there, added up over factors.
K3_FACTOR = plain_mean_of_sum(
    "k3-factor", "k3", whole=K3, additive="k3",
    uses_ratio=True, never_negative=True, weakness="misses the rare, large r = p/q of a factor",
)  # fmt: skip

# k2-factor is the mean of sum l_i^2 / 2. Its bias is the sum of the factors' biases, so it does not
# grow with the square of KL as k2's does.
K2_FACTOR = plain_mean_of_sum(
    "k2-factor", "half_square", whole=K2, additive="half_square",
    consistent=False, unbiased_twin=K3_FACTOR, never_negative=True,
    weakness="closes around a biased value",
)  # fmt: skip

# cv-factor is the mean of l with the control variate sum (r_i - 1), with one coefficient. The exact
# mean of the sum is 0, as is that of r - 1 for the whole sample, but its variance does not explode.
CV_FACTOR = regression.estimator(
    "cv-factor", regression.Control("factor_ratio", "factor_k3"), cv.moments_by_factor,
    whole=CV, sums=("ratio", "k3"), limit=cv.limit_by_factor,
)  # fmt: skip

# rb (Rao-Blackwell) is the mean of sum KL(q_i( . | z_<i) || p_i( . | z_<i)). Each term is the
# conditional expectation of l_i given the factors before it, so it needs the probability of every
# value of a factor, and not only of the drawn one. For independent factors it is the closed form of
# KL. (Amini, Vieira and Cotterell, "Better estimation of the KL divergence between language
# models", 2025.)
RB = plain_mean_of_sum(
    "rb", "rb",
    unbiased=True, never_negative=True, weakness="needs every value that a factor can take",
)  # fmt: skip

# Tables, figures and messages keep this order.
ESTIMATORS: Mapping[str, Estimator] = {
    e.name: e
    for e in (
        K1,
        K2,
        K3,
        CV,
        K2_FACTOR,
        K3_FACTOR,
        CV_FACTOR,
        RB,
    )
}

__all__ = ["ESTIMATORS", "K1", "Estimator", "UnitTheory"]
