"""rb: Rao-Blackwell by factor, the mean of sum KL(q_i( . | z_<i) || p_i( . | z_<i)).

Each term is the conditional expectation of l_i given what came before, so it takes every value that
a factor can have, not the drawn one alone. Of independent factors it is the closed form of KL.
"""

from mckl.estimation.values.base import Estimator, mean_normal_from, mean_of, theory_of_sum

RB = Estimator(
    name="rb",
    sums=("rb",),
    products=(("factor_rb", "factor_rb"),),
    estimate=mean_of("factor_rb"),
    parameters=1,
    theory=theory_of_sum("rb", bias=lambda law: 0.0),
    summand=lambda moments: {"factor_rb": 1.0},
    normal_from=mean_normal_from,
    never_negative=True,
    weakness="needs every value that a factor can take",
)
