"""Tails far out of beta and gamma laws, and what mirror images there give."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy

import mckl
from mckl.draw.points import SAMPLERS
from mckl.estimation.shape import shape_of
from mckl.estimation.theory import exact_mean
from mckl.estimation.values import ESTIMATORS
from mckl.exact.factor import factor_law
from mckl.exact.grid import edges_of
from mckl.families.coordinates.beta import Beta
from mckl.families.coordinates.gamma import Gamma
from mckl.families.coordinates.gaussian import Gaussian
from mckl.families.coordinates.laplace import Laplace
from mckl.families.coordinates.mixture import Mixture
from mckl.families.coordinates.univariate import Between
from mckl.families.registry import case_pair


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("logit", [-1300.0, -725.0, -600.5, -599.5, -30.0, 0.5])
def test_probability_of_log_odds_far_out(logit, upper):
    law = Beta(2.5, 0.5) if upper else Beta(0.5, 2.5)
    with mpmath.workdps(40):
        x = 1 / (1 + mpmath.exp(-mpmath.mpf(logit)))
        expected = float(mpmath.betainc(0.5, 2.5, 0, x, regularized=True))
    got = law.probability(np.array([-logit if upper else logit]), upper)[0]
    assert got == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize(
    ("a", "b", "u"),
    [
        (2.0, 0.01, 1e-36), (1.016, 0.1, 6e-19), (1.63, 0.35, 9.6e-29), (3.0, 0.006, 2.8e-53),
        (4.5, 0.01, 5.6e-79), (20.0, 5.0, 1e-250), (0.3, 40.0, 1e-16), (500.0, 20.0, 1e-30),
    ],
)  # fmt: skip
def test_quantiles_of_a_beta_law_at_tiny_probabilities(a, b, u, upper):
    """SciPy's inverse puts some of them where the probability is 10 times as large, or worse."""
    law = Beta(b, a) if upper else Beta(a, b)
    (logit,) = law.quantile(np.array([u]), upper)
    with mpmath.workdps(60):
        x = 1 / (1 + mpmath.exp(mpmath.mpf(float(logit)) * (1 if upper else -1)))
        shapes = mpmath.mpf(a), mpmath.mpf(b)
        series = mpmath.hyp2f1(sum(shapes), 1, shapes[0] + 1, x)
        expected = x**a * (1 - x) ** b * series / shapes[0] / mpmath.beta(*shapes)
        assert float(expected / u) == pytest.approx(1.0, rel=1e-11)


@pytest.mark.parametrize("u", [1e-250, 1e-20, 0.01, 0.3, 0.5, 0.7, 0.99])
def test_half_a_squared_normal_number(u):
    law = Gamma(0.5, 2.0)
    for upper in (False, True):
        x = law.quantile(np.array([u]), upper)
        if x[0] > 1e-290:  # as far down as x can go
            with mpmath.workdps(60):
                root = mpmath.sqrt(mpmath.mpf(float(x[0])) / 2)
                expected = float((mpmath.erfc if upper else mpmath.erf)(root))
            assert expected == pytest.approx(u, rel=1e-12)
            assert law.probability(x, upper)[0] == pytest.approx(expected, rel=2e-15)


@pytest.mark.parametrize("shape", [2.1, 2.02, 2.005])
def test_the_variance_of_l_where_it_is_nearly_infinite(shape):
    """E l^2 gets its value where x^2 is beyond float64, and the bound says what is left out."""
    q = {"family": "lomax", "shape": shape, "scale": 1.8}
    law = case_pair({"q": q, "p": {"family": "gamma", "shape": 6.4, "rate": 0.2}}).law

    def mean(power):
        a, scale, k, rate = map(mpmath.mpf, (shape, 1.8, 6.4, 0.2))

        def term(t):  # at x = e^t
            x = mpmath.exp(t)
            log_q = mpmath.log(a / scale) - (a + 1) * mpmath.log1p(x / scale)
            log_p = k * mpmath.log(rate) - mpmath.loggamma(k) + (k - 1) * t - rate * x
            return mpmath.exp(log_q + t) * (log_q - log_p) ** power

        return mpmath.quad(term, [-60, -20, -5, 0, 2, 5, 10, 30, 100, 300, 1000, 4000, 20000])

    with mpmath.workdps(30):
        variance = float(mean(2) - mean(1) ** 2)
    known = shape_of(law).variance
    assert abs(known.value - variance) <= known.error
    assert known.relative < 1e-8 if shape == 2.1 else known.relative > 1e-8


def test_antithetic_half_t_against_a_sum():
    q, p = scipy.stats.t(5), scipy.stats.t(3, scale=1.3)
    pair = case_pair({
        "q": {"family": "half-student-t", "df": 5, "scale": 1.0},
        "p": {"family": "half-student-t", "df": 3, "scale": 1.3},
    })  # fmt: skip
    y = np.arange(-200.0, 200.0, 0.01)  # the log-odds of the probability below a point
    w = 0.01 * scipy.special.expit(y) * scipy.special.expit(-y)

    def ell(y):
        below = scipy.special.expit(y)
        central = np.where(below < 1e-9, 0.5 * below / q.pdf(0.0), q.isf(0.5 - 0.5 * below))
        x = np.where(below < 0.5, central, q.isf(0.5 * scipy.special.expit(-y)))
        return q.logpdf(x) - p.logpdf(x)

    both = np.stack((ell(y), ell(-y)))
    for name, values in (("k1", both), ("k3", np.expm1(-both) + both)):
        mean = values.mean(axis=0)
        variance = w @ (mean - w @ mean) ** 2
        estimator = [ESTIMATORS[name]]
        [(_, _, exact)] = exact_mean(pair, SAMPLERS["antithetic"], estimator, [2])
        assert exact.variance == pytest.approx(variance, rel=1e-9)


