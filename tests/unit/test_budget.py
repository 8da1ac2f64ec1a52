"""The samples needed: against closed forms, against a search, and from measured curves."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mckl.draw.points import SAMPLERS
from mckl.estimation import budget
from mckl.estimation.budget import Forecasts, Tolerance, fewest
from mckl.estimation.theory import exact_mean
from mckl.estimation.values import ESTIMATORS
from mckl.exact.strata import balanced_variance
from mckl.families.normal.pair import Diagonal
from mckl.record import tables
from mckl.study.budget_table import budget_columns, measured
from mckl.study.settings import case_setting, grid_setting

NOTEBOOK = case_setting(
    "notebook", {"q": {"mean": [1, 4], "sd": [1, 1]}, "p": {"mean": [-3, 2], "sd": [2.5, 2.5]}}
)
EMPTY = pd.DataFrame(
    {
        name: []
        for name in (
            "setting", "sampler", "estimator", "samples", "replicates", "mse", "mse_std_error",
        )
    }
)  # fmt: skip


def need(setting, estimator, sampler, tolerance, confidence=None):
    forecasts = Forecasts(setting.pair)
    allowed = Tolerance(tolerance * forecasts.law.kl, confidence)
    return forecasts.need(ESTIMATORS[estimator], SAMPLERS[sampler], allowed)


def test_notebook_k1_needs_variance_over_squared_error():
    assert need(NOTEBOOK, "k1", "iid", 0.01).samples == math.ceil(
        1.2176 / (0.01 * 2.592581463748310) ** 2
    )
    assert need(NOTEBOOK, "k1", "iid", 0.01).samples == 1812
    # An antithetic pair has the variance sum 2 a^2 = 0.7056 and costs two.
    pairs = math.ceil(0.7056 / (0.01 * 2.592581463748310) ** 2)
    assert need(NOTEBOOK, "k1", "antithetic", 0.01).samples == 2 * pairs


def test_schulmans_estimators():
    # std/KL at mu = 1: 2 for k1 and 2 sqrt(e - 2) for k3, so at 1 % n = 4e4 and 4e4 (e - 2).
    one = grid_setting(1, 1.0, 1.0)
    assert need(one, "k1", "iid", 0.01).samples == 40_000
    assert need(one, "k3", "iid", 0.01).samples == math.ceil(4e4 * (math.e - 2))
    # k2's bias is a quarter of KL and its variance 3 KL^2.
    assert need(one, "k2", "iid", 0.5).samples == math.ceil(3 / (0.25 - 0.0625))


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("sampler", ["iid", "antithetic", "sobol", "sobol-radial", "iid-radial"])
@pytest.mark.parametrize("tolerance", [0.5, 0.2, 0.03])
def test_the_number_is_the_smallest(estimator, sampler, tolerance):
    setting = grid_setting(3, 0.9, 0.4)
    found = need(setting, estimator, sampler, tolerance)
    if found.samples is None:
        assert (estimator, sampler.split("-")[0]) != ("k1", "iid")
        assert found.verdict in (budget.BIASED, budget.UNKNOWN)
        return
    points = SAMPLERS[sampler].points.points
    assert found.samples % points == 0
    below = found.samples // 2 if sampler.startswith("sobol") else found.samples - points
    limit = tolerance * setting.pair.law.kl
    asked = [n for n in (below, found.samples) if n > 0]
    rmse = {
        n: math.sqrt(e.mse)
        for _, n, e in exact_mean(setting.pair, SAMPLERS[sampler], [ESTIMATORS[estimator]], asked)
    }
    assert rmse[found.samples] <= limit * (1 + 1e-9)
    assert rmse[found.samples] == pytest.approx(found.rmse, rel=1e-7)
    assert below == 0 or rmse[below] > limit * (1 - 1e-9)


@pytest.mark.parametrize(
    ("setting", "estimator", "sampler", "tolerance", "verdict"),
    [
        (NOTEBOOK, "k1", "iid", 0.1, budget.OK),
        (NOTEBOOK, "k3", "iid", 0.1, budget.INFINITE),
        (NOTEBOOK, "k3", "sobol", 0.1, budget.INFINITE),
        (NOTEBOOK, "k2", "iid", 0.1, budget.BIASED),
        (NOTEBOOK, "k2", "sobol", 0.1, budget.BIASED),
        (NOTEBOOK, "cv", "iid", 0.1, budget.UNKNOWN),
        (grid_setting(2, 1.0, 0.0), "k1", "iid", 0.1, budget.ZERO),
        (grid_setting(2, 1.0, 0.0), "k2", "sobol", 0.1, budget.ZERO),
        (grid_setting(2, 1.2, 0.1), "k3", "sobol", 0.1, budget.UNKNOWN),
        (grid_setting(2, 1.2, 0.1), "cv", "sobol", 0.1, budget.UNKNOWN),
        (grid_setting(1, 0.8, 0.25), "cv", "iid", 0.05, budget.LEADING),
        (grid_setting(1, 0.8, 0.25), "cv", "iid", 0.9, budget.UNKNOWN),
        (grid_setting(64, 1.25, 1.0), "k3", "iid", 0.1, budget.FAR),
        (grid_setting(10**6, 1.25, 1.0), "k3", "iid", 0.1, budget.FAR),
        (grid_setting(1, 1.0, 1e-9), "k1", "iid", 1e-3, budget.FAR),
        (grid_setting(30_000, 1.2, 0.1), "k1", "sobol", 0.1, budget.TOO_WIDE),
        (grid_setting(1, 0.9, 0.0), "k1", "sobol", 1e-12, budget.ENDS),
    ],
)
def test_verdicts(setting, estimator, sampler, tolerance, verdict):
    found = need(setting, estimator, sampler, tolerance)
    assert found.verdict == verdict
    assert (found.samples is not None) == (verdict in budget.REACHED)
    assert math.isfinite(found.rmse) == (found.samples is not None)


def test_antithetic_pairs_without_squares_are_exact():
    assert need(grid_setting(5, 1.0, 0.3), "k1", "antithetic", 1e-6).samples == 2


def test_radial_sobol_takes_any_dimension():
    assert need(grid_setting(10**7, 1.2, 0.01), "k1", "sobol-radial", 1e-6).verdict == budget.OK


@pytest.mark.parametrize("bias", [0.0, 0.3, -0.3])
def test_confidence_is_kept_by_a_normal_error(bias):
    variance = Tolerance(1.0, 0.95).variance(bias)
    error = np.random.default_rng(3).normal(bias, math.sqrt(variance), 400_000)
    assert (np.abs(error) <= 1.0).mean() == pytest.approx(0.95, abs=3 * math.sqrt(0.0475 / 4e5))
    if not bias:
        assert variance == pytest.approx(1.959963984540054**-2, rel=1e-12)


def test_confidence_costs_the_squared_quantile():
    plain, sure = (need(NOTEBOOK, "k1", "iid", 0.01, c).samples for c in (None, 0.95))
    assert sure / plain == pytest.approx(1.959963984540054**2, rel=1e-3)


@pytest.mark.parametrize("reduce", [Diagonal.form, Diagonal.radial])
def test_balanced_variance_is_the_exact_theory(reduce):
    setting = grid_setting(5, 1.3, 0.4)
    sampler = SAMPLERS["sobol" if reduce is Diagonal.form else "sobol-radial"]
    for _, n, e in exact_mean(setting.pair, sampler, [ESTIMATORS["k1"]], [1, 16, 2048]):
        assert balanced_variance(reduce(setting.pair), n) == pytest.approx(e.variance, rel=1e-12)


def test_balanced_variance_falls_at_every_doubling_to_the_end():
    form = grid_setting(100, 1.1, 0.2).pair.radial()
    variance = [balanced_variance(form, 2**m) for m in range(31)]
    ratio = np.divide(variance[:-1], variance[1:])
    assert (np.diff(ratio) < 0).all()
    assert ((ratio[-5:] > 4.0) & (ratio[-5:] < 4.12)).all()  # n^-2 over a power of log n


def curve(samples, sampler="iid", scale=1.0):
    n = np.array(samples, dtype=float)
    mse = scale / n
    return measured(n, mse, 0.1 * mse, 0.1, SAMPLERS[sampler])


def test_measured_is_interpolated_on_the_log_log_curve():
    # mse = 1 / n is below 0.01 from n = 100, between the checkpoints 64 and 128.
    middle, low, high = curve([16, 32, 64, 128, 256])
    assert middle == 100
    assert low == math.ceil(100 * math.exp(-0.196))
    assert high == math.ceil(100 * math.exp(0.196))
    assert curve([16, 64, 256], "antithetic")[0] == 100
    assert curve([16, 64, 256], "antithetic", 0.99)[0] == 100
    assert curve([16, 32, 64, 128, 256], "sobol")[0] == 128


def test_measured_is_empty_where_it_was_not_reached():
    assert curve([1, 2, 4]) == (None, None, None)
    assert curve([1, 2, 64]) == (None, None, None)
    middle, low, high = curve([1, 64, 110])  # the upper curve is still above at 110
    assert (middle, high) == (100, None)
    assert low is not None
    assert measured(np.empty(0), np.empty(0), np.empty(0), 0.1, SAMPLERS["iid"])[0] is None


def test_measured_counts_from_where_it_stays_below():
    n = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    mse = np.array([0.005, 0.04, 0.005, 0.02, 0.005])
    assert 8 < measured(n, mse, np.full(5, np.nan), 0.1, SAMPLERS["iid"])[0] <= 16
    assert measured(n, mse, np.full(5, np.nan), 0.1, SAMPLERS["iid"])[1:] == (None, None)


def test_measured_without_error_is_the_first_checkpoint():
    zero = np.zeros(3)
    n = np.array([2.0, 4.0, 8.0])
    assert measured(n, zero, zero, 0.1, SAMPLERS["antithetic"]) == (2, 2, 2)
    assert measured(n, zero, zero, 0.0, SAMPLERS["antithetic"]) == (None, None, None)


def test_rows_fit_the_contract_and_pool_backends():
    settings = [NOTEBOOK, grid_setting(2, 1.0, 0.0), grid_setting(1, 0.9, 0.5)]
    n = 2.0 ** np.arange(1, 15)
    summary = pd.concat(
        pd.DataFrame(
            {
                "setting": "notebook", "backend": backend, "sampler": "iid", "estimator": "k1",
                "samples": n.astype(int), "replicates": 100, "mse": factor * 1.2176 / n,
                "mse_std_error": 0.14 * 1.2176 / n,
            }
        )
        for backend, factor in (("numpy", 0.8), ("tensorflow", 1.2))
    )  # fmt: skip
    samplers, estimators, tolerances = ["iid", "sobol"], ["k1", "k2", "k3", "cv"], [0.1, 0.01]
    parts = [
        tables.table("budget", columns)
        for columns in budget_columns(settings, samplers, estimators, tolerances, summary)
    ]
    assert [part.num_rows for part in parts] == [16, 16, 16]
    rows = parts[0].to_pandas()
    first = rows[(rows["sampler"] == "iid") & (rows["estimator"] == "k1")].iloc[1]
    assert first["samples_needed"] == first["samples_needed_measured"] == 1812
    assert first["samples_needed_low"] < 1812 * 0.85
    assert first["samples_needed_high"] > 1812 * 1.15
    assert set(parts[1].to_pandas()["verdict"]) == {budget.ZERO}
    assert rows["samples_needed_measured"].notna().sum() == 2


def test_budget_of_a_study_agrees_with_its_theory():
    setting = grid_setting(2, 1.25, 0.5)
    columns = next(budget_columns([setting], ["iid"], ["k1"], [0.1, 0.01], EMPTY))
    kl = setting.pair.law.kl
    for tolerance, n in zip((0.1, 0.01), columns["samples_needed"], strict=True):
        assert n == math.ceil(setting.pair.law.variance / (tolerance * kl) ** 2)


@pytest.mark.parametrize("guess", [None, 1, 7, 8, 20])
def test_the_fewest_that_reach_a_limit(guess):
    """The search from any number looks at no number outside of the range."""
    for smallest in range(1, 22):
        seen = []

        def reached(n, smallest=smallest, seen=seen):
            seen.append(n)
            return n >= smallest

        assert fewest(reached, 1, 20, guess) == (smallest if smallest <= 20 else None)
        assert {*seen} <= {*range(1, 21)}


def test_the_theory_of_a_unit_is_computed_once_for_a_pair():
    """Forecasts, tables of theory and all samplers with the same units share it."""
    units = []

    def theory(law, paired):
        units.append(paired)
        return ESTIMATORS["k1"].theory(law, paired)

    estimator = ESTIMATORS["k1"]._replace(theory=theory)
    pair = case_setting("own", {"q": {"mean": 1, "sd": 1}, "p": {"mean": 0, "sd": 2}}).pair
    for sampler in ("iid", "iid-radial", "sobol", "antithetic"):
        unit = Forecasts(pair).unit(estimator, SAMPLERS[sampler])
        (first, _) = exact_mean(pair, SAMPLERS[sampler], [estimator], [2, 4])
        assert unit.bias == first[2].bias == 0.0
    assert units == [False, True]
