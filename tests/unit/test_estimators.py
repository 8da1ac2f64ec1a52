"""Every estimator against closed forms, quadrature, simulation and published numbers."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mckl.estimation.running import RunningMoments
from mckl.estimation.values import ESTIMATORS
from mckl.estimation.values.base import DIVERGENT, POWERS
from mckl.estimation.values.integrands import RATIO_IN, Integrands, of_only_factor
from mckl.exact.factor_sums import SUMS
from mckl.families.normal.pair import grid_pair, pair
from mckl.families.registry import case_pair

GRID = [(1, 0.8, 0.0), (1, 1.25, 0.25), (3, 1.0, 0.1), (4, 0.95, 0.3), (64, 1.05, 0.02)]
UNEQUAL = pair([0.2, -0.4, 0.1], [1.0, 0.7, 1.3], [0.0, 0.3, 0.1], [1.2, 0.8, 1.1])
PAIRS = [grid_pair(*cell) for cell in GRID] + [UNEQUAL]


def theory(name, p, paired=False):
    return ESTIMATORS[name].theory(p.law, paired)


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=lambda e: e.name)
def test_an_entry_names_what_there_is(estimator):
    shared, own = {"ell", *SUMS}, {*estimator.integrands}
    averaged = {name for product in estimator.products for name in product}
    assert averaged <= shared | own | {f"factor_{name}" for name in estimator.sums}
    assert not own & shared
    for other in ESTIMATORS.values():  # all estimators of a study share one set of integrands
        assert other is estimator or not own & {*other.integrands}
    assert {*estimator.ratio_in} <= own
    assert estimator.uses_ratio == any(
        RATIO_IN.get(x) or estimator.ratio_in.get(x) for x in averaged
    )
    assert estimator.additive in {None, "ell", *estimator.sums}
    for other in (estimator.whole, estimator.unbiased_twin):
        assert other is None or ESTIMATORS[other.name] is other
    assert estimator.whole is None or (estimator.sums and not estimator.whole.sums)
    twin = estimator.unbiased_twin
    assert twin is None or (twin.consistent and not estimator.consistent)


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=lambda e: e.name)
def test_the_weight_of_r_is_that_of_the_integrand(estimator):
    if len(estimator.products) > 1 or not {*estimator.sums} <= {*SUMS}:
        return  # the coefficient is fitted, or the sum is not a function of l alone
    (integrand, _), far = estimator.products[0], -30.0
    (value,) = getattr(Integrands(np.array([far]), estimator.integrands), integrand)
    assert value / math.exp(-far) == pytest.approx(
        estimator.ratio_weight({integrand: 1.0}), abs=1e-9
    )


# The estimators that are means of a function of l, or of a sum of one over factors.
MEANS = [n for n, e in ESTIMATORS.items() if len(e.products) == 1 and {*e.sums} <= {*SUMS}]


def averaged(name):
    """What an estimator averages if a sample has one factor, as a function of l."""
    estimator = ESTIMATORS[name]
    integrand = of_only_factor(estimator.products[0][0])
    if integrand in estimator.integrands:
        return lambda x: estimator.integrands[integrand](Integrands(x))
    return {
        "ell": lambda x: x,
        "half_square": lambda x: 0.5 * x * x,
        "ratio": lambda x: np.expm1(-x),
        "k3": lambda x: np.expm1(-x) + x,
    }[integrand]


def chi_square(p):
    """E r^2 - 1 by the textbook integral of p^2 / q."""
    v = 2 * p.q_sd**2 - p.p_sd**2
    assert (v > 0).all()
    delta = p.q_mean - p.p_mean
    factors = p.q_sd**2 / (p.p_sd * np.sqrt(v)) * np.exp(delta**2 / v)
    return float(np.prod(factors)) - 1.0


@pytest.mark.parametrize("p", PAIRS)
def test_closed_forms(p):
    k = p.law.ell(4).value[1:]
    kl, v = k[0], k[1]
    j = kl + p.reversed().law.kl
    chi2 = chi_square(p)
    c = p.coefficients
    # relative 1e-9: the right-hand sides cancel to about 1e-6 of their terms
    assert theory("k1", p).variance == pytest.approx(v, rel=1e-13)
    assert theory("k1", p, paired=True).variance == pytest.approx(
        float(np.sum(2 * c.a**2 * c.weight)), rel=1e-13
    )
    assert theory("k2", p).variance == pytest.approx(
        0.25 * (k[3] + 4 * k[2] * k[0] + 2 * k[1] ** 2 + 4 * k[1] * k[0] ** 2), rel=1e-12
    )
    assert theory("k2", p).bias == pytest.approx(0.5 * (v + kl**2) - kl, rel=1e-9)
    assert theory("k3", p).variance == pytest.approx(chi2 + v - 2 * j, rel=1e-9)
    assert theory("cv", p).variance == pytest.approx(v - j * j / chi2, rel=1e-9)
    assert theory("k1", p).bias == theory("k3", p).bias == 0.0
    k1 = theory("k1", p)
    assert k1.skewness == pytest.approx(k[2] / v**1.5, rel=1e-10, abs=1e-14)
    assert k1.excess_kurtosis == pytest.approx(k[3] / v**2, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(
    ("scale", "offset"), [(0.8, 0.0), (0.9, 0.5), (1.0, 0.7), (1.05, 0.3), (1.0001, 0.02)]
)
def test_four_moments_in_one_dimension(name, paired, scale, offset, normal_mean):
    a, b = 0.5 * (scale**-2 - 1), offset / scale**2
    kl = grid_pair(1, scale, offset).law.kl
    integrand = averaged(name)

    def unit(x):
        even, odd = kl + a * (x * x - 1), b * x
        return (
            0.5 * (integrand(even + odd) + integrand(even - odd))
            if paired
            else integrand(even + odd)
        )

    mean = normal_mean(unit)
    second, third, fourth = (normal_mean(lambda x, m=m: (unit(x) - mean) ** m) for m in (2, 3, 4))
    got = theory(name, grid_pair(1, scale, offset), paired)
    assert kl + got.bias == pytest.approx(mean, rel=1e-11)
    if second < 1e-25:  # every pair's mean is the same, such as KL itself for a mere shift
        assert got[1:4] == (0.0, 0.0, 0.0)
        return
    # relative 1e-8: at scale 1.0001 quadrature itself cancels to 1e-8 of its terms
    assert got.variance == pytest.approx(second, rel=1e-8)
    assert got.skewness == pytest.approx(third / second**1.5, rel=1e-6)
    assert got.excess_kurtosis == pytest.approx(fourth / second**2 - 3, rel=1e-6)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("p", [grid_pair(4, 0.95, 0.3), grid_pair(8, 1.05, 0.2), UNEQUAL])
def test_mean_and_variance_in_several_dimensions(p, paired):
    rng = np.random.default_rng(11)
    n = 400_000
    x = rng.normal(size=(n, p.dimension))
    c = p.coefficients
    even, odd = (
        (c.kl + c.a * (x * x - 1)).sum(axis=1),
        np.broadcast_to(c.b * x, x.shape).sum(axis=1),
    )
    if c.a.size < p.dimension:  # one row stands for every coordinate
        even = (c.a[0] * (x * x - 1)).sum(axis=1) + p.law.kl
    signs = (1, -1) if paired else (1,)
    for name in (name for name in MEANS if not ESTIMATORS[name].sums):
        y = np.mean([averaged(name)(even + sign * odd) for sign in signs], axis=0)
        t = theory(name, p, paired)
        z_mean = (y.mean() - p.law.kl - t.bias) / math.sqrt(t.variance / n)
        z_variance = (y.var() / t.variance - 1) / math.sqrt((t.excess_kurtosis + 2) / n)
        # 18 z-scores: |z| < 4.5 fails by chance once in 10^4
        assert abs(z_mean) < 4.5, name
        assert abs(z_variance) < 4.5, name


@pytest.mark.parametrize(
    ("mu", "k1", "k2", "k3", "k2_bias"),
    [(0.1, 20.0, 1.41774, 1.41657, 0.0025), (1.0, 2.0, 1.73205, 1.69503, 0.25)],
)
def test_schulmans_table(mu, k1, k2, k3, k2_bias):
    p = grid_pair(1, 1.0, mu)
    kl = mu * mu / 2
    got = [math.sqrt(theory(name, p).variance) / kl for name in ("k1", "k2", "k3")]
    assert got == pytest.approx([k1, k2, k3], abs=5e-6)  # all printed digits
    assert theory("k2", p).bias / kl == pytest.approx(k2_bias, rel=1e-12)


def test_the_control_variate_at_mu_1():
    got = theory("cv", grid_pair(1, 1.0, 1.0))
    assert math.sqrt(got.variance) / 0.5 == pytest.approx(1.2931, abs=5e-5)
    # V - J^2 / chi^2 = 1 - 1 / (e - 1); the bias over n is -E[(r-1)^2 e] / chi^2 = -e
    assert got.variance == pytest.approx(1 - 1 / (math.e - 1), rel=1e-12)
    assert got.bias_times_n == pytest.approx(-math.e, rel=1e-12)
    assert got.kind == "asymptotic"


def estimate(name, ell):
    """An estimator's (estimate, standard error) of l with shape (points, replicates, units)."""
    estimator = ESTIMATORS[name]
    # One factor: the sums over factors are those of the whole.
    sums = {name: SUMS[name](ell) for name in estimator.sums}
    of = partial(Integrands, more=estimator.integrands, sums=sums)
    moments = RunningMoments(estimator.products, of, ell.shape[1])
    moments.update(ell)
    value, variance = estimator.estimate(moments)
    return value, np.sqrt(variance)


