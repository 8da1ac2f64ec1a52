"""Traces: reproducible to the bit, of bounded memory, and with the errors that theory says."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2 as chi_square
from scipy.stats import t as student

from mckl.draw.backends.numpy import NumpyKernel
from mckl.draw.points import SAMPLERS
from mckl.draw.streams import generator, seed_sequence
from mckl.errors import UserError
from mckl.estimation.offered import offered
from mckl.estimation.traces import (
    BLOCK,
    checkpoints,
    checkpoints_of,
    sound_traces,
    trace,
    traces,
)  # fmt: skip
from mckl.estimation.values import ESTIMATORS
from mckl.study.feasible import check_feasible
from mckl.study.settings import case_setting, grid_setting
from mckl.study.summary_table import t_quantile

SETTING = grid_setting(3, 1.25, 0.25)
PLAIN = {"mean": 0.0, "sd": 1.5}
MIXED = case_setting(
    "mixed",
    {"q": {"mean": [0.4, -0.3, 1.0], "sd": 1.0}, "p": {"mean": 0.0, "sd": [1.25, 1.25, 0.9]}},
)


def every(pair, sampler):
    """Every estimator that goes with a pair and a sampler."""
    return [e for e in ESTIMATORS.values() if offered(pair, SAMPLERS[sampler], e)]


def run(setting=SETTING, sampler="iid", estimators=None, **changes):
    estimators = estimators or every(setting.pair, sampler)
    asked = {"seed": 1, "samples": checkpoints(2 * BLOCK, 1), "replicates": 3} | changes
    backend = asked.pop("backend", "numpy")
    return trace(setting.pair, backend, SAMPLERS[sampler], estimators, name=setting.name, **asked)


def pairs(settings):
    return {setting.name: setting.pair for setting in settings}


def same(one, other):
    assert one.samples == other.samples
    np.testing.assert_array_equal(one.estimate, other.estimate)
    np.testing.assert_array_equal(one.std_error, other.std_error)


def test_checkpoints():
    assert checkpoints(16, 1) == [1, 2, 4, 8, 16]
    assert checkpoints(20, 1) == [1, 2, 4, 8, 16, 20]
    assert checkpoints(16, 2) == [1, 2, 3, 4, 6, 8, 11, 16]
    for samples, per_octave in itertools.product((2, 3, 1000, 10**6), (1, 3, 50)):
        at = checkpoints(samples, per_octave)
        assert at == sorted(set(at))
        assert at[0] == 1
        assert at[-1] == samples
    assert checkpoints_of(SAMPLERS["antithetic"], [1, 2, 3, 4]) == [2, 4]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("setting", [SETTING, MIXED])
def test_bits_do_not_depend_on_how_many_replicates_run_side_by_side(sampler, setting):
    one = run(setting, sampler, replicates=5)
    for at_once in (1, 2, 7):
        same(one, run(setting, sampler, replicates=5, at_once=at_once))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_bits_do_not_depend_on_what_else_runs(sampler):
    alone = run(MIXED, sampler)
    run(SETTING, sampler)
    run(grid_setting(7, 0.9, 0.0), "sobol")
    same(alone, run(MIXED, sampler))
    # one estimator among four, and fewer replicates among more
    k3 = run(MIXED, sampler, estimators=[ESTIMATORS["k3"]], replicates=2)
    np.testing.assert_array_equal(k3.estimate[0], alone.estimate[2, :2])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_longer_run_starts_with_the_shorter_one(sampler):
    short, long = (
        run(sampler=sampler, samples=[64, 2048]),
        run(sampler=sampler, samples=[64, 2048, 3 * BLOCK]),
    )
    np.testing.assert_array_equal(short.estimate, long.estimate[:, :, :2])
    np.testing.assert_array_equal(short.std_error, long.std_error[:, :, :2])


HASH = """
import hashlib
from mckl.estimation.offered import offered
from mckl.estimation.values import ESTIMATORS
from mckl.draw.points import SAMPLERS
from mckl.study.settings import grid_setting
from mckl.estimation.traces import trace
total = hashlib.sha256()
for d, sampler in ((1, "iid"), (64, "iid"), (1000, "antithetic"), (16, "sobol"), (9, "iid-radial")):
    pair = grid_setting(d, 1.25, 0.25).pair
    estimators = [e for e in ESTIMATORS.values() if offered(pair, SAMPLERS[sampler], e)]
    t = trace(pair, "numpy", SAMPLERS[sampler], estimators,
              seed=1, samples=[2, 16, 4096], replicates=2)
    total.update(t.estimate.tobytes() + t.std_error.tobytes())
