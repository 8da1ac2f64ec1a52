"""The estimator k2: the mean of l^2 / 2 (Schulman, "Approximating KL divergence", 2020).

Its mean is (Var l + KL^2) / 2, which is close to KL only where KL is small.
"""

from mckl.estimation.values.base import plain_mean, theory_of_mean
from mckl.estimation.values.k3 import K3
from mckl.exact.law import Expression, Law, constant, multiply


def _half_square(law: Law, sign: int) -> Expression:
    return multiply(constant(0.5), multiply(law.ell(sign), law.ell(sign)))


K2 = plain_mean(
    "k2",
    "half_square",
    theory_of_mean(_half_square),
    consistent=False,
    unbiased_twin=K3,
    never_negative=True,
    weakness="closes around a biased value",
)