@pytest.mark.parametrize("points", [1, 2])
@pytest.mark.parametrize("spread", [1e-3, 0.3, 3.0])
@pytest.mark.parametrize("units", [3, 4, 200])
def test_cv_is_the_intercept_of_a_regression(points, spread, units):
    ell = np.random.default_rng(5).normal(0.5 * spread**2, spread, size=(points, 6, units))
    value, std_error = estimate("cv", ell)
    y, x = ell.mean(axis=0), np.expm1(-ell).mean(axis=0)
    for r in range(6):
        X = np.column_stack([np.ones(units), x[r]])
        beta, rss, _, _ = np.linalg.lstsq(X, y[r])
        covariance = rss[0] / (units - 2) * np.linalg.inv(X.T @ X)
        # where l is small, rss is its square, which lstsq itself knows to fewer digits
        assert value[r] == pytest.approx(beta[0], rel=1e-7)
        assert std_error[r] == pytest.approx(math.sqrt(covariance[0, 0]), rel=1e-5)


def test_cv_bias_to_first_order():
    units, replicates = 256, 20_000
    law = grid_pair(1, 1.0, 0.5).law
    t = ESTIMATORS["cv"].theory(law, False)
    x = np.random.default_rng(6).normal(size=(1, replicates, units))
    ell = law.kl + 0.5 * x
    value, _ = estimate("cv", ell)
    # Less the same mean with the best coefficient, J / chi^2, which has no bias at all.
    slope = 0.25 / math.expm1(0.25)
    oracle = (ell + slope * np.expm1(-ell)).mean(axis=-1)[0]
    bias = value - oracle
    expected = t.bias_times_n / units
    error = bias.std() / math.sqrt(replicates)
    assert abs(expected) > 10 * error  # the test can see it
    # the next order is 1/n of the first
    assert abs(bias.mean() - expected) < 4 * error + 4 * abs(expected) / units