def test_flat_ratios_have_no_peaks():
    # p^3 / q^2 is constant far out, where rounding moves it.
    law = factor_law(Between(Laplace(0.0, 1.0), Laplace(0.5, 1.5)))
    assert edges_of(law.factor, mirrored=True) == [-math.inf, -0.5, 0.0, 0.5, math.inf]


def test_wide_normal_components_need_no_breakpoints():
    places, weights = np.linspace(-3.0, 3.0, 60).tolist(), (1.0 / 60,) * 60
    narrow = scipy.stats.norm(0.17, 1e-4)
    q, p = (
        Mixture((*weights, 0.1), (*(Gaussian(x, s) for x in places), Gaussian(0.17, 1e-4)))
        for s in (0.5, 0.6)
    )
    assert len(q.breakpoints) < 30
    law = factor_law(Between(q, p))
    cuts = [-12.0, -6.0, *np.linspace(-4.0, 0.16, 40), *(0.17 + 1e-4 * np.arange(-12.0, 13.0))]
    cuts = np.array([*cuts, *np.linspace(0.18, 4.0, 40), 6.0, 12.0])
    nodes, w = np.polynomial.legendre.leggauss(40)
    half = 0.5 * np.diff(cuts)[:, None]
    x, w = (cuts[:-1, None] + half * (1.0 + nodes)).ravel(), (half * w).ravel()

    def density(s):
        each = scipy.stats.norm.pdf(x[:, None], places, s).sum(axis=1) / 60
        return (each + 0.1 * narrow.pdf(x)) / 1.1

    f, g = density(0.5), density(0.6)
    kl = w @ (f * np.log(f / g))
    assert law.kl == pytest.approx(kl, rel=1e-10)


@pytest.mark.parametrize(
    ("q", "p", "expected", "known"),
    [
        # By mpmath. Much of the first comes from points whose images are not known.
        ((1.9, 0.28), (0.97, 0.3), 2.762273550232281, False),
        ((1.016, 0.1), (0.53, 0.1), 0.7042977048549045, True),
    ],
)
def test_images_that_are_too_far_out_count_as_an_error(q, p, expected, known):
    sides = {k: {"family": "beta", "a": a, "b": b} for k, (a, b) in (("q", q), ("p", p))}
    rows = exact_mean(case_pair(sides), SAMPLERS["antithetic"], [ESTIMATORS["k3"]], [2])
    ((_, _, found),) = rows
    if known:
        assert abs(found.variance - expected) <= found.relative_error * expected <= 1e-11
    else:
        assert math.isnan(found.variance)


@pytest.mark.parametrize(("weight", "scale"), [(1e-280, 0.1), (1e-280, 0.01), (1e-12, 0.1)])
def test_a_component_of_tiny_weight_that_takes_over_far_out(weight, scale):
    """The log density bends where it does, within a small part of the distance from the peak."""
    components = [{"mean": 0, "sd": scale}, {"mean": 0, "sd": 3}]
    p = {"family": "mixture", "weights": [1 - weight, weight], "components": components}
    law = case_pair({"q": {"mean": 0, "sd": 3}, "p": p}).law
    with mpmath.workdps(30):
        w, s = mpmath.mpf(weight), mpmath.mpf(scale)

        def term(x):
            logs = [mpmath.log(1 - w) - mpmath.log(s) - x * x / (2 * s * s)]
            logs.append(mpmath.log(w) - mpmath.log(3) - x * x / 18)
            log_p = max(logs) + mpmath.log1p(mpmath.exp(min(logs) - max(logs)))
            log_q = -x * x / 18 - mpmath.log(3)
            return mpmath.exp(-x * x / 18) * (log_q - log_p)

        bend = mpmath.sqrt(2 * mpmath.log(3 * (1 - w) / (w * s)) / (1 / s**2 - mpmath.mpf(1) / 9))
        edges = [0, *(bend + k * s * s / bend for k in (-30, -5, 0, 5, 30)), 9, 25, 60]
        expected = mpmath.quad(term, sorted(edges)) / 3 * mpmath.sqrt(2 / mpmath.pi)
        assert abs(law.kl - expected) <= law.kl_error <= 1e-13 * expected


def test_a_laplace_law_against_a_mixture_with_a_nearly_empty_component():
    components = [
        {"family": "laplace", "location": -4.818623528322896, "scale": 0.8096257089018198},
        {"family": "laplace", "location": -22.03877234481436, "scale": 3.0428081000941396},
    ]
    p = {"family": "mixture", "weights": [1.0, 4.679851300292879e-281], "components": components}
    q = {"family": "laplace", "location": 0, "scale": 56.08561620018828}
    law = case_pair({"q": q, "p": p}).law
    assert abs(law.kl - 64.283800284330783) <= law.kl_error <= 1e-10  # by mpmath


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("q", "p"),
    [
        ({"family": "beta", "a": 0.001, "b": 0.001}, {"family": "half-normal", "scale": 1000}),
        ({"family": "pareto", "shape": 0.01, "scale": 0.001}, {"family": "student-t", "df": 3}),
        ({"family": "lognormal", "mean": 0, "sd": 30}, {"family": "exponential", "rate": 1}),
        ({"family": "weibull", "shape": 0.01, "scale": 1}, {"family": "half-normal", "scale": 1e3}),
    ],
)
def test_vague_laws_neither_warn_nor_overflow(q: dict[str, Any], p: dict[str, Any]) -> None:
    mckl.advise(q, p)
    mckl.estimate(q, p, budget=5000)
