"""The gate: honest p-values, and no planted error gets through."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, gamma, kstest, norm

from mckl.estimation import theory as estimate_theory
from mckl.estimation.values import ESTIMATORS
from mckl.families import normal
from mckl.families.quadratic_law import QuadraticLaw
from mckl.study import theory as theory_module
from mckl.study.settings import case_setting, grid_setting
from mckl.study.verification import (
    LEVEL,
    chebyshev_p_value,
    failures,
    gamma_p_value,
    passed_line,
    verify,
)

NOTEBOOK = case_setting(
    "notebook",
    {"q": {"mean": [1.0, 4.0], "sd": [1.0, 1.0]}, "p": {"mean": [-3.0, 2.0], "sd": [2.5, 2.5]}},
)


@pytest.mark.parametrize("shape", [0.5, 4.0, 200.0, 1e5])
@pytest.mark.parametrize("sign", [1, -1])
def test_p_values_of_a_gamma_are_exact_far_out(shape, sign):
    z = np.array([-9.0, -5.0, -2.0, -0.3, 0.3, 2.0, 7.0, 15.0])
    x = shape + z * math.sqrt(shape)
    exact = 2 * np.minimum(gamma.cdf(x, shape), gamma.sf(x, shape))
    got = gamma_p_value(sign * z, np.full(8, sign * 2 / math.sqrt(shape)))
    np.testing.assert_allclose(got, exact, rtol=1e-9)
    assert exact[-1] < 1e-3


def test_p_values_at_no_skewness_are_normal():
    z = np.array([-8.0, -1.0, 0.0, 2.0, 30.0])
    np.testing.assert_allclose(gamma_p_value(z, np.zeros(5)), 2 * norm.sf(abs(z)), rtol=1e-12)


def test_p_values_of_a_sample_variance_are_chi_square():
    r = 100
    ratio = np.array([0.4, 0.8, 1.0, 1.5, 2.5])  # s^2 / sigma^2 of normal estimates
    relative = math.sqrt(2 / (r - 1))
    exact = 2 * np.minimum(chi2.cdf(ratio * (r - 1), r - 1), chi2.sf(ratio * (r - 1), r - 1))
    got = gamma_p_value((ratio - 1) / relative, np.full(5, 2 * relative))
    np.testing.assert_allclose(got, exact, rtol=1e-9)


@pytest.mark.parametrize("skewness", [0.0, 0.2, -0.5])
def test_p_values_of_honest_data_are_uniform(skewness):
    rng = np.random.default_rng(1)
    if skewness:
        shape = 4 / skewness**2
        z = np.sign(skewness) * (rng.gamma(shape, size=20_000) - shape) / math.sqrt(shape)
    else:
        z = rng.normal(size=20_000)
    assert kstest(gamma_p_value(z, np.full(z.size, skewness)), "uniform").pvalue > 1e-3


def test_chebyshevs_bound_holds_for_heavy_tails():
    rng = np.random.default_rng(2)
    # two atoms reach the bound; a lognormal stays under it
    for z in (rng.choice([-10.0, 0.0, 10.0], 100_000, p=[0.005, 0.99, 0.005]),
              (rng.lognormal(0, 1.2, 100_000) - math.exp(0.72)) / math.sqrt(
                  math.expm1(1.44) * math.exp(1.44))):  # fmt: skip
        p = chebyshev_p_value(z)
        for level in (0.5, 0.01, 1e-3):
            assert np.mean(p < level) <= level + 4 * math.sqrt(level / z.size)
    assert chebyshev_p_value(np.array([0.0, 0.5, 4.0])).tolist() == [1.0, 1.0, 1 / 16]


def one_cell(mean, variance, exact_variance=0.01, replicates=100, skewness=0.0, kurtosis=0.0):
    keys = {"setting": ["x"], "sampler": ["iid"], "estimator": ["k1"], "samples": [64]}
    summary = pd.DataFrame(
        keys | {"backend": ["numpy"], "kl": [1.0], "exact_bias": [0.0], "mean": [mean],
                "exact_variance": [exact_variance], "variance": [variance],
                "replicates": [replicates]}
    )  # fmt: skip
    theory = pd.DataFrame(
        keys | {"theory": ["exact"], "exact_skewness": [skewness],
                "exact_excess_kurtosis": [kurtosis]}
    )  # fmt: skip
    return verify(summary, theory)


def test_one_cell_by_hand():
    got = one_cell(mean=1.03, variance=0.012).set_index("quantity")
    assert got["z"].to_dict() == pytest.approx({"mean": 3.0, "variance": 0.2 / math.sqrt(2 / 99)})
    assert got.loc["mean", "p_value"] == pytest.approx(2 * norm.sf(3.0), rel=1e-9)
    assert got.loc["variance", "p_value"] == pytest.approx(2 * chi2.sf(99 * 1.2, 99), rel=1e-9)
    assert got["passed"].all()


def test_the_level_is_shared_among_the_cells():
    z = norm.isf(LEVEL / 2 / 2)  # two cells, two sides
    for excess, passed in ((0.999, True), (1.001, False)):
        got = one_cell(mean=1 + 0.01 * z * excess, variance=0.01)
        assert got.loc[got["quantity"] == "mean", "passed"].item() is passed


@pytest.mark.parametrize("measured", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("exact", [0.01, 0.0])
def test_a_measured_value_that_is_no_number_fails(measured, exact):
    got = one_cell(mean=measured, variance=math.nan, exact_variance=exact)
    assert not got["passed"].any()
    assert "x, numpy, iid, k1 at 64 samples" in failures(got)


def test_an_infinite_variance_is_listed_and_not_tested():
    got = one_cell(mean=5.0, variance=3.0, exact_variance=math.inf, kurtosis=math.nan)
    assert got["test"].tolist() == ["none", "none"]
    assert got["passed"].all()
    assert got["p_value"].isna().all()


def test_a_variance_of_zero_leaves_room_for_rounding_alone():
    assert one_cell(mean=1.0 + 1e-15, variance=1e-33, exact_variance=0.0)["passed"].all()
    assert not one_cell(mean=1.0 + 1e-9, variance=1e-18, exact_variance=0.0)["passed"].any()


def test_heavy_tails_are_judged_by_chebyshev():
    got = one_cell(mean=1.09, variance=0.02, skewness=5.0, kurtosis=300.0)
    assert set(got["test"]) == {"chebyshev"}
    assert got["p_value"].to_list() == pytest.approx([1 / 81, 0.01 + 0.01 + 3.0 + 2 / 99], rel=1)
    assert got["passed"].all()


SMALL = [
    grid_setting(1, 0.8, 0.25), grid_setting(2, 1.0, 0.0), grid_setting(16, 1.1, 0.1), NOTEBOOK,
]  # fmt: skip
SAMPLERS = ["iid", "antithetic", "sobol", "iid-radial", "antithetic-radial", "sobol-radial"]


@pytest.fixture(scope="module")
def honest(run_study):
    return [
        run_study(SMALL, SAMPLERS, list(ESTIMATORS), seed=seed, samples=1024, replicates=100)
        for seed in range(20)
    ]


@pytest.mark.slow
def test_honest_studies_pass(honest):
    for seed, study in enumerate(honest):
        assert failures(study.verification) is None, seed
        assert set(study.verification["test"]) == {"gamma", "chebyshev", "rounding", "none"}
        assert "agree at a family-wise level of 1e-06" in passed_line(study.verification)


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["mean", "variance"])
def test_p_values_of_honest_studies_are_uniform(honest, quantity):
    # At the last checkpoint settings, samplers and seeds are independent of each other.
    p = pd.concat([s.verification for s in honest])
    p = p[(p["samples"] == 1024) & (p["quantity"] == quantity) & (p["test"] == "gamma")]
    p = p[p["estimator"] == "k1"]["p_value"]
    assert len(p) > 200
    # The variance's gamma is matched, not exact, where |kurtosis| is up to 0.1: KS at 1e-4.
    assert kstest(p, "uniform").pvalue > 1e-4


def test_kl_of_the_wrong_direction_is_caught(run_study, monkeypatch):
    class Reversed(QuadraticLaw):
        def __init__(self, coefficients):
            super().__init__(coefficients)
            self.kl = NOTEBOOK.pair.reversed().law.kl

    monkeypatch.setattr(normal, "QuadraticLaw", Reversed)
    study = run_study([NOTEBOOK], ["iid"], ["k1"], seed=1, samples=256, replicates=100)
    message = failures(study.verification)
    assert message is not None
    assert "mean of notebook, numpy, iid, k1 at " in message
    assert "exact 13.4174" in message
    failed = study.verification[~study.verification["passed"]]
    assert set(failed["quantity"]) == {"mean"}
    assert 256 in set(failed["samples"])


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.05, 0.95])
def test_a_variance_off_by_five_percent_is_caught(run_study, monkeypatch, factor):
    k1 = ESTIMATORS["k1"]

    def wrong(law, paired):
        unit = k1.theory(law, paired)
        return unit._replace(variance=unit.variance * factor)

    monkeypatch.setitem(theory_module.ESTIMATORS, "k1", k1._replace(theory=wrong))
    setting = grid_setting(1, 1.0, 0.25) if factor > 1 else grid_setting(4, 1.25, 0.25)
    # relative sd of a variance over 40,000 replicates: 0.7 %, so 5 % are 7 of them
    study = run_study([setting], ["iid"], ["k1"], seed=2, samples=64, replicates=40_000, first=64)
    failed = study.verification[~study.verification["passed"]]
    assert set(failed["quantity"]) == {"variance"}
    message = failures(study.verification)
    assert f"variance of {setting.name}, numpy, iid, k1 at 64 samples" in message


def test_k2_called_unbiased_is_caught(run_study, monkeypatch):
    k2 = ESTIMATORS["k2"]
    monkeypatch.setitem(
        theory_module.ESTIMATORS, "k2",
        k2._replace(theory=lambda law, paired: k2.theory(law, paired)._replace(bias=0.0)),
    )  # fmt: skip
    setting = grid_setting(4, 1.0, 1.0)  # bias KL/2 + KL^2/2 - KL = 2
    study = run_study([setting], ["iid"], ["k1", "k2"], seed=3, samples=1024, replicates=100)
    message = failures(study.verification)
    assert message is not None
    assert "mean of d4-s1-o1, numpy, iid, k2 at 1024 samples" in message
    assert "k1" not in message


@pytest.mark.parametrize("per_octave", [2, 3])
@pytest.mark.parametrize(("dimension", "scale"), [(64, 1.0), (128, 1.1)])
def test_sobol_points_between_powers_of_two_called_balanced_are_caught(
    run_study, monkeypatch, per_octave, dimension, scale
):
    from mckl.exact.strata import stratified

    def wrong(estimator, unit, form, samples):
        below = 2 ** (samples.bit_length() - 1)
        law = stratified(form, below)
        # the law of the power of two below, carried to n by the rate n^-2
        variance = law[0] * (below / samples) ** 2
        return estimate_theory.Exact(unit.bias, variance, *law[1:], "exact", None)

    monkeypatch.setattr(estimate_theory, "_stratified", wrong)
    setting = grid_setting(dimension, scale, 0.25)
    study = run_study(
        [setting], ["sobol"], ["k1"], seed=4, samples=256, replicates=300,
        per_octave=per_octave, first=16,
    )  # fmt: skip
    failed = study.verification[~study.verification["passed"]]
    between = set(failed["samples"])
    assert between
    assert all(n & (n - 1) for n in between)  # the powers of two are innocent
    message = failures(study.verification)
    worst = failed.sort_values("p_value")["samples"].iloc[0]
    assert f"variance of {setting.name}, numpy, sobol, k1 at {worst} samples" in message


def test_without_a_plant_those_studies_pass(run_study):
    for settings, samplers, estimators, per_octave in (
        ([NOTEBOOK, grid_setting(4, 1.0, 1.0)], ["iid"], ["k1", "k2"], 1),
        ([grid_setting(64, 1.25, 0.25)], ["sobol"], ["k1"], 3),
    ):
        study = run_study(
            settings, samplers, estimators, seed=4, samples=1024, replicates=100,
            per_octave=per_octave,
        )  # fmt: skip
        assert failures(study.verification) is None
        untested = study.theory[study.theory["theory"] == "none"]["samples"]
        assert all(n & (n - 1) for n in untested)
