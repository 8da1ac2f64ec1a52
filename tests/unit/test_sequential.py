"""The interval of an estimate that stops has its coverage, or there is no interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.draw.streams import seed_sequence
from mckl.errors import NotFiniteError
from mckl.estimation import intervals
from mckl.estimation.budget import Forecasts
from mckl.estimation.intervals import Request, pilot_units, scrambles
from mckl.estimation.kl_estimate import SPENT, TIGHT, WITHHELD
from mckl.estimation.sequential import EXACT_SPREAD, estimate, plan_stages
from mckl.estimation.stages import stage
from mckl.estimation.traces import trace
from mckl.estimation.values import ESTIMATORS
from mckl.estimation.withheld import ratio_reason, seen_reason
from mckl.families.normal.pair import pair
from mckl.study.settings import case_setting, grid_setting

NOTEBOOK = case_setting(
    "notebook", {"q": {"mean": [1, 4], "sd": [1, 1]}, "p": {"mean": [-3, 2], "sd": [2.5, 2.5]}}
)


def student_t(df):
    """Student's t against N(0, 1.5^2), where the fourth moment of l is finite from df > 8 on."""
    p = {"family": "normal", "mean": 0, "sd": 1.5}
    return case_setting("heavy", {"q": {"family": "student-t", "df": df}, "p": p})


def run(setting, seed, tolerance, estimator="k1", sampler="iid-radial", relative=True, most=10**8):
    request = Request(tolerance, relative, 0.95, most)
    return estimate(
        Forecasts(setting.pair), SAMPLERS[sampler], ESTIMATORS[estimator], request, seed=seed
    )


def planned(setting, tolerance, estimator="k1", sampler="iid-radial", most=10**8):
    request = Request(tolerance, True, 0.95, most)
    return plan_stages(Forecasts(setting.pair), SAMPLERS[sampler], ESTIMATORS[estimator], request)


def naive(setting, seed, tolerance):
    """The fixed-n t interval, looked at after every sample from the 16th until it is tight."""
    sampler, key = SAMPLERS["iid-radial"], seed_sequence(seed, "naive", setting.name)
    replicates = backends.load("numpy")([sampler.form(setting.pair)], sampler.points)
    x = replicates([key])(4096).ravel()
    n = np.arange(1, x.size + 1)
    mean = np.cumsum(x) / n
    sd = np.sqrt(np.maximum(np.cumsum(x * x) - n * mean**2, 0.0) / np.maximum(n - 1, 1))
    half = stdtrit(np.maximum(n - 1, 1), 0.975) * sd / np.sqrt(n)
    stop = int(np.argmax((half <= tolerance * np.abs(mean)) & (n >= 16)))
    assert stop
    return abs(mean[stop] - setting.pair.law.kl) <= half[stop]


# docs/explanation/coverage.md has the whole grid; here its worst cells, and each kind of estimate.
@pytest.mark.parametrize(
    ("setting", "tolerance", "estimator", "sampler"),
    [
        (NOTEBOOK, 0.1, "k1", "iid-radial"),
        (grid_setting(1, 0.3, 0.0), 0.1, "k1", "iid-radial"),
        (grid_setting(10**6, 1.2, 0.3), 0.01, "k1", "iid-radial"),
        (grid_setting(4, 0.8, 0.25), 0.2, "k1", "antithetic"),
        (grid_setting(2, 0.8, 1.0), 0.05, "k3", "iid-radial"),
        (grid_setting(1, 1.0, 1.0), 0.05, "cv", "iid-radial"),
        (grid_setting(1, 0.8, 0.25), 0.1, "cv", "iid-radial"),
        (grid_setting(16, 1.1, 0.0), 0.1, "cv", "iid-radial"),
        # l has no finite third moment; with the standard deviation of a pilot 0.73 of them cover
        (student_t(4.5), 0.2, "k1", "iid"),
    ],
)
def test_tight_intervals_cover(setting, tolerance, estimator, sampler):
    runs = 400
    forecasts, request = Forecasts(setting.pair), Request(tolerance, True, 0.95, 10**8)
    chosen = SAMPLERS[sampler], ESTIMATORS[estimator]
    ready = plan_stages(forecasts, *chosen, request)
    done = [estimate(forecasts, *chosen, request, seed=k, planned=ready) for k in range(runs)]
    tight = [one for one in done if one.stopped == TIGHT]
    # Of k1, 0.1 % of runs are withheld at most: more than 4 of 400 come with probability 1e-4.
    assert len(tight) >= (runs - 4 if estimator == "k1" else 0.9 * runs)
    assert all(one.half_width <= tolerance * abs(one.estimate) * (1 + 1e-9) for one in tight)
    share = np.mean([abs(one.estimate - forecasts.law.kl) <= one.half_width for one in tight])
    assert abs(share - 0.945) < 5 * math.sqrt(0.945 * 0.055 / len(tight))