@pytest.mark.parametrize("name", [n for n, e in ESTIMATORS.items() if {*e.sums} <= {*SUMS}])
@pytest.mark.parametrize("units", [1, 2, 3])
def test_estimates_of_very_few_samples(name, units):
    ell = np.array([0.3, -0.2, 0.9])[None, None, :units]
    value, std_error = (x[0] for x in estimate(name, ell))
    x = ell[0, 0]
    r = np.expm1(-x)
    terms = averaged(name)(x) if name in MEANS else None
    if terms is not None:
        expected, freedom = terms.mean(), units - 1
    elif units == 1:
        expected, freedom = x[0], 0
    else:
        expected, freedom = np.polyfit(r, x, 1)[1], units - 2
    assert value == pytest.approx(expected, rel=1e-12)
    assert math.isnan(std_error) == (freedom == 0)
    if terms is not None and freedom:
        assert std_error == pytest.approx(terms.std(ddof=1) / math.sqrt(units), rel=1e-12)


@pytest.mark.parametrize("level", [800.0, 1e5, 1e30])
def test_where_every_ratio_underflows_cv_is_k1(level):
    ell = level * np.random.default_rng(7).uniform(1, 2, size=(1, 3, 50))
    assert (np.expm1(-ell) == -1).all()
    value, std_error = estimate("cv", ell)
    k1, k1_error = estimate("k1", ell)
    np.testing.assert_allclose(value, k1, rtol=1e-15)
    # one parameter more is counted: 48 degrees of freedom instead of 49
    np.testing.assert_allclose(std_error, k1_error * math.sqrt(49 / 48), rtol=1e-12)


