"""A pair's closed forms against quadrature, 60-digit arithmetic and published numbers."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from definition import log_density_ratio
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import norm

from mckl.families.normal.pair import (
    grid_pair,
    pair,
    x_minus_log1p,
)

NOTEBOOK = pair([1, 4], [1, 1], [-3, 2], [2.5, 2.5])
ONE_DIMENSION = [(0.3, 0.8, -0.5, 1.1), (1.0, 1.0, -3.0, 2.5), (0.0, 2.0, 0.1, 1.9), (5, 0.1, 4, 3)]


@pytest.mark.parametrize("numbers", ONE_DIMENSION)
@pytest.mark.parametrize("reverse", [False, True])
def test_kl_is_the_integral_of_its_definition(numbers, reverse):
    p = pair(*numbers)
    p = p.reversed() if reverse else p
    q, ref = norm(p.q_mean[0], p.q_sd[0]), norm(p.p_mean[0], p.p_sd[0])
    mean, sd = q.mean(), q.std()
    value, error = integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - ref.logpdf(z)),
        mean - 12 * sd, mean + 12 * sd, epsabs=0, epsrel=1e-11, limit=200,
    )  # fmt: skip
    # 12 sd: the mass beyond is 4e-33
    assert p.law.kl == pytest.approx(value, rel=1e-10, abs=10 * error)


def test_kl_adds_up_over_coordinates():
    columns = np.array(ONE_DIMENSION, float).T
    each = sum(pair(*numbers).law.kl for numbers in ONE_DIMENSION)
    assert pair(*columns).law.kl == pytest.approx(each, rel=1e-15)


def test_the_notebooks_pair_has_its_published_values():
    assert NOTEBOOK.law.kl == pytest.approx(2.592581463748310, rel=1e-15)
    # 15.25 - log 6.25, published as 13.417418535 with an error of 1.3 in its last digit
    assert NOTEBOOK.reversed().law.kl == pytest.approx(13.417418535, abs=2e-9)
    assert NOTEBOOK.reversed().law.kl == pytest.approx(15.25 - np.log(6.25), rel=1e-15)


def test_the_notebooks_single_precision_value():
    f = np.float32
    q_sd, p_sd, delta = f([1, 1]), f([2.5, 2.5]), f([4, 2])
    single = np.sum(np.log(p_sd / q_sd), dtype=f) + f(0.5) * (
        np.sum((q_sd / p_sd) ** 2, dtype=f) + np.sum((delta / p_sd) ** 2, dtype=f) - f(2)
    )
    assert single.dtype == np.float32
    # four rounded sums: at most two units in the last place of 2.59
    assert abs(float(single) - NOTEBOOK.law.kl) <= 2 * np.spacing(f(2.5925815))
    assert f(NOTEBOOK.law.kl) == f(2.5925815)


def decimal_x_minus_log1p(x: float) -> Decimal:
    with localcontext() as context:
        context.prec = 400
        return Decimal(x) - (1 + Decimal(x)).ln()


@given(
    st.one_of(
        st.floats(-0.999999, -1e-140),
        st.floats(1e-140, 1e12),
        st.floats(-0.51, -0.49),
        st.floats(0.49, 0.51),
        st.floats(1e-18, 1e-6),
        st.just(2.0**-53 - 1.0),
    )
)
def test_x_minus_log1p_keeps_every_digit(x):
    exact = decimal_x_minus_log1p(x)
    error = abs(Decimal(float(x_minus_log1p(x))) - exact) / exact
    assert error < Decimal("4e-16")  # under two units in the last place


def test_x_minus_log1p_at_its_ends():
    assert x_minus_log1p(0.0) == 0.0
    assert x_minus_log1p(-1.0) == np.inf


def decimal_kl(q_mean, q_sd, p_mean, p_sd) -> Decimal:
    with localcontext() as context:
        context.prec = 80
        m, s, n, t = (Decimal(v) for v in (q_mean, q_sd, p_mean, p_sd))
        ratio = (s / t) ** 2
        return (ratio - 1 - ratio.ln() + ((m - n) / t) ** 2) / 2


@pytest.mark.parametrize(
    "scale", [1 - 1e-8, 1 + 1e-8, 1 + 1e-15, 1 - 1e-3, 0.7, 1.0, 40.0, 1e9, 1e30, 1e-12]
)
@pytest.mark.parametrize("offset", [0.0, 1e-9, -1e-3, 2.0])
def test_kl_keeps_its_relative_accuracy(scale, offset):
    exact = decimal_kl(offset, 1.0, 0.0, scale)
    got = grid_pair(1, scale, offset).law.kl
    if exact == 0:
        assert got == 0.0
    else:
        assert abs(Decimal(got) - exact) / exact < Decimal("2e-15")


def test_the_textbook_formula_would_fail_that_test():
    scale = 1 + 1e-8
    textbook = 0.5 * (scale**-2 - 1 + np.log(scale**2))
    assert abs(textbook / float(decimal_kl(0.0, 1.0, 0.0, scale)) - 1) > 1e-2


def test_log_density_ratio_is_the_difference_of_two_log_densities():
    rng = np.random.default_rng(1)
    for dimension in (1, 2, 7):
        p = pair(*(rng.normal(size=dimension), rng.uniform(0.3, 3, dimension)) * 2)
        z = p.q_mean + p.q_sd * rng.normal(size=(50, dimension))
        difference = norm.logpdf(z, p.q_mean, p.q_sd) - norm.logpdf(z, p.p_mean, p.p_sd)
        assert log_density_ratio(p, z) == pytest.approx(
            difference.sum(axis=1), rel=1e-12, abs=1e-12
        )


def test_coefficients_are_the_log_density_ratio():
    rng = np.random.default_rng(2)
    for p in (NOTEBOOK, pair(*(rng.normal(size=5), rng.uniform(0.3, 3, 5)) * 2)):
        c = p.coefficients
        epsilon = rng.normal(size=(50, p.dimension))
        constant = c.kl - c.a  # c = KL's share less a
        form = (constant + c.a * epsilon**2 + c.b * epsilon).sum(axis=1)
        direct = log_density_ratio(p, p.q_mean + p.q_sd * epsilon)
        assert form == pytest.approx(direct, rel=1e-12, abs=1e-12)
        delta = p.q_mean - p.p_mean
        textbook = np.log(p.p_sd / p.q_sd) + 0.5 * (delta / p.p_sd) ** 2
        assert constant == pytest.approx(textbook, rel=1e-13, abs=1e-14)


@given(
    st.lists(st.tuples(*[st.floats(-50, 50), st.floats(0.01, 50)] * 2), min_size=1, max_size=6),
    st.integers(-20, 20),
)
def test_coefficients_do_not_change_with_the_unit_of_length(rows, exponent):
    vectors = np.array(rows).T
    unit = 2.0**exponent  # a power of two: not even rounding changes
    for one, other in zip(
        pair(*vectors).coefficients, pair(*(unit * vectors)).coefficients, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert pair(*vectors).law.kl >= 0.0


def test_a_million_equal_coordinates_are_one_row():
    c = grid_pair(10**9, 1.2, 0.5).coefficients
    assert c.a.shape == (1,)
    assert c.weight.tolist() == [1e9]
    assert grid_pair(10**9, 1.2, 0.5).law.kl == pytest.approx(
        1e9 * grid_pair(1, 1.2, 0.5).law.kl, rel=1e-15
    )


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize(
    "bad", [[1.0, 2.0, 3.0], [[1.0, 2.0]], [1.0, np.nan], [1.0, np.inf], np.inf]
)
def test_a_bad_vector_is_named(at, bad):
    names = ("q_mean", "q_sd", "p_mean", "p_sd")
    vectors = [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
    vectors[at] = bad
    with pytest.raises(ValueError, match=r"has (shape|an entry)") as caught:
        pair(*vectors)
    if bad != [
        1.0,
        2.0,
        3.0,
    ]:  # the longest vector sets the length, so the first short one is named
        assert str(caught.value).startswith(names[at] + " ")


@pytest.mark.parametrize("sd", [[1.0, 0.0], [1.0, -2.0], 0.0])
@pytest.mark.parametrize("side", ["q_sd", "p_sd"])
def test_a_standard_deviation_that_is_not_positive_is_named(side, sd):
    vectors = {"q_mean": [0.0, 0.0], "q_sd": 1.0, "p_mean": 0.0, "p_sd": 1.0, side: sd}
    with pytest.raises(ValueError, match=f"{side} has an entry that is not positive"):
        pair(**vectors)


def test_a_scalar_stands_for_every_coordinate():
    assert pair([1, 4], 1, [-3, 2], 2.5).law.kl == NOTEBOOK.law.kl
    assert pair(0, 1, 0, 2).dimension == 1
