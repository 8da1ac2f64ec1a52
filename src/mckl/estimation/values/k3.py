"""k3: the mean of r - 1 + l with r = p/q (Schulman, "Approximating KL divergence", 2020).

Unbiased, since E_q r = 1, and never negative. Its variance chi^2 + V - 2J is finite only
where every rho^2 > 1/2.
"""

from mckl.estimation.values.base import Estimator, mean_normal_from, mean_of, theory_of_mean
from mckl.exact.law import add

K3 = Estimator(
    name="k3",
    products=(("k3", "k3"),),
    estimate=mean_of("k3"),
    parameters=1,
    theory=theory_of_mean(
        lambda law, sign: add(law.ratio_minus_one(sign), law.ell(sign)), unbiased=True
    ),
    summand=lambda moments: {"k3": 1.0},
    normal_from=mean_normal_from,
    uses_ratio=True,
    never_negative=True,
    weakness="misses the rare, large r = p/q",
)