@pytest.mark.parametrize(("df", "exact"), [(4.1, True), (8, True), (8.1, False)])
def test_the_exact_standard_deviation_where_the_fourth_moment_is_infinite(df, exact):
    done = run(student_t(df), 1, 0.3, sampler="iid")
    assert done.stopped == TIGHT
    assert done.notes == ((EXACT_SPREAD,) if exact else ())
    assert ("pilot" in done.stages) is not exact
    sd = math.sqrt(student_t(df).pair.law.variance / done.stages["main"])
    assert (done.std_error == pytest.approx(sd, rel=1e-12)) is exact


def test_looking_again_and_again_loses_coverage():
    share = np.mean([naive(NOTEBOOK, seed, 0.1) for seed in range(500)])
    assert share < 0.91


LOST = [
    (grid_setting(100, 1.0, 1.0), 0.01, "k3", "skewed"),
    (grid_setting(100, 1.0, 1.0), 0.01, "cv", ""),
    (grid_setting(64, 0.8, 1.0), 0.01, "k3", "skewed"),
    (grid_setting(16, 1.0, 1.0), 0.05, "k3", "skewed"),
    (grid_setting(16, 1.0, 1.0), 0.05, "cv", ""),
    (grid_setting(64, 1.25, 0.25), 0.05, "k3", "third moment"),
    (grid_setting(64, 1.25, 0.25), 0.05, "cv", ""),
    (grid_setting(64, 1.1, 0.25), 0.05, "k3", "skewed"),
    (grid_setting(64, 1.1, 0.25), 0.05, "cv", ""),
    (grid_setting(64, 0.8, 0.25), 0.05, "k3", "skewed"),
    (grid_setting(1, 1.4, 1.0), 0.1, "k3", "third moment"),
    (grid_setting(1, 1.4, 1.0), 0.05, "cv", ""),
    (grid_setting(1000, 1.1, 0.0), 0.01, "cv", ""),
    (NOTEBOOK, 0.05, "k3", "variance of k3 is infinite"),
    (NOTEBOOK, 0.05, "cv", ""),
    (NOTEBOOK, 0.05, "k2", "biased by 1.377"),
    (grid_setting(10_000, 1.0, 1.0), 0.05, "k3", "mean of p/q over the samples is 0"),
]


@pytest.mark.parametrize(("setting", "tolerance", "estimator", "words"), LOST)
def test_an_interval_that_would_not_cover_is_withheld(setting, tolerance, estimator, words):
    done = run(setting, 1, tolerance, estimator)
    assert done.stopped == WITHHELD
    assert words in done.withheld
    assert math.isnan(done.half_width)
    assert math.isfinite(done.estimate)
    assert done.samples <= 10_000


def test_k1_is_not_withheld_where_its_mean_r_is_0():
    done = run(grid_setting(10_000, 1.0, 1.0), 1, 0.001)
    assert done.stopped == TIGHT
    assert done.withheld is None


def test_samples_alone_show_what_they_missed():
    """Without theory, the mean of r is many of its own standard errors from 1."""
    for setting in (grid_setting(100, 1.0, 1.0), grid_setting(64, 0.8, 1.0)):
        for name in ("k3", "cv"):
            seen = stage(
                SAMPLERS["iid-radial"].form(setting.pair), SAMPLERS["iid-radial"],
                ESTIMATORS[name], 4000, seed=1, name="main",
            )  # fmt: skip
            assert "mean of p/q" in seen_reason(ESTIMATORS[name], seen)


