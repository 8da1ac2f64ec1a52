"""The interval at which an estimate stops still covers; looking again and again does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.draw.streams import seed_sequence
from mckl.errors import UserError
from mckl.estimation.sequential import estimate
from mckl.estimation.values import ESTIMATORS
from mckl.study.settings import case_setting, grid_setting

NOTEBOOK = case_setting(
    "notebook", {"q": {"mean": [1, 4], "sd": [1, 1]}, "p": {"mean": [-3, 2], "sd": [2.5, 2.5]}}
)
ASKED = {"relative": True, "confidence": 0.95, "most": 10**8}


def run(setting, seed, tolerance, estimator="k1", sampler="iid-radial", **changed):
    asked = ASKED | changed
    return estimate(
        setting.pair,
        SAMPLERS[sampler],
        ESTIMATORS[estimator],
        tolerance=tolerance,
        seed=seed,
        **asked,
    )


def coverage(setting, repeats, tolerance, estimator="k1", sampler="iid-radial"):
    kl = setting.pair.law.kl
    done = [run(setting, seed, tolerance, estimator, sampler) for seed in range(repeats)]
    assert all(one.tight for one in done)
    return np.mean([abs(one.estimate - kl) <= one.half_width for one in done])


def naive(setting, seed, tolerance):
    """The fixed-n t interval, looked at after every sample from the 16th until it is tight."""
    sampler, key = SAMPLERS["iid-radial"], seed_sequence(seed, "naive", setting.name)
    form, library = sampler.form(setting.pair), backends.load("numpy")
    draw = sampler.points.start(library.stream(key), form, key)
    x = library.kernel([form], 1).log_density_ratios([draw], 4096).ravel()
    n = np.arange(1, x.size + 1)
    mean = np.cumsum(x) / n
    sd = np.sqrt(np.maximum(np.cumsum(x * x) - n * mean**2, 0.0) / np.maximum(n - 1, 1))
    half = stdtrit(np.maximum(n - 1, 1), 0.975) * sd / np.sqrt(n)
    stop = int(np.argmax((half <= tolerance * np.abs(mean)) & (n >= 16)))
    assert stop
    return abs(mean[stop] - setting.pair.law.kl) <= half[stop]


def within(share, repeats, level=0.95, errors=3.5):
    return abs(share - level) <= errors * math.sqrt(level * (1 - level) / repeats)


@pytest.mark.parametrize(
    ("setting", "tolerance", "estimator", "sampler"),
    [
        (NOTEBOOK, 0.1, "k1", "iid-radial"),
        (NOTEBOOK, 0.02, "k1", "iid-radial"),
        (grid_setting(1, 0.8, 0.0), 0.2, "k1", "iid"),
        (grid_setting(64, 1.2, 0.5), 0.01, "k1", "iid-radial"),
        (grid_setting(4, 0.8, 0.25), 0.1, "k1", "antithetic"),
        (grid_setting(4, 1.0, 0.25), 0.05, "k3", "iid"),
    ],
)
def test_stopped_interval_covers(setting, tolerance, estimator, sampler):
    assert within(coverage(setting, 500, tolerance, estimator, sampler), 500)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "tolerance", "estimator"),
    [
        (NOTEBOOK, 0.1, "k1"),
        (NOTEBOOK, 0.02, "k1"),
        (grid_setting(1, 0.8, 0.0), 0.1, "k1"),
        (grid_setting(1, 1.25, 0.0), 0.1, "k1"),
        (grid_setting(2, 0.8, 1.0), 0.05, "cv"),
        (grid_setting(1, 1.25, 0.25), 0.1, "k3"),  # the fourth moment is infinite
    ],
)
def test_stopped_interval_covers_over_many_runs(setting, tolerance, estimator):
    assert within(coverage(setting, 2000, tolerance, estimator), 2000, errors=3.0)


def test_looking_again_and_again_loses_coverage():
    share = np.mean([naive(NOTEBOOK, seed, 0.1) for seed in range(500)])
    assert share < 0.91
    assert not within(share, 500)


def test_same_seed_same_answer_and_fresh_stages():
    one, again, other = (run(NOTEBOOK, seed, 0.05) for seed in (7, 7, 8))
    assert one == again
    assert one != other
    assert one.half_width <= one.target
    assert one.samples == one.scout + one.pilot + one.main


def test_budget_is_kept_and_told():
    for most in (64, 100, 999, 20_000):
        for sampler in ("iid", "antithetic"):
            done = run(NOTEBOOK, 1, 1e-4, sampler=sampler, most=most)
            assert not done.tight
            assert 0.9 * most <= done.samples <= most
            assert done.half_width > done.target


def test_absolute_tolerance_needs_no_scout():
    done = run(NOTEBOOK, 1, 0.05, relative=False)
    assert done.scout == 0
    assert done.target == 0.05
    assert done.tight


def test_no_spread_is_tight_at_once():
    done = run(grid_setting(3, 1.0, 0.0), 1, 0.01)
    assert (done.estimate, done.half_width, done.tight) == (0.0, 0.0, True)


def test_a_pilot_that_missed_the_tail_is_replaced():
    heavy = grid_setting(1, 1.25, 0.25)
    done = [run(heavy, seed, 0.1, "k3", "iid") for seed in range(30)]
    assert max(one.pilot for one in done) > 2 * min(one.pilot for one in done)
    for one in done:
        own = stdtrit(one.main - 1, 0.975) * one.std_error
        assert own <= 1.1 * one.half_width * (1 + 1e-9)


def test_refusals():
    with pytest.raises(UserError, match="no standard error"):
        run(NOTEBOOK, 1, 0.1, sampler="sobol")
    with pytest.raises(UserError, match="at least 64"):
        run(NOTEBOOK, 1, 0.1, most=63)
