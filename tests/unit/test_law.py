"""Exact expectations under the law of l, against quadrature, simulation and 80-digit arithmetic."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from mckl.estimation.values import ESTIMATORS
from mckl.exact import law as law_module
from mckl.exact.law import add, constant, multiply
from mckl.families.normal import grid_pair, pair

PAIRS = [(1.25, 0.25), (0.8, 1.0), (2.5, 1.5), (1.0, 0.7), (0.6, 0.0), (1.0001, 0.01)]
THREE = pair([0.2, -0.4, 0.1], [1.0, 0.7, 1.3], [0.0, 0.3, 0.1], [1.2, 0.8, 1.1])


def parts(scale, offset):
    """KL, Q(x) and L(x) of one coordinate by the textbook."""
    a, b = 0.5 * (scale**-2 - 1), offset / scale**2
    kl = math.log(scale) + 0.5 * (offset / scale) ** 2 + a
    return kl, lambda x: a * (x * x - 1), lambda x: b * x


@pytest.mark.parametrize(("scale", "offset"), PAIRS)
def test_cumulants_in_one_dimension(scale, offset, normal_mean):
    kl, q, ell = parts(scale, offset)
    centred = [normal_mean(lambda x, m=m: (q(x) + ell(x)) ** m) for m in range(7)]
    expected = [
        kl, centred[2], centred[3], centred[4] - 3 * centred[2] ** 2,
        centred[5] - 10 * centred[3] * centred[2],
        centred[6] - 15 * centred[4] * centred[2] - 10 * centred[3] ** 2 + 30 * centred[2] ** 3,
    ]  # fmt: skip
    sizes = [1e-3 + abs(c) for c in centred[1:]]
    got = grid_pair(1, scale, offset).law.cumulants(6)
    for one, other, size in zip(got, expected, sizes, strict=True):
        assert one == pytest.approx(other, rel=1e-10, abs=1e-11 * size)


def test_the_notebooks_cumulants():
    law = pair([1, 4], 1, [-3, 2], 2.5).law
    _, variance, third, fourth = law.cumulants(4)
    assert variance == law.variance == pytest.approx(1.2176, rel=1e-14)
    assert third / variance**1.5 == pytest.approx(-1.8426037, abs=5e-8)
    assert fourth / variance**2 == pytest.approx(4.9390818, abs=5e-8)
    assert not law.is_finite((-2, -2))


@pytest.fixture(scope="module")
def simulated():
    """Q and L of THREE at 10^6 points, by the definition, as 100 batches."""
    x = np.random.default_rng(3).normal(size=(100, 10_000, 3))
    rho, delta = THREE.q_sd / THREE.p_sd, THREE.q_mean - THREE.p_mean
    q = (0.5 * (rho**2 - 1) * (x * x - 1)).sum(axis=-1)
    ell = (THREE.q_sd * delta / THREE.p_sd**2 * x).sum(axis=-1)
    return q, ell


def t_score(batches, exact):
    return (batches.mean() - exact) / (batches.std(ddof=1) / math.sqrt(batches.size))


def test_cumulants_in_three_dimensions(simulated):
    q, ell = simulated
    law = THREE.law
    kappa = law.cumulants(4)
    y = q + ell
    exact = [0.0, kappa[1], kappa[2], kappa[3] + 3 * kappa[1] ** 2]
    # |t| < 4.5 has probability 1 - 2e-5 on 99 degrees of freedom
    for m, value in enumerate(exact, start=1):
        assert abs(t_score((y**m).mean(axis=1), value)) < 4.5


@pytest.mark.parametrize(("scale", "offset"), PAIRS)
@pytest.mark.parametrize("tilt", list(itertools.product((-2, -1, 0, 1), (-2, -1, 0, 1, 2))))
def test_joint_generating_function(scale, offset, tilt, normal_mean):
    T, S = tilt
    law = grid_pair(1, scale, offset).law
    kl, q, ell = parts(scale, offset)
    if 1 - T * (scale**-2 - 1) <= 0:
        assert law.log_mgf(tilt) == math.inf
        return
    value = normal_mean(lambda x: np.exp(T * (kl + q(x)) + S * ell(x)))
    assert law.log_mgf(tilt) == pytest.approx(math.log(value), rel=1e-10, abs=1e-13)


TILTS = [(0, 0), (-1, -1), (-1, 1), (-2, 0), (-2, -2)]
EXPRESSIONS = st.dictionaries(
    st.sampled_from(TILTS),
    st.lists(st.lists(st.floats(-3, 3), min_size=4, max_size=4), min_size=1, max_size=4),
    min_size=1,
)


@given(EXPRESSIONS, st.sampled_from([(1.25, 0.25), (0.8, 1.0), (1.0, 0.7), (0.9, -0.3)]))
def test_expectation_of_any_expression_in_one_dimension(normal_mean, rows, chosen):
    kl, q, ell = parts(*chosen)
    expression = {tilt: np.array(c) for tilt, c in rows.items()}

    def at(x, size=False):
        total = np.zeros_like(x)
        for (T, S), c in expression.items():
            c, one, two = (np.abs(c), abs(q(x)), abs(ell(x))) if size else (c, q(x), ell(x))
            total += np.exp(T * (kl + q(x)) + S * ell(x)) * np.polynomial.polynomial.polyval2d(
                one, two, c
            )
        return total

    got = grid_pair(1, *chosen).law.expectation(expression)
    scale = normal_mean(lambda x: at(x, size=True))
    assert got == pytest.approx(normal_mean(at), rel=0, abs=1e-11 * scale + 1e-300)


def test_expectation_in_three_dimensions(simulated):
    q, ell = simulated
    law = THREE.law
    plus, minus = law.kl + q + ell, law.kl + q - ell
    cases = {
        "l^2": (multiply(law.ell(), law.ell()), plus**2),
        "l l-": (multiply(law.ell(), law.ell(-1)), plus * minus),
        "r - 1": (law.ratio_minus_one(), np.expm1(-plus)),
        "(r - 1) l-": (multiply(law.ratio_minus_one(), law.ell(-1)), np.expm1(-plus) * minus),
        "(r - 1)(r- - 1)": (
            multiply(law.ratio_minus_one(), law.ratio_minus_one(-1)),
            np.expm1(-plus) * np.expm1(-minus),
        ),
        "l^3 r": (
            multiply(
                multiply(law.ell(), multiply(law.ell(), law.ell())),
                add(law.ratio_minus_one(), constant(1.0)),
            ),
            plus**3 * np.exp(-plus),
        ),
    }
    for name, (expression, values) in cases.items():
        assert abs(t_score(values.mean(axis=1), law.expectation(expression))) < 4.5, name


@pytest.mark.parametrize("dimension", [1, 3, 64])
@pytest.mark.parametrize("scale", [0.3, 0.7, 0.9, 1.0, 1.2, 2.5])
def test_r_has_mean_one(dimension, scale):
    law = grid_pair(dimension, scale, 0.3).law
    ratio = law.ratio_minus_one()
    assert law.expectation(ratio) == pytest.approx(0.0, abs=1e-13)


def test_outside_the_domain_expectations_are_infinite():
    # rho^2 > 1/2 is scale < sqrt(2); at scale 2.5 rho^2 is 0.16
    for scale, finite in [(1.41, True), (math.sqrt(2), False), (2.5, False)]:
        law = grid_pair(2, scale, 0.3).law
        assert law.is_finite((-2, -2)) is finite
        square = multiply(law.ratio_minus_one(), law.ratio_minus_one())
        assert math.isfinite(law.expectation(square)) is finite
        for paired in (False, True):
            theory = ESTIMATORS["k3"].theory(law, paired)
            assert math.isfinite(theory.variance) is finite
            assert (theory.reason is None) is finite


@pytest.mark.parametrize("name", ["k3", "cv"])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(
    ("dimension", "of_scale", "of_offset"),
    [(1, 0.0, 1.0), (1, 1.0, 0.0), (1, -0.6, 0.1), (4, 0.3, 0.2), (16, -0.1, 0.15)],
)
def test_the_two_ways_to_write_r_agree_where_they_meet(
    name, paired, dimension, of_scale, of_offset, monkeypatch
):
    def pair_at(size):
        return grid_pair(dimension, 1.0 + of_scale * size, of_offset * size)

    def above(size):
        law = pair_at(size).law
        return law.variance + law.kl**2 - 0.99 * law_module._TAYLOR_BELOW

    # just below the switch, where each way is at its worst
    p = pair_at(brentq(above, 1e-6, 0.5))
    monkeypatch.setattr(law_module, "_TAYLOR_BELOW", 1.0)
    series = ESTIMATORS[name].theory(p.law, paired)
    monkeypatch.setattr(law_module, "_TAYLOR_BELOW", 0.0)
    exponential = ESTIMATORS[name].theory(p.law, paired)
    # 1e-10 is what the truncation may cost; rounding costs the exponentials of cv more
    assert series.variance == pytest.approx(
        exponential.variance, rel=1e-10 if name == "k3" else 1e-9
    )


def decimal_k3_variance(dimension, scale, offset):
    """chi^2 + V - 2 J in 120 digits."""
    with localcontext() as context:
        context.prec = 120
        s, o, d = Decimal(scale), Decimal(offset), Decimal(dimension)
        t, b = s**-2 - 1, o / s**2
        log_e2 = d * (2 * s.ln().copy_negate() - (o / s) ** 2)  # -2 c
        log_chi = log_e2 - d * (1 + 2 * t).ln() / 2 + d * 4 * b * b / (2 * (1 + 2 * t))
        variance = d * (t * t / 2 + b * b)
        forward = d * (t - (1 + t).ln() + (o / s) ** 2) / 2
        u = s**2 - 1
        backward = d * (u - (1 + u).ln() + o**2) / 2
        return log_chi.exp() - 1 + variance - 2 * (forward + backward)


@pytest.mark.parametrize("dimension", [1, 16])
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1.0, 1e-8), (1 + 1e-8, 0.0), (1.0001, 1e-4), (1.002, 0.0), (1.0, 0.02), (1.1, 0.3), (0.7, 1)],
)
def test_variance_of_k3_keeps_its_digits(dimension, scale, offset):
    law = grid_pair(dimension, scale, offset).law
    exact = decimal_k3_variance(dimension, scale, offset)
    got = ESTIMATORS["k3"].theory(law, False).variance
    # The plain sum would keep none of them: its terms are up to 1e16 times the result.
    assert abs(Decimal(float(got)) / exact - 1) < Decimal("1e-9")


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("dimension", [1, 64])
def test_equal_gaussians_have_no_error_at_all(name, paired, dimension):
    theory = ESTIMATORS[name].theory(grid_pair(dimension, 1.0, 0.0).law, paired)
    assert theory[:5] == (0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("paired", [False, True])
def test_beyond_a_thousand_nats(name, paired):
    law = grid_pair(1000, 1.0, 2.0).law
    assert law.kl == 2000.0
    theory = ESTIMATORS[name].theory(law, paired)
    # Var l is 4000; chi^2 is e^4000, above the largest float64, but e^4 - 1 of a coordinate.
    if name.endswith("-factor"):
        assert math.isfinite(theory.variance)
        if name == "k3-factor" and not paired:
            exact = 1000 * (math.expm1(4.0) + 4.0 - 2.0 * 4.0)
            assert theory.variance == pytest.approx(exact, rel=1e-12)
    elif name == "rb":  # the closed form
        assert theory[:4] == (0.0, 0.0, 0.0, 0.0)
    elif name == "cv" and not paired:
        assert theory.kind == "none"
        assert math.isnan(theory.variance)
    elif name == "cv":  # every pair is KL, and so is the intercept of a constant
        assert theory[:4] == (0.0, 0.0, 0.0, 0.0)
    else:
        finite = {"k1": 0.0 if paired else 4000.0, "k3": math.inf}
        # k2: l^2/2 of a normal l; the pair's mean is (KL^2 + L^2)/2 with Var L^2 = 2 V^2
        finite["k2"] = 0.5 * 4000.0**2 + (0 if paired else 4000.0 * 2000.0**2)
        assert theory.variance == pytest.approx(finite[name], rel=1e-12)
    if name == "k3" or (name == "cv" and not paired):
        assert "largest float64" in theory.reason


@settings(max_examples=200)
@given(
    st.integers(1, 10**9),
    st.floats(-30, 30),
    st.one_of(st.just(0.0), st.floats(-30, 30)),
    st.sampled_from(list(ESTIMATORS)),
    st.booleans(),
)
def test_no_setting_has_a_variance_that_is_nan(dimension, log_scale, log_offset, name, paired):
    p = grid_pair(dimension, 10.0**log_scale, 10.0**log_offset if log_offset else 0.0)
    law = p.law
    assert math.isfinite(law.kl)
    theory = ESTIMATORS[name].theory(law, paired)
    if theory.kind == "none":
        assert name in ("cv", "cv-factor")
        assert theory.reason
        assert math.isnan(theory.variance)
    else:
        assert theory.variance >= 0.0  # NaN is not
    if math.isinf(theory.variance):
        assert theory.reason
