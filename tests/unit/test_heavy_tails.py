"""Power tails against normal ones: what is finite, and that no digits are lost far out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gammaln

from mckl.draw.points import SAMPLERS
from mckl.estimation.theory import exact_mean
from mckl.estimation.values import ESTIMATORS
from mckl.families.coordinates.student_t import StudentT
from mckl.families.registry import case_pair, sweep_pair


def against_normal(df):
    return case_pair({"q": {"family": "student-t", "df": df}, "p": {"mean": 0, "sd": 2}})


@pytest.mark.parametrize("df", [2.5, 3, 4.5, 7, 30])
def test_quantiles_far_out_follow_the_tail(df):
    u = 10.0 ** -np.arange(30.0, 201.0, 10.0)
    x = -StudentT(df).quantile(u)
    # P(X < -x) = c x^-df / df (1 - df^2 (df + 1) / (2 (df + 2) x^2) + ...)
    log_c = (
        gammaln((df + 1) / 2) - gammaln(df / 2) + 0.5 * df * math.log(df) - 0.5 * math.log(np.pi)
    )
    first = 1 - df**2 * (df + 1) / (2 * (df + 2) * x**2)
    far = x > 1e5
    assert far.sum() >= 4
    probability = np.exp(log_c - df * np.log(x)) / df * first
    np.testing.assert_allclose(probability[far], u[far], rtol=1e-9)


@pytest.mark.parametrize("df", [9.0, 10.0, 12.0])
def test_one_stratum_has_the_cumulants_of_the_law(df):
    pair = against_normal(df)
    variance, third, fourth = pair.law.ell(4).value[2:]
    one = pair.form().stratified(1)
    assert one.variance == pytest.approx(variance, rel=1e-12)
    assert one.skewness == pytest.approx(third / variance**1.5, rel=1e-10)
    assert one.excess_kurtosis == pytest.approx(fourth / variance**2, rel=1e-9)


def test_integrals_of_the_definition_reach_the_tails_or_say_that_they_do_not():
    for df, finite in ((3.0, False), (4.0, False), (4.4, True), (5.0, True), (10.0, True)):
        pair = against_normal(df)
        got = pair.integrals()
        assert got.kl == pytest.approx(pair.law.kl, rel=1e-12)
        assert math.isfinite(pair.law.variance) == finite
        if finite:
            assert got.log_ratio_variance == pytest.approx(pair.law.variance, rel=1e-12)
        else:
            assert math.isnan(got.log_ratio_variance)


@pytest.mark.parametrize("sampler", ["iid", "antithetic", "sobol"])
@pytest.mark.parametrize(
    ("df", "orders"),  # of the highest finite cumulant of l
    [(3, 1), (5, 2), (7, 3), (9, 4)],
)
def test_moments_of_k1_are_infinite_where_those_of_l_are(sampler, df, orders):
    (cell,) = exact_mean(against_normal(df), SAMPLERS[sampler], [ESTIMATORS["k1"]], [256])
    law = cell[2]
    assert math.isfinite(law.variance) == (orders >= 2)
    assert math.isfinite(law.skewness) == (orders >= 3)
    assert math.isfinite(law.excess_kurtosis) == (orders >= 4)
    assert (law.reason is None) == (orders >= 2)
    assert orders >= 2 or "tails of q are too heavy" in law.reason


@pytest.mark.parametrize(
    ("family", "scale", "offset"), [("gamma(2)", 0.8, 5.0), ("gamma(0.5)", 10.0, 5.0)]
)
def test_kl_where_the_ratio_exceeds_every_float(family, scale, offset):
    pair = sweep_pair(family, 3, scale, offset)
    got = pair.integrals()
    assert pair.law.kl == pytest.approx(got.kl, rel=1e-11)
    assert pair.law.variance == pytest.approx(got.log_ratio_variance, rel=1e-11)
