"""The gate's p-values and cells; planted errors are in test_planted.py."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import roots_genlaguerre
from scipy.stats import binom, chi2, gamma, kstest, norm, qmc

from mckl.draw.points import SAMPLERS
from mckl.estimation import theory as estimate_theory
from mckl.families.normal import pair as normal_pair
from mckl.families.normal.law import QuadraticLaw
from mckl.families.normal.pair import pair
from mckl.record import tables
from mckl.study import theory_table as theory_module
from mckl.study.budget_gate import Curve, crossing, measured_need
from mckl.study.identities import (
    kl_rows,
    reverse_kl_rows,
    shape_rows,
    unit_rows,
    variance_rows,
)
from mckl.study.settings import case_setting, grid_setting
from mckl.study.sobol_pairs import gains
from mckl.study.tails import (
    chebyshev_p_value,
    chernoff_p_value,
    correlation_bound,
    correlation_score,
    gamma_bounds,
    gamma_p_value,
    median_bound,
    median_p_value,
    nonnegative_bound,
    nonnegative_p_value,
    shortfall_p_value,
    square,
)
from mckl.study.verification import LEVEL, failures, verify
from mckl.study.verified import UNCHECKED

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


@pytest.mark.parametrize("skewness", [-0.3, 0.0, 0.25])
@pytest.mark.parametrize("excess", [0.0, 0.02])
def test_bounds_are_where_the_p_value_is_reached(skewness, excess):
    low, high = gamma_bounds(1e-10, np.array([skewness]), np.array([excess]))
    for z in (low, high):
        at = gamma_p_value(z, np.array([skewness]), np.array([excess]))
        assert np.log(at) == pytest.approx(np.log(1e-10), rel=1e-9 if excess == 0 else 0.25)


def test_an_excess_makes_the_tail_as_heavy_as_that_of_a_mixture():
    # x sd with sd^2 = 1 +- d has excess kurtosis 3 d^2 and tails that are elementary.
    d, z = 0.08, np.array([5.0, 6.0])
    exact = norm.sf(z / math.sqrt(1 - d)) + norm.sf(z / math.sqrt(1 + d))
    got = gamma_p_value(z, np.zeros(2), 3 * d * d)
    np.testing.assert_allclose(got, exact, rtol=0.5)
    assert (gamma_p_value(z, np.zeros(2)) < 0.75 * exact).all()


@pytest.mark.parametrize("replicates", [10, 100])
def test_the_bound_on_a_mean_of_squares_holds_and_is_of_use(replicates):
    ratio = np.array([0.05, 0.3, 0.8, 1.2, 3.0])  # chi-squares of one degree of freedom
    exact = 2 * np.minimum(
        chi2.cdf(ratio * replicates, replicates), chi2.sf(ratio * replicates, replicates)
    )
    sd = math.sqrt(2 / replicates)
    got = shortfall_p_value(ratio - 1, np.full(5, sd), np.full(5, 1 / replicates))
    assert (got >= exact).all()
    assert got[0] < (1e-8 if replicates == 100 else 0.5)


def test_chernoffs_bound_holds_for_binomials():
    count, p = 100, 0.95
    hits = np.arange(count + 1)
    exact = 2 * np.minimum(binom.cdf(hits, count, p), binom.sf(hits - 1, count, p))
    got = chernoff_p_value(hits / count, np.full(101, 100.0), np.full(101, p), np.full(101, p))
    assert (got >= np.minimum(exact, 1.0) * (1 - 1e-9)).all()
    assert got[70] < 1e-12
    within = chernoff_p_value(np.array([0.94]), np.array([1e9]), np.array([0.93]), np.array([0.95]))
    assert within == 1.0


def test_the_bound_for_nonnegative_numbers_holds_and_is_of_use():
    rng = np.random.default_rng(5)
    for x in (rng.lognormal(-2.0, 2.0, (20_000, 50)), rng.standard_normal((20_000, 50)) ** 2,
              50.0 * rng.binomial(1, 0.02, (20_000, 50))):  # fmt: skip
        count = np.full(len(x), 50.0)
        p = nonnegative_p_value(x.mean(axis=1) - 1.0, ((x - 1.0) ** 2).mean(axis=1), count)
        for level in (0.1, 0.01, 1e-3):
            assert np.mean(p < level) <= level + 4 * math.sqrt(level / len(x))
    twice = nonnegative_p_value(np.array([1.0]), np.array([1.05]), np.array([100.0]))
    assert 0.0 < twice.item() < 1e-11
    assert nonnegative_p_value(np.array([math.nan]), np.array([1.0]), np.array([9.0])) == 0.0


@pytest.mark.parametrize("spread", [1e-4, 0.02])
def test_the_bound_for_nonnegative_numbers_is_where_it_is_said_to_be(spread):
    one = np.array([100.0])
    excess = nonnegative_bound(1e-9, np.array([spread]), one)
    p = nonnegative_p_value(excess, spread + excess**2, one)
    assert 1e-11 < p.item() <= 1e-9
    assert nonnegative_bound(1e-9, np.array([spread]), np.array([20.0])) == math.inf


@pytest.mark.parametrize("count", [1, 20, 99, 100])
def test_the_bound_on_a_median_holds_for_every_law(count):
    rng = np.random.default_rng(6)
    for c in (1.5, 4.0):  # the law that reaches Markov's bound, a little above c
        x = 1.001 * c * rng.binomial(1, 1.0 / (1.001 * c), (20_000, count))
        p = median_p_value(np.median(x, axis=1), np.full(len(x), float(count)))
        for level in (0.1, 1e-3):
            assert np.mean(p < level) <= level + 4 * math.sqrt(level / len(x))
    ratio = median_bound(1e-10, np.array([float(count)]))
    assert median_p_value(ratio, np.array([float(count)])) == pytest.approx(1e-10, rel=1e-6)
    assert median_bound(1e-10, np.array([100.0])).item() < 6.0


def test_scores_of_correlations_have_room():
    rng = np.random.default_rng(7)
    x, noise = rng.standard_normal((2, 20_000, 30))
    y = 0.6 * x + 0.8 * noise
    x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
    found = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    score = correlation_score(found, np.full(20_000, 0.6), np.full(20_000, 30.0))
    assert score.std() == pytest.approx(0.8, abs=0.02)
    far = correlation_bound(np.array([0.6]), 5.0, np.array([30.0]))
    assert correlation_score(0.6 - far, np.array([0.6]), np.array([30.0])).item() == pytest.approx(
        -5.0
    )


@pytest.mark.parametrize(("dimension", "n"), [(2, 16), (3, 64), (6, 32)])
def test_gains_of_pairs_give_the_variance_of_products(dimension, n):
    """The sum over pairs of u_i u_j, u centred, over scrambled points, against simulation."""
    scales = np.diff(1.0 - 4.0 ** -np.arange(n.bit_length()))  # of u: strata remove 1 - 4^-k
    pairs = 0.5 * dimension * (dimension - 1)
    coarse = float(scales @ gains(dimension, n.bit_length() - 1) @ scales)
    exact = (coarse + pairs * (1.0 - scales.sum() ** 2)) / n
    found = []
    for seed in range(2000):
        u = math.sqrt(12.0) * (qmc.Sobol(dimension, rng=seed).random(n) - 0.5)
        found.append(0.5 * np.mean(u.sum(axis=1) ** 2 - (u**2).sum(axis=1)))
    assert np.mean(np.square(found)) == pytest.approx(exact, rel=0.15)


@pytest.mark.parametrize("shape", [1.0, 6.0])
def test_cumulants_of_a_square_are_those_of_gamma_variables(shape):
    x, w = roots_genlaguerre(30, shape - 1)
    y = (x - shape) ** 2 / shape
    second, third, fourth = (float(w @ (y - 1) ** m / w.sum()) for m in (2, 3, 4))
    got = square(np.array([2 / math.sqrt(shape)]), np.array([6 / shape]))
    np.testing.assert_allclose(np.ravel(got), [second, third, fourth - 3 * second**2], rtol=1e-9)


def test_cumulants_of_the_square_of_a_normal_are_chi_squares():
    assert np.ravel(square(np.zeros(1), np.zeros(1))).tolist() == [2.0, 8.0, 48.0]


def one_cell(mean, variance, exact_variance=0.01, replicates=100, skewness=0.0, kurtosis=0.0):
    keys = {"setting": ["x"], "sampler": ["sobol"], "estimator": ["k1"], "samples": [64]}
    unknown = dict.fromkeys(
        ("std_error_square", "std_error_square_error", "std_error_correlation", "ci_coverage",
         "block_mean_square"), math.nan,
    )  # fmt: skip
    mse = (mean - 1.0) ** 2 + variance * (1.0 - 1.0 / replicates)
    exact = {"exact_bias": [0.0], "exact_variance": [exact_variance], "exact_mse": [exact_variance]}
    summary = pd.DataFrame(
        keys | exact | unknown
        | {"backend": ["numpy"], "family": ["normal"], "kl": [1.0], "mean": [mean],
           "variance": [variance],
           "median_square": [0.4 * variance],
           "dimension": [1], "replicates": [replicates], "repeats": [0], "bias": [mean - 1.0],
           "mse": [mse], "rmse": [math.sqrt(mse)], "relative_rmse": [math.sqrt(mse)]}
    )  # fmt: skip
    theory = pd.DataFrame(
        keys | exact
        | {"theory": ["exact"], "exact_skewness": [skewness], "exact_excess_kurtosis": [kurtosis]}
    )  # fmt: skip
    settings = tables.SCHEMAS["settings"].empty_table().to_pandas().reindex([0])
    settings = settings.astype({"setting": str}).assign(setting="x", kl=1.0, dimension=1)
    rows = verify(summary, theory, settings)
    cell = rows["quantity"].isin(["mean", "variance"])
    assert rows.loc[~cell, "passed"].all() or not math.isfinite(mean)
    return rows[cell & (rows["setting"] == "x")]


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
    assert "x, numpy, sobol, k1 at 64 samples" in failures(got)


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


def test_kl_of_the_wrong_direction_is_caught(run_study, monkeypatch):
    backward = NOTEBOOK.pair.reversed().law.kl

    class Reversed(QuadraticLaw):
        def __init__(self, coefficients):
            super().__init__(coefficients)
            self.kl = backward

    monkeypatch.setattr(normal_pair, "QuadraticLaw", Reversed)
    new = case_setting("notebook", NOTEBOOK.parameters)  # the pair of NOTEBOOK keeps its law
    study = run_study([new], ["iid"], ["k1"], seed=1, samples=256, replicates=100)
    message = failures(study.verification)
    assert message is not None
    assert "mean of notebook, numpy, iid, k1 at " in message
    assert "exact 13.4174" in message
    failed = study.verification[~study.verification["passed"]]
    assert {"mean", "kl"} <= set(failed["quantity"])
    assert 256 in set(failed["samples"])


SPREAD = [
    grid_setting(dimension, scale, offset)
    for dimension in (1, 1000, 10**9)
    for scale in (1e-3, 0.8, 1.0, 1.0 + 1e-9, 2.5, 1e6)
    for offset in (0.0, 1e-9, 0.25, 1e5)
]


def test_closed_forms_agree_with_integrals_of_the_definition_over_many_magnitudes():
    settings = pd.DataFrame(theory_module.setting_rows([*SPREAD, NOTEBOOK]))
    assert kl_rows(settings)["passed"].all()
    assert variance_rows(settings)["passed"].all()
    assert reverse_kl_rows(settings)["passed"].all()
    for rows in shape_rows(settings):
        assert len(rows) > 60
        assert rows["passed"].all()
    off = settings[settings["setting"] == "notebook"].assign(
        kl_integral=lambda s: s["kl"] * (1 + 1e-10),
        log_ratio_variance_integral=lambda s: s["log_ratio_variance"] * (1 - 1e-10),
    )
    assert not kl_rows(off)["passed"].any()
    assert not variance_rows(off)["passed"].any()


def test_integrals_of_unequal_coordinates():
    rng = np.random.default_rng(3)
    vectors = [rng.normal(size=50) if k % 2 == 0 else rng.gamma(4.0, size=50) for k in range(4)]
    law, got = pair(*vectors).law, pair(*vectors).integrals()
    assert got.kl == pytest.approx(law.kl, rel=1e-13)
    assert got.log_ratio_variance == pytest.approx(law.variance, rel=1e-13)


@pytest.mark.parametrize("per_octave", [2, 3])
@pytest.mark.parametrize(("dimension", "scale"), [(64, 1.0), (128, 1.1)])
def test_sobol_points_between_powers_of_two_called_balanced_are_caught(
    run_study, monkeypatch, per_octave, dimension, scale
):
    def wrong(unit, of, points, samples):
        below = 2 ** (samples.bit_length() - 1)
        law = of.law(below)
        # the law of the power of two below, carried to n by the rate n^-2
        variance = law[0] * (below / samples) ** 2
        return estimate_theory.Exact(unit.bias, variance, *law[1:3], "exact", None)

    monkeypatch.setattr(estimate_theory, "_dependent", wrong)
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


UNLIKE = [
    case_setting("full", {"q": {"mean": [0, 1], "covariance": [[2, 0.3], [0.3, 1]]},
                          "p": {"mean": [0.5, 0], "covariance": [[2.5, -0.2], [-0.2, 1.2]]}}),
    case_setting("counts", {"q": {"family": "poisson", "rate": [1e-3, 2.0, 300.0]},
                            "p": {"family": "poisson", "rate": [2e-3, 2.5, 310.0]}}),
    case_setting("token", {"q": {"family": "categorical", "probabilities": [0.7, 0.2, 0.1]},
                           "p": {"family": "categorical", "probabilities": [0.1, 0.3, 0.6]}}),
    case_setting("chain", {"dimension": 20, "initial": [1, 0],
                           "q": {"family": "policy", "transitions": [[0.7, 0.3], [0.4, 0.6]]},
                           "p": {"family": "policy", "transitions": [[0.5, 0.5], [0.5, 0.5]]}}),
    case_setting("tails", {"q": {"family": "student-t", "df": 10, "location": [0, 1], "scale": 1},
                           "p": {"family": "student-t", "df": 12, "location": 0, "scale": 1.1}}),
    grid_setting(4, 1.25, 0.25),
    grid_setting(2, 1.05, 0.5, "laplace"),
    grid_setting(3, 1.2, 0.1, "gamma(2)"),
]  # fmt: skip


def test_the_theory_of_every_family_agrees_with_integrals_of_the_definitions():
    settings = pd.DataFrame(theory_module.setting_rows(UNLIKE))
    theory = pd.concat(
        pd.DataFrame(rows)
        for rows in theory_module.theory_rows(UNLIKE, ["iid"], ["k1", "k2", "k3"], [1, 64])
    )
    for rows in (kl_rows(settings), reverse_kl_rows(settings), variance_rows(settings)):
        assert set(rows["setting"]) == {s.name for s in UNLIKE}
        assert rows["passed"].all()
    rows = pd.concat([*shape_rows(settings), *unit_rows(theory, settings)])
    assert rows["passed"].all()
    k3 = rows[(rows["quantity"] == "exact_variance") & (rows["estimator"] == "k3")]
    assert set(k3["setting"]) == {s.name for s in UNLIKE}
    assert (k3["smallest_error"] < 1e-6).all()
    for column, wrong in (("exact_variance", 1.0 + 1e-6), ("exact_skewness", -1.0)):
        off = theory.assign(**{column: theory[column] * wrong})
        failed = pd.concat(unit_rows(off, settings)).query("not passed")
        assert set(failed["quantity"]) == {column}


def test_samples_needed_by_hand():
    n = np.array([1.0, 2.0, 4.0, 8.0])
    curve = Curve(n, np.full(4, 0.3), 2.0 / n, False)
    iid, pairs, sobol = (SAMPLERS[x].points for x in ("iid", "antithetic", "sobol"))
    need = measured_need(curve, 0.5, iid)  # bias^2 is 0.09, so a variance of 0.16 is allowed
    assert need.low <= 13 <= need.high
    assert not need.low <= 12 <= need.high
    assert measured_need(curve, 0.5, pairs).high >= 14
    assert measured_need(curve, 0.3, iid).verdicts == ("biased: never reaches it",)
    assert measured_need(curve, 0.0, iid).low == math.inf
    balanced = measured_need(Curve(n, np.zeros(4), 2.0 / n**2, False), 0.4, sobol)
    assert (balanced.low, balanced.high) == (4.0, 4.0)
    assert measured_need(Curve(n, n, n * math.nan, False), 0.4, iid) is None
    assert crossing(n, 2.0 / n**2, 0.5) == pytest.approx(math.sqrt(8.0))
    assert crossing(n, np.array([0.1, 2.0, 0.1, 0.2]), 0.5) == pytest.approx(
        2.0 ** (1.0 + math.log(8.0) / math.log(20.0))
    )
    assert crossing(n, n, 0.5) == math.inf


# The columns that a passed gate has compared, where the quantity has another name.
COMPARED = {
    "exact_bias": "mean", "exact_variance": "variance", "exact_skewness": "skewness",
    "exact_excess_kurtosis": "exact_excess_kurtosis", "ci_coverage": "coverage",
    "std_error_square": "std_error", "block_mean_square": "variance", "kl": "kl",
    "std_error_correlation": "skewness", "verdict": "samples_needed",
}  # fmt: skip
GIVEN = {"setting", "case", "family", "parameters", "backend", "sampler", "estimator", "samples",
         "dimension", "scale", "offset", "replicates", "tolerance"}  # fmt: skip


@pytest.mark.parametrize("table", ["settings", "theory", "summary", "budget"])
def test_every_column_is_given_or_compared_or_named_as_unchecked(run_study, table):
    study = run_study([grid_setting(2, 0.9, 0.5)], ["iid"], ["k1", "k2", "k3"], seed=2,
                      samples=2048, replicates=60)  # fmt: skip
    quantities = set(study.verification["quantity"]) | {"samples_needed", "samples_needed_measured"}
    for name in tables.SCHEMAS[table].names:
        # The other side of a comparison, and bounds on errors of theory.
        if name in GIVEN or name.endswith(("_integral", "relative_error")):
            continue
        # The spread of a statistic that the gate uses, not shown anywhere.
        if name == "std_error_square_error":
            continue
        named = any(name in words.replace(",", " ").split() for words in UNCHECKED)
        assert named or COMPARED.get(name, name) in quantities, name