print(total.hexdigest())
"""


def in_a_process(root, code, **variables):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(root / "src")} | variables,
    )  # fmt: skip
    return done.stdout.strip()


def test_bits_do_not_depend_on_the_number_of_threads(root):
    digests = {
        in_a_process(root, HASH, OPENBLAS_NUM_THREADS=n, OMP_NUM_THREADS=n) for n in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop()) == 2 * hashlib.sha256().digest_size


def test_every_part_of_the_key_changes_the_stream():
    key = (1, "1+7.0", "iid", "numpy", 0)
    keys = [key, *((*key[:i], other, *key[i + 1 :]) for i, other in enumerate(
        (2, "1+8.0", "sobol", "tensorflow", 1)
    ))]  # fmt: skip
    # parts do not run together either
    keys += [(1, "1+7.0i", "id", "numpy", 0), (11, "+7.0", "iid", "numpy", 0)]
    first = {tuple(generator(*k).integers(2**63, size=4)) for k in keys}
    assert len(first) == len(keys)
    assert seed_sequence(*key).entropy == seed_sequence(*key).entropy


def test_traces_differ_by_seed_stage_dimension_sampler_and_replicate():
    runs = [
        run(), run(seed=2), run(stage=["again"]), run(sampler="antithetic"), run(MIXED),
        run(sampler="iid-radial"), run(sampler="sobol"), run(sampler="sobol-radial"),
    ]  # fmt: skip
    # estimates of k1 at the last checkpoint, of every replicate
    values = np.concatenate([r.estimate[0, :, -1] for r in runs])
    assert np.unique(values).size == 3 * len(runs)
    # and no normals are shared: the mean of l tells the sum of epsilon where a is 0
    ends = [run(grid_setting(d, 1.0, 1.0)).estimate[0, :, -1] - d / 2 for d in (1, 2)]
    assert np.abs(ends[0] - ends[1]).min() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_bits_do_not_depend_on_which_settings_share_the_draws(sampler):
    other = case_setting("other", {"q": {"mean": [1.0, 2.0, 0.5], "sd": 1.0}, "p": PLAIN})
    settings = [SETTING, MIXED, grid_setting(3, 0.9, 1.0), grid_setting(2, 1.25, 0.25), other]
    together = traces(
        pairs(settings), "numpy", SAMPLERS[sampler], every(settings[0].pair, sampler),
        seed=1, samples=checkpoints(2 * BLOCK, 1), replicates=3,
    )  # fmt: skip
    for setting, one in zip(settings, together, strict=True):
        same(one, run(setting, sampler))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_settings_that_share_their_draws_see_the_same_numbers(sampler):
    """At scale 1, l is D offset^2 / 2 + offset sum(epsilon): noise grows with the offset."""
    one, two = (run(grid_setting(5, 1.0, offset), sampler) for offset in (0.5, 1.0))
    noise = [r.estimate[0] - 2.5 * offset**2 for r, offset in ((one, 0.5), (two, 1.0))]
    np.testing.assert_allclose(2 * noise[0], noise[1], rtol=1e-9, atol=1e-12)


def test_correlation_of_settings_that_share_their_draws():
    """For k1 and iid it is sum (2 a a' + b b') / sqrt(V V')."""
    cells = [grid_setting(4, *cell) for cell in ((1.25, 0.25), (0.8, 0.25), (1.25, 1.0))]
    ran = traces(
        pairs(cells), "numpy", SAMPLERS["iid"], [ESTIMATORS["k1"]],
        seed=1, samples=[64], replicates=4000,
    )  # fmt: skip
    got = np.corrcoef([r.estimate[0, :, 0] for r in ran])
    a = np.array([0.5 * (c.scale**-2 - 1) for c in cells])
    b = np.array([c.offset / c.scale**2 for c in cells])
    covariance = 2 * np.outer(a, a) + np.outer(b, b)
    sd = np.sqrt(np.diag(covariance))
    exact = covariance / np.outer(sd, sd)
    np.testing.assert_allclose(got, exact, atol=5 / math.sqrt(4000))
    assert exact[0, 1] < 0 < exact[0, 2]


def test_the_name_of_a_case_does_not_change_its_numbers():
    renamed = case_setting("other", MIXED.parameters)
    same(run(MIXED), run(renamed))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_memory_does_not_grow_with_samples(sampler):
    def peak(samples):
        tracemalloc.start()
        run(sampler=sampler, samples=[samples], replicates=1)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    run(sampler=sampler, samples=[10_000], replicates=1)  # caches filled, modules imported
    few, many = peak(100_000), peak(1_000_000)
    assert many < 1.1 * few + 50_000
    assert few < 20e6


@pytest.fixture(scope="module")
def sweep(run_study):
    settings = [
        grid_setting(*cell) for cell in itertools.product((1, 4, 16), (0.8, 1.0, 2.5), (0.0, 0.25))
    ]
    samplers = ["iid", "antithetic", "iid-radial", "sobol", "sobol-radial"]
    return run_study(settings, samplers, ["k1"], seed=3, samples=1024, replicates=100, first=64)


@pytest.mark.parametrize("sampler", ["iid", "antithetic", "iid-radial", "sobol", "sobol-radial"])
def test_measured_mse_is_the_theoretical_variance(sweep, sampler):
    cells = sweep.summary[(sweep.summary["sampler"] == sampler) & (sweep.summary["exact_mse"] > 0)]
    cells = cells.merge(
        sweep.theory[["setting", "sampler", "samples", "exact_excess_kurtosis"]].astype(
            {"setting": str, "sampler": str}
        ),
        on=["setting", "sampler", "samples"],
    )
    # Var of a squared error is sigma^4 (excess kurtosis + 2)
    sd = cells["exact_mse"] * np.sqrt((cells["exact_excess_kurtosis"] + 2) / 100)
    z = (cells["mse"] - cells["exact_mse"]) / sd
    assert len(cells) >= 5 * 12
    assert z.abs().max() < 7  # gamma tails: 7 is passed with probability 1e-7 a cell
    # one setting a dimension: others share its draws
    last = z[cells["samples"] == 1024].groupby(cells["dimension"]).first().to_numpy()
    assert 1e-5 < chi_square.sf(float(np.sum(last**2)), last.size) < 1 - 1e-5


@pytest.mark.parametrize(("sampler", "slope"), [("iid", -0.5), ("antithetic", -0.5), ("sobol", -1)])
def test_rmse_falls_with_its_power_of_n(sampler, slope):
    at = [2**k for k in range(4, 13)]
    setting = grid_setting(1, 1.25, 0.25)
    kl = math.log(1.25) + 0.5 * (1 / 1.5625 - 1) + 0.5 * (0.25 / 1.25) ** 2
    t = run(setting, sampler, estimators=[ESTIMATORS["k1"]], samples=at, replicates=600)
    squared = (t.estimate[0] - kl) ** 2
    groups = 0.5 * np.log2(squared.reshape(20, 30, len(at)).mean(axis=1))
    slopes = np.polyfit(np.log2(at), groups.T, 1)[0]
    error = slopes.std(ddof=1) / math.sqrt(20)
    assert error < 0.015
    if slope == -0.5:
        assert abs(slopes.mean() - slope) < 4 * error
    else:  # n^-1 up to the logarithms that the normal's tails bring
        assert -1.05 < slopes.mean() < -0.9


def coverage(setting, n, replicates, kl):
    t = run(setting, estimators=[ESTIMATORS["k1"]], samples=[n], replicates=replicates)
    half = t_quantile(*(pd.Series([v]) for v in (n, "iid", "k1")))[0]
    return np.mean(np.abs(t.estimate[0, :, 0] - kl) <= half * t.std_error[0, :, 0])


def test_the_t_interval_covers_at_many_samples_and_not_at_four():
    setting, replicates = grid_setting(1, 2.5, 0.0), 4000  # skewness of l is -sqrt(8)
    kl = math.log(2.5) + 0.5 * (0.16 - 1)
    sd = math.sqrt(0.95 * 0.05 / replicates)
    assert abs(coverage(setting, 4096, replicates, kl) - 0.95) < 4 * sd
    assert coverage(setting, 4, replicates, kl) < 0.95 - 8 * sd


def test_the_interval_is_students():
    # (samples, sampler, estimator) -> degrees of freedom: units less fitted numbers
    for n, sampler, estimator, freedom in (
        (4, "iid", "k1", 3), (4, "iid", "cv", 2), (8, "antithetic", "k2", 3),
        (10**6, "iid", "k3", 10**6 - 1),
    ):  # fmt: skip
        got = t_quantile(*(pd.Series([v]) for v in (n, sampler, estimator)))
        assert got == pytest.approx(student.ppf(0.975, freedom), rel=1e-9)
    assert np.isnan(t_quantile(*(pd.Series([v]) for v in (1, "iid", "k1"))))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_l_that_is_not_finite_is_named(value, monkeypatch):
    original = NumpyKernel.evaluate
    seen = []

    def broken(self, draws, units):
        ell = original(self, draws, units)
        seen.append(units)
        if seen == [BLOCK, 64] * 2:  # the second block of replicates 2 and 3
            ell[0, 0, 0, 1, 5] = value
        return ell

    monkeypatch.setattr(NumpyKernel, "evaluate", broken)
    with pytest.raises(FloatingPointError) as caught:
        run(replicates=4, at_once=2, samples=[1, 32, BLOCK + 64])
    message = str(caught.value)
    assert "d3-s1.25-o0.25" in message
    assert "replicate 3," in message
    assert f"sample {BLOCK + 5}" in message
    assert "\n" not in message


def test_a_setting_whose_l_overflows_leaves_the_others_as_they_are():
    far = case_setting("far", {"q": PLAIN, "p": {"mean": 0.0, "sd": 1e-200}})
    near = [grid_setting(1, 1.25, 0.25), grid_setting(1, 0.8, 0.0)]
    asked = {"seed": 1, "samples": [1, 64], "replicates": 3}
    with np.errstate(over="ignore", invalid="ignore"):
        found, gaps = sound_traces(
            pairs([near[0], far, near[1]]),
            "numpy",
            SAMPLERS["iid"],
            every(far.pair, "iid"),
            **asked,
        )
        alone, _ = sound_traces(
            pairs([far]), "numpy", SAMPLERS["iid"], every(far.pair, "iid"), **asked
        )
    assert [gap.where["setting"] for gap in gaps] == ["far"]
    assert np.isnan(found[1].estimate).all()
    assert found[1].estimate.shape == found[0].estimate.shape
    for got, setting in zip(found[::2], near, strict=True):
        same(got, trace(setting.pair, "numpy", SAMPLERS["iid"], every(far.pair, "iid"), **asked))
    np.testing.assert_array_equal(alone[0].estimate, found[1].estimate)


def test_independent_samplers_alone_have_a_standard_error():
    for name, sampler in SAMPLERS.items():
        t = run(sampler=name)
        assert np.isfinite(t.std_error[:, :, -1]).all() == sampler.points.independent
        assert np.isnan(t.std_error).all() != sampler.points.independent


@pytest.mark.parametrize(
    ("dimension", "sampler", "samples", "words"),
    [
        (21202, "sobol", 64, ["sobol", "d21202-s1.25-o0.25", "21201", "use sobol-radial"]),
        (10**9, "iid", 64, ["iid", "d1000000000-s1.25-o0.25", "use iid-radial"]),
        (2, "sobol-radial", 2**30 + 1, ["samples", "1073741824", "sobol-radial"]),
    ],
)
def test_what_a_sampler_cannot_do_is_refused(dimension, sampler, samples, words):
    with pytest.raises(UserError) as caught:
        check_feasible(grid_setting(dimension, 1.25, 0.25), [sampler], samples)
    assert all(word in str(caught.value) for word in words)
    check_feasible(grid_setting(21201, 1.25, 0.25), list(SAMPLERS), 2**30)
