"""Numbers whose bounds are too large: KL is "about", a study refuses the pair, the rest is NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mckl
from mckl.draw.points import SAMPLERS
from mckl.errors import UserError
from mckl.estimation.budget import INFINITE, NO_KL, UNKNOWN, Forecasts, Tolerance, need_of_units
from mckl.estimation.shape import certain, check_certain, shape_of
from mckl.estimation.values import ESTIMATORS
from mckl.estimation.values.base import NOT_SETTLED, exact_theory, is_nothing
from mckl.exact.moments import Bounded, Moments
from mckl.families.registry import case_pair
from mckl.study.feasible import check_known
from mckl.study.settings import case_setting
from mckl.study.theory_table import setting_rows, theory_rows


def kernels(jitter):
    """q standard, and p with a kernel matrix whose condition grows as the jitter falls."""
    x = np.linspace(0.0, 1.0, 9)
    kernel = np.exp(-0.5 * (x[:, None] - x) ** 2 / 4.0) + jitter * np.eye(9)
    zeros = [0.0] * 9
    return {
        "q": {"mean": zeros, "covariance": np.eye(9)},
        "p": {"mean": zeros, "covariance": kernel},
    }


def test_a_kl_that_is_not_certain_is_about():
    case = kernels(4e-16)
    found = mckl.kl(case["q"], case["p"])
    assert found.relative_error > 1e-8
    assert repr(found).startswith("about ")
    assert " ± " in str(found)
    assert math.isfinite(float(found))
    assert "\nKL(q||p) = about " in repr(mckl.advise(case["q"], case["p"]))


WIDE = {"family": "lognormal", "mean": 0.0, "sd": 30.0}, {"family": "exponential", "rate": 1.0}


def test_a_kl_that_is_not_known_is_no_number():
    found = mckl.kl(*WIDE)
    assert math.isnan(found)
    assert str(found) == "not known"
    assert found.to_dict()["kl"] is None
    advice = mckl.advise(*WIDE)
    assert advice.recommendation is None
    assert {option.verdict for option in advice.options} <= {NO_KL, INFINITE}
    assert "KL(q||p) = not known" in repr(advice)
    assert "0.01 x KL = not known:" in repr(advice)
    given = mckl.estimate(*WIDE)
    assert given.estimator == "k1"  # k2 is biased by an unknown amount
    assert given.interval is None
    assert "nan" not in repr(given)


def test_an_unknown_bias_is_not_taken_for_none():
    pair = case_pair({"q": {"mean": 0, "sd": 1}, "p": {"mean": 0, "sd": 2}})
    unit = Forecasts(pair).unit(ESTIMATORS["k2"], SAMPLERS["iid"])
    need = need_of_units(unit._replace(bias=math.nan), SAMPLERS["iid"], Tolerance(1.0))
    assert need.verdict == UNKNOWN


@pytest.mark.parametrize("shapes", [(0.01, 1.0), (1.0, 50.0)])
def test_squares_beyond_float64_are_no_error(shapes):
    q, p = ({"family": "weibull", "shape": shape, "scale": 1.0} for shape in shapes)
    advice = mckl.advise(q, p)
    assert advice.kl > 1e60
    assert advice.recommendation is None


def test_a_certain_kl_is_a_number():
    found = mckl.kl({"mean": 0, "sd": 1}, {"mean": 1, "sd": 2})
    assert found.relative_error < 1e-13
    assert repr(found) == repr(float(found))


def test_a_study_refuses_a_setting_that_is_not_certain():
    setting = case_setting("kernels", kernels(4e-16))
    with pytest.raises(UserError, match=r"kernels: KL\(q\|\|p\) is only known as about .* 1e-08"):
        setting_rows([setting])
    check_certain(case_pair(kernels(1e-8)), "kernels")
    unknown = {
        "q": {"family": "lognormal", "mean": 0, "sd": 30}, "p": {"family": "exponential", "rate": 1}
    }  # fmt: skip
    cases = [setting, case_setting("fine", kernels(1e-6)), case_setting("unknown", unknown)]
    with pytest.raises(UserError) as refusal:
        check_known(cases)
    first, second = refusal.value.lines
    assert first.startswith("cases.kernels: KL(q||p) is only known as about ")
    assert second.startswith("cases.unknown: KL(q||p) is not known: a study needs")


def test_bounds_stand_beside_every_number_of_the_tables():
    setting = case_setting("kernels", kernels(1e-6))
    rows = setting_rows([setting])
    for name in ("kl", "reverse_kl", "log_ratio_variance"):
        assert 0.0 < rows[f"{name}_relative_error"][0] < 1e-8
    (theory,) = theory_rows([setting], ["iid"], ["k1", "k2"], [16])
    assert all(0.0 < bound <= 1e-6 for bound in theory["relative_error"])


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.25, 1e-16, "0.25"),
        (62.0248, 0.0038, "about 62.025 ± 0.004"),
        (1234567.0, 210.0, "about 1234567 ± 3e+02"),
        (9.33264e157, 5.2e155, "about 9.33e+157 ± 6e+155"),
        (math.inf, 0.0, "inf"),
        (1.0, math.inf, "not known"),
    ],
)
def test_the_digits_that_are_certain(value, error, text):
    assert certain(Bounded(value, error)) == text


def test_what_does_not_settle_is_withheld_with_its_reason():
    zero = Bounded(0.0, 0.0)
    loose = exact_theory(zero, Bounded(1.0, 0.0), moments(1.0, 1e-3, 0.0, 3.0), "never")
    assert loose.kind == "none"
    assert math.isnan(loose.variance)
    assert loose.bias == 0.0
    assert loose.reason == NOT_SETTLED.format(1e-3)
    skewed = exact_theory(zero, Bounded(1.0, 0.0), moments(1.0, 0.0, 1e-3, 3.0), "never")
    assert skewed.kind == "exact"
    assert skewed.variance == 1.0
    assert math.isnan(skewed.skewness)
    assert "skewness" in skewed.reason
    assert skewed.relative_error <= 1e-6
    one = Bounded(1.0, 0.0)
    biased = exact_theory(Bounded(0.5, 1e-3), one, moments(1.0, 0.0, 0.0, 3.0), "never")
    assert math.isnan(biased.bias)


def moments(variance, variance_error, third_error, fourth):
    """Central moments with bounds."""
    value = np.array([1.0, 0.0, variance, 0.0, fourth])
    return Moments(value, np.array([0.0, 0.0, variance_error, third_error, 0.0]))


def test_a_variance_that_may_be_0_is_0_only_beside_rounding():
    assert is_nothing(Bounded(1e-33, 2e-33), 1.0)
    assert not is_nothing(Bounded(1e-33, 2e-33), 1e-12)  # near q = p this is a variance
    assert not is_nothing(Bounded(1e-33, 1e-35), 1.0)
    two = {"family": "categorical", "probabilities": [0.5, 0.5]}
    other = {"family": "categorical", "probabilities": [0.9, 0.1]}
    law = case_pair({"q": two, "p": other}).law
    unit = ESTIMATORS["cv"].theory(law, False)  # l is linear in r
    assert unit.kind == "none"
    assert "two values" in unit.reason
    assert shape_of(law).variance.relative < 1e-13


@pytest.mark.parametrize(
    "side",
    [
        {"family": "gamma", "shape": 1e-320, "rate": 1},
        {"family": "gamma", "shape": 1e160, "rate": 1},
        {"family": "weibull", "shape": 1e-320, "scale": 1},
        {"family": "half-normal", "scale": 1e-300},
        {"family": "truncated-normal", "mean": 0, "sd": 1e-300, "low": -1, "high": 1},
        {"family": "f", "df1": 1e-310, "df2": 1e300},
        {"family": "beta", "a": 1e308, "b": 1e308},
    ],
)
def test_parameters_beyond_float64_are_refused_in_one_line(side: dict[str, object]) -> None:
    with pytest.raises(UserError, match="a parameter of q or p is too large or too small"):
        mckl.kl(side, {"family": "gamma", "shape": 1, "rate": 1})


def test_a_beta_law_with_a_sum_of_shapes_beyond_float64_is_refused_as_p() -> None:
    sides = ({"family": "beta", "a": x, "b": x} for x in (2, 1e308))
    with pytest.raises(UserError, match="a parameter of q or p is too large or too small"):
        mckl.kl(*sides)


def test_advice_where_the_square_of_kl_exceeds_float64() -> None:
    parts = [{}, {"mean": 3}]
    p = {"family": "mixture", "weights": [0.5, 0.5], "components": parts}
    found = mckl.advise({"family": "gamma", "shape": 1e-300}, p)
    assert found.recommendation is None
