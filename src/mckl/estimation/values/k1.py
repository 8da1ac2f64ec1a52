"""k1: the mean of l = log q - log p. Unbiased; negative with positive probability."""

from mckl.estimation.values.base import Estimator, ell_normal_from, mean_of, theory_of_mean

K1 = Estimator(
    name="k1",
    products=(("ell", "ell"),),
    estimate=mean_of("ell"),
    parameters=1,
    theory=theory_of_mean(lambda law, sign: law.ell(sign), bias=lambda law: 0.0),
    summand=lambda moments: {"ell": 1.0},
    normal_from=ell_normal_from,
    additive="ell",
    weakness="fails early where ℓ is skewed",
)