@given(arrays(np.float64, (1, 2, 5), elements=st.floats(-300, 1e60)))
def test_k3_is_never_negative(ell):
    value, _ = estimate("k3", ell)
    assert (Integrands(ell).k3 >= 0).all()
    assert (value >= 0).all()


@given(st.one_of(st.floats(-20, 50), st.floats(-2e-3, 2e-3), st.floats(1e-150, 1e-8)))
def test_k3_keeps_its_digits(ell):
    with localcontext() as context:
        context.prec = 350
        exact = (-Decimal(ell)).exp() - 1 + Decimal(ell)
    got = float(Integrands(np.array([ell])).k3[0])
    if exact == 0:
        assert got == 0
    elif exact > Decimal("1e-300"):
        # the difference loses up to |l| / (l^2/2) = 2000 units in the last place at |l| = 1e-3
        assert abs(Decimal(got) / exact - 1) < Decimal("5e-13")


def test_where_q_is_0_and_p_is_not() -> None:
    """E r is 0.7: k3 is biased by -0.3, with the variance of its two values; cv has no theory."""
    q, p = np.array([0.7, 0.3]), np.array([0.5, 0.2])
    sides = {"q": [*q, 0.0], "p": [*p, 0.3]}
    law = case_pair(
        {name: {"family": "categorical", "probabilities": side} for name, side in sides.items()}
    ).law
    ell = np.log(q / p)
    k3 = p / q - 1.0 + ell
    mean = q @ k3
    unit = ESTIMATORS["k3"].theory(law, False)
    assert unit.bias == pytest.approx(-0.3, rel=1e-14)
    assert unit.bias == pytest.approx(mean - q @ ell, rel=1e-13)
    assert unit.variance == pytest.approx(q @ (k3 - mean) ** 2, rel=1e-9)
    assert ESTIMATORS["cv"].theory(law, False).kind == "none"


def test_the_reason_names_the_tail_that_is_too_heavy() -> None:
    normal, heavy = {"mean": 0.0, "sd": 1.0}, {"family": "student-t", "df": 3.0}
    of_p, of_q = case_pair({"q": normal, "p": heavy}).law, case_pair({"q": heavy, "p": normal}).law
    for name in ("k1", "k2", "k3", "cv"):
        assert ESTIMATORS[name].theory(of_q, False).reason == POWERS
    assert ESTIMATORS["k1"].theory(of_p, False).variance < np.inf
    for name in ("k3", "cv"):
        assert ESTIMATORS[name].theory(of_p, False).reason == DIVERGENT
