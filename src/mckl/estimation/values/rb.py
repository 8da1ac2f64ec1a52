"""rb: Rao-Blackwell by factor, the mean of sum KL(q_i( . | z_<i) || p_i( . | z_<i)).

Each term is the conditional expectation of l_i given what came before, so it takes every value that
a factor can have, not the drawn one alone. Of independent factors it is the closed form of KL.
"""

from mckl.estimation.values.base import plain_mean_of_sum

RB = plain_mean_of_sum(
    "rb",
    "rb",
    bias=lambda law: 0.0,
    never_negative=True,
    weakness="needs every value that a factor can take",
)
