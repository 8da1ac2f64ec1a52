"""The estimator rb (Rao-Blackwell): the mean of sum KL(q_i( . | z_<i) || p_i( . | z_<i)).

Each term is the conditional expectation of l_i given the factors before it, so it needs the
probability of every value of a factor, and not only of the drawn one. For independent factors it
is the closed form of KL. (Amini, Vieira and Cotterell, "Better estimation of the KL divergence
between language models", 2025.)
"""

from mckl.estimation.values.base import plain_mean_of_sum

RB = plain_mean_of_sum(
    "rb",
    "rb",
    unbiased=True,
    never_negative=True,
    weakness="needs every value that a factor can take",
)
