"""k2: the mean of l^2 / 2. Its mean is (Var l + KL^2) / 2, close to KL only where KL is small."""

from mckl.estimation.values.base import Estimator, mean_normal_from, mean_of, theory_of_mean
from mckl.exact.law import Expression, Law, constant, multiply


def _half_square(law: Law, sign: int) -> Expression:
    return multiply(constant(0.5), multiply(law.ell(sign), law.ell(sign)))


K2 = Estimator(
    name="k2",
    products=(("half_square", "half_square"),),
    estimate=mean_of("half_square"),
    parameters=1,
    theory=theory_of_mean(_half_square),
    summand=lambda moments: {"half_square": 1.0},
    normal_from=mean_normal_from,
    consistent=False,
    never_negative=True,
    weakness="closes around a biased value",
)
