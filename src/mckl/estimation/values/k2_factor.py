"""The estimator k2-factor: the mean of sum l_i^2 / 2 over a sample's factors i.

Its bias is the sum of the factors' biases, so it does not grow with the square of KL as k2's does.
"""

from mckl.estimation.values.base import plain_mean_of_sum
from mckl.estimation.values.k3_factor import K3_FACTOR

K2_FACTOR = plain_mean_of_sum(
    "k2-factor",
    "half_square",
    additive="half_square",
    consistent=False,
    unbiased_twin=K3_FACTOR,
    never_negative=True,
    weakness="closes around a biased value",
)