def test_what_samples_show():
    sampler, name = SAMPLERS["iid-radial"], "main"
    form = sampler.form(grid_setting(1, 1.0, 1.0).pair)
    seen = stage(form, sampler, ESTIMATORS["k3"], 4000, seed=1, name=name, summand={"k3": 1.0})
    assert seen_reason(ESTIMATORS["k3"], seen) is None
    assert seen_reason(ESTIMATORS["k3"], seen, math.e - 1) is None
    assert "5 standard errors" not in (seen_reason(ESTIMATORS["k3"], seen) or "")
    off = seen._replace(mean_ratio=1.2)
    assert "standard errors from 1" in seen_reason(ESTIMATORS["k3"], off, math.e - 1)
    assert seen_reason(ESTIMATORS["k1"], off) is None
    heavy = seen._replace(tail_index=0.72)
    assert "tail index of 0.72, above 0.70" in seen_reason(ESTIMATORS["k3"], heavy)
    assert ratio_reason(1.0) is None
    for value, words in ((0.0, "is 0"), (math.nan, "not a number"), (math.inf, "infinite")):
        assert words in ratio_reason(value)
        assert words in seen_reason(ESTIMATORS["cv"], seen._replace(mean_ratio=value))


def test_a_stage_is_the_trace_of_its_samples():
    sampler, setting = SAMPLERS["antithetic"], grid_setting(3, 1.1, 0.25)
    for name in ("k1", "k3", "cv"):
        seen = stage(
            sampler.form(setting.pair), sampler, ESTIMATORS[name], 9000, seed=5, name="main"
        )
        one = trace(
            setting.pair, "numpy", sampler, [ESTIMATORS[name]],
            seed=5, samples=[18_000], replicates=1, stage=["main"],
        )  # fmt: skip
        assert seen.estimate == pytest.approx(one.estimate[0, 0, 0], rel=1e-10)
        assert seen.std_error == pytest.approx(one.std_error[0, 0, 0], rel=1e-9)


def test_a_stage_names_an_l_that_is_not_finite():
    sampler = SAMPLERS["iid"]
    with np.errstate(over="ignore", invalid="ignore"):
        form = sampler.form(pair(0.0, 1.0, 0.0, 1e-200))
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(NotFiniteError, match="iid"):
        stage(form, sampler, ESTIMATORS["k1"], 10, seed=1, name="main")


def test_same_seed_same_answer_and_fresh_stages():
    one, again, other = (run(NOTEBOOK, seed, 0.05) for seed in (7, 7, 8))
    assert one == again
    assert one != other
    assert one.half_width <= one.target == pytest.approx(0.05 * one.estimate)
    assert one.samples == sum(one.stages.values())
    assert one.half_width == pytest.approx(
        one.std_error * stdtrit(one.stages["pilot"] - 1, 0.975), rel=1e-9
    )


def test_a_relative_tolerance_that_is_missed_is_drawn_for_again(monkeypatch):
    """Without a margin for estimates below KL every second run would miss its tolerance."""
    monkeypatch.setattr(intervals, "_BELOW", 0.0)
    done = [run(NOTEBOOK, seed, 0.02) for seed in range(40)]
    assert all(one.stopped == TIGHT for one in done)
    assert all(one.half_width <= 0.02 * one.estimate for one in done)
    expected = planned(NOTEBOOK, 0.02).expected
    twice = [seed for seed, one in enumerate(done) if one.samples > 1.6 * expected]
    assert 8 < len(twice) < 32
    # The same run with a budget for one main stage alone is honest about it.
    short = run(NOTEBOOK, twice[0], 0.02, most=int(1.4 * expected))
    assert short.stopped == SPENT
    assert short.half_width > short.target


