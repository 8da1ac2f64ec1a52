"""k2-factor: the mean of sum l_i^2 / 2 over a sample's factors i.

Its bias is the sum of the factors' own, so it does not grow with the square of KL as that of k2.
"""

from mckl.estimation.values.base import Estimator, mean_normal_from, mean_of, theory_of_sum

K2_FACTOR = Estimator(
    name="k2-factor",
    sums=("half_square",),
    products=(("factor_half_square", "factor_half_square"),),
    estimate=mean_of("factor_half_square"),
    parameters=1,
    theory=theory_of_sum("half_square"),
    summand=lambda moments: {"factor_half_square": 1.0},
    normal_from=mean_normal_from,
    additive="half_square",
    consistent=False,
    never_negative=True,
    weakness="closes around a biased value",
)
