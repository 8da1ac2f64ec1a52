"""The estimator k1: the mean of l = log q - log p.

It is unbiased, and may be negative (Schulman, "Approximating KL divergence", 2020).
"""

from mckl.estimation.values.base import ell_normal_from, plain_mean, theory_of_mean

K1 = plain_mean(
    "k1",
    "ell",
    theory_of_mean(lambda law, sign: law.ell(sign), bias=lambda law: 0.0),
    normal_from=ell_normal_from,
    additive="ell",
    weakness="fails early where ℓ is skewed",
)