def test_budget_is_kept_and_told():
    for most in (300, 999, 20_000):
        for sampler in ("iid", "antithetic"):
            done = run(grid_setting(16, 1.2, 0.5), 1, 1e-4, sampler=sampler, most=most)
            assert done.stopped == SPENT
            assert 0.9 * most <= done.samples <= most
            assert done.half_width > done.target


def test_a_budget_too_small_for_an_interval_that_covers():
    done = run(NOTEBOOK, 1, 0.1, most=100)
    assert done.stopped == WITHHELD
    assert "takes at least" in done.withheld
    assert done.samples <= 100


def test_the_samples_are_in_proportion():
    """Two samples meet 1 % here, and 4 for a pilot are enough."""
    done = run(grid_setting(10**6, 1.2, 0.3), 1, 0.01)
    assert done.stopped == TIGHT
    assert done.samples <= 40
    assert run(grid_setting(5, 1.0, 0.3), 1, 0.01, sampler="antithetic").samples == 6


@pytest.mark.parametrize("need", [0.5, 30.0, 1e4, 1e7])
def test_the_pilot_is_the_cheapest(need):
    request = Request(1.0, False, 0.95, 10**9)
    pilots = np.unique(np.geomspace(2, 10 * need + 200, 4000).round())
    cost = pilots + np.maximum(need * stdtrit(pilots - 1, 0.975) ** 2, 2)
    chosen = pilot_units(math.sqrt(need), 1.0, request, 1, 2)
    assert np.interp(chosen, pilots, cost) <= 1.01 * cost.min()


def test_no_spread_is_tight_at_once():
    done = run(grid_setting(3, 1.0, 0.0), 1, 0.01)
    assert (done.estimate, done.half_width, done.stopped) == (0.0, 0.0, TIGHT)


def test_absolute_tolerance():
    done = run(NOTEBOOK, 1, 0.05, relative=False)
    assert done.target == 0.05
    assert done.stopped == TIGHT


def test_scrambles_are_independent_and_at_least_five():
    done = [run(grid_setting(64, 1.2, 0.5), k, 0.01, sampler="sobol-radial") for k in range(60)]
    kl = (grid_setting(64, 1.2, 0.5).pair).law.kl
    assert min(one.scrambles for one in done) >= 5
    assert all(one.stopped == TIGHT for one in done)
    assert all(one.half_width <= 0.01 * one.estimate for one in done)
    assert len({one.estimate for one in done}) == 60
    covered = sum(abs(one.estimate - kl) <= one.half_width for one in done)
    assert covered >= 46  # fewer come with probability 1e-7 where 95 % cover
    assert all(one.samples % one.scrambles == 0 for one in done)


@pytest.mark.parametrize("skewness", [0.0, 1.3])
def test_scrambles_are_the_fewest_points(skewness):
    def variance(n):
        return n**-2.0

    def skew(n):
        return skewness

    request = Request(0.001, False, 0.95, 10**6)
    R, n = scrambles(variance, skew, 0.001, request, 2**30)
    assert max(5, 30 * skewness**2) <= R
    half = request.quantile(R - 1) / n / math.sqrt(R)
    assert half < 0.001
    assert request.quantile(R - 1) / (n / 2) / math.sqrt(R) > 0.0005
    spent = scrambles(variance, skew, 1e-9, request, 2**30)
    assert spent.scrambles * spent.points <= 10**6
    assert scrambles(variance, skew, 0.001, request._replace(most=4), 2**30) is None


def test_plans_of_an_interval():
    """What is planned is about what is drawn, and nothing is planned that would not cover."""
    setting = grid_setting(1, 1.25, 0.25)
    for sampler in ("iid", "sobol"):
        plan = planned(setting, 0.05, sampler=sampler)
        done = run(setting, 1, 0.05, sampler=sampler)
        assert plan.withheld is None
        assert done.samples == pytest.approx(plan.expected, rel=0.3)
        assert done.half_width == pytest.approx(plan.half_width, rel=0.3)
    for estimator, sampler in (("k3", "iid"), ("cv", "iid"), ("k3", "sobol")):
        plan = planned(setting, 0.05, estimator, sampler)
        assert plan.withheld
        assert math.isnan(plan.half_width)
