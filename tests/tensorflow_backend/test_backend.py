"""The TensorFlow backend against the NumPy backend, SciPy and its own promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from definition import log_density_ratio
from scipy import special, stats
from tools import PATIENCE

import mckl.draw.backends
from mckl.draw import backends
from mckl.draw.backends import BACKENDS
from mckl.draw.backends.numpy import NumpyKernel
from mckl.draw.points import SAMPLERS
from mckl.draw.quantiles import chisquare_of_normal
from mckl.draw.streams import Stream
from mckl.errors import UserError
from mckl.estimation.traces import checkpoints, trace
from mckl.estimation.values import ESTIMATORS
from mckl.study.feasible import check_feasible
from mckl.study.identities import agrees
from mckl.study.registered import with_registered
from mckl.study.settings import case_setting, grid_setting
from mckl.study.verification import failures

NOTEBOOK = case_setting(
    "notebook",
    {"q": {"mean": [1.0, 4.0], "sd": 1.0}, "p": {"mean": [-3.0, 2.0], "sd": 2.5}},
)
FAR = case_setting(
    "far",
    {
        "q": {"mean": [1e9, 4.0], "sd": [1e-3, 1.0]},
        "p": {"mean": [1e9 + 1, 2.0], "sd": [2.5, 1e-3]},
    },
)
MIXED = case_setting(
    "mixed",
    {
        "q": {"mean": [0.0, 1.0, 2.0, 3.0, 4.0], "sd": 1.0},
        "p": {"mean": 0.5, "sd": [1.25, 1.25, 1.25, 0.9, 0.9]},
    },
)
GRID = [grid_setting(d, s, o) for d in (1, 64) for s in (0.8, 1.0, 2.5) for o in (0.0, 1.0)]
SETTINGS = [NOTEBOOK, FAR, MIXED, *GRID]
K1, CV = ESTIMATORS["k1"], ESTIMATORS["cv"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def library():
    return backends.load("tensorflow")


@pytest.fixture(scope="module")
def module(library):
    return sys.modules["mckl.draw.backends.tensorflow"]


def replay(normals, chisquares):
    """A draw that returns these numbers."""
    at = 0

    def draw(rows):
        nonlocal at
        at += rows
        return tuple(x[at - rows : at].copy() for x in (normals, chisquares))

    return draw


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_both_backends_agree_on_the_same_numbers(module, setting, sampler):
    """They agree to 1e-12 of the size of l, also where l itself crosses 0."""
    form, points, rows = sampler.form(setting.pair), sampler.points.points, 512
    seed = np.random.SeedSequence(5)
    drawn = sampler.points.start(Stream(seed), form, seed)(rows)
    numbers = [np.array(x) for x in drawn]
    ours = NumpyKernel([form], points).evaluate([replay(*numbers)], rows)[0]
    theirs = module.TensorflowKernel([form], points, rows).evaluate([replay(*numbers)], rows)[0]
    assert theirs.shape == ours.shape == (points, 1, 1, rows)
    assert theirs.dtype == np.float64
    size = np.abs(ours).max()
    assert np.abs(theirs - ours).max() <= 1e-12 * size
    larger = np.abs(ours) > 0.01 * size
    np.testing.assert_allclose(theirs[larger], ours[larger], rtol=1e-12)


def test_log_density_ratio_is_that_of_the_definition(module):
    form = SAMPLERS["iid"].form(NOTEBOOK.pair)
    normals = np.random.default_rng(1).standard_normal((300, 2))
    kernel = module.TensorflowKernel([form], 1, 300)
    ell = kernel.evaluate([replay(normals, normals[:, :0])], 300)[0]
    z = NOTEBOOK.pair.q_mean + NOTEBOOK.pair.q_sd * normals
    np.testing.assert_allclose(ell[0, 0, 0], log_density_ratio(NOTEBOOK.pair, z), rtol=1e-11)


def test_quantiles_are_those_of_scipy(module):
    u = np.random.default_rng(0).random((4096, 3))
    u[:64] = 2.0 ** -np.arange(1, 65)[:, None]  # XLA's own normal quantile is -inf down there
    u[64] = 1.0 - 2.0**-53
    stream = module.TensorflowStream(np.random.SeedSequence(1))
    x = np.asarray(stream.normal_quantiles(u))
    np.testing.assert_allclose(x, special.ndtri(u), rtol=1e-13, atol=1e-15)
    dof = np.array([1.0, 7.0, 999.0])
    w = np.asarray(stream.chisquare_quantiles(u, dof))
    for j, k in enumerate(dof):
        np.testing.assert_allclose(
            w[:, j], chisquare_of_normal(k)(special.ndtri(u[:, j])), rtol=1e-12
        )
        np.testing.assert_allclose(w[65:, j], stats.chi2.ppf(u[65:, j], k), rtol=1e-8, atol=1e-8)


def test_quantiles_are_those_of_tensorflow_probability(module):
    u = np.random.default_rng(0).random((256, 1))
    w = module.TensorflowStream(np.random.SeedSequence(1)).chisquare_quantiles(u, np.array([63.0]))
    theirs = module.tfd.Chi2(module.tf.constant(63.0, "float64")).quantile(u)
    np.testing.assert_allclose(np.asarray(w), np.asarray(theirs), rtol=1e-9)


def test_streams_have_their_laws(module):
    stream = module.TensorflowStream(np.random.SeedSequence(3))
    normals = np.asarray(stream.normals(20_000, 3)).ravel()
    assert stats.kstest(normals, "norm").pvalue > 1e-4
    w = np.asarray(stream.chisquares(20_000, np.array([1.0, 63.0])))
    for j, k in enumerate((1.0, 63.0)):
        assert stats.kstest(w[:, j], "chi2", args=(k,)).pvalue > 1e-4
    assert abs(np.corrcoef(w.T)[0, 1]) < 0.04
    again = np.asarray(stream.normals(20_000, 3)).ravel()
    assert abs(np.corrcoef(normals, again)[0, 1]) < 0.02


def test_streams_follow_from_their_key_and_from_nothing_else(module):
    def draw(seed, rows=1000):
        stream = module.TensorflowStream(np.random.SeedSequence(seed))
        dof = np.array([3.0, 5.0])
        return [np.asarray(stream.normals(rows, 7)), np.asarray(stream.chisquares(rows, dof))]

    for first, second, other, shorter in zip(draw(1), draw(1), draw(2), draw(1, 333), strict=True):
        assert np.array_equal(first, second)
        assert not (first == other).any()
        assert np.array_equal(first[:333], shorter)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_traces_do_not_depend_on_the_grouping_or_the_length(library, sampler):
    def run(samples, replicates, at_once):
        return trace(
            MIXED.pair, "tensorflow", SAMPLERS[sampler], [K1, CV],
            seed=1, samples=checkpoints(samples, 1), replicates=replicates, at_once=at_once,
        )  # fmt: skip

    whole = run(20_000, 5, 4)
    for other in (run(20_000, 5, 1), run(20_000, 3, 2), run(4096, 5, 3)):
        _, replicates, columns = other.estimate.shape
        assert np.array_equal(whole.estimate[:, :replicates, :columns], other.estimate)
    seed = trace(
        MIXED.pair, "tensorflow", SAMPLERS[sampler], [K1], seed=2, samples=[2, 4], replicates=5
    )
    assert not (seed.estimate[0, :, 1] == whole.estimate[0, :, 2]).any()


def test_few_shapes_are_compiled(library, module):
    """All settings of a dimension share their blocks, whatever the checkpoints."""
    before = module._densities.experimental_get_tracing_count()
    for scale in (0.7, 1.1, 1.9):
        trace(
            grid_setting(5, scale, 0.5).pair, "tensorflow", SAMPLERS["iid"], [K1],
            seed=1, samples=checkpoints(3000, 4), replicates=6,
        )  # fmt: skip
    assert module._densities.experimental_get_tracing_count() - before == 1


PROBE = """
import hashlib, json, resource, sys
from mckl.estimation.values import ESTIMATORS
from mckl.draw.points import SAMPLERS
from mckl.study.settings import grid_setting
from mckl.estimation.traces import checkpoints, trace

def run(samples):
    one = trace(grid_setting(64, 1.25, 0.25).pair, "tensorflow", SAMPLERS["iid"],
                [ESTIMATORS["k1"]], seed=1, samples=checkpoints(samples, 1), replicates=2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, one.estimate

short, _ = run(2**15)
long, estimate = run(2**15 * int(sys.argv[1]))
tf = sys.modules["tensorflow"]
print(json.dumps({"short": short, "long": long, "digest": hashlib.sha256(estimate).hexdigest(),
                  "threads": tf.config.threading.get_intra_op_parallelism_threads(),
                  "gpus": len(tf.config.get_visible_devices("GPU"))}))
"""


def probe(threads, times):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(times)],
        env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def test_memory_is_constant_and_threads_change_no_bit():
    one, two = probe(1, 8), probe(2, 8)
    assert one["long"] - one["short"] < 48  # MB, where the draws are 270 MB
    assert (one["threads"], two["threads"]) == (1, 2)
    assert one["gpus"] == 0
    assert one["digest"] == two["digest"]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_the_registered_kl_is_the_closed_form(module, setting):
    registered = module.registered_kl(setting.pair)
    assert registered == pytest.approx(setting.pair.law.kl, rel=1e-12, abs=0.0)
    assert agrees(np.float64(registered), np.float64(setting.pair.law.kl), setting.dimension)


def test_the_registered_kl_of_a_huge_dimension(module):
    pair = grid_setting(10**9, 1.25, 0.25).pair
    assert module.registered_kl(pair) == pytest.approx(pair.law.kl, rel=1e-12)


def test_the_two_numbers_of_2018_are_neighbours_in_float32(module):
    """The notebook printed 2.5925813 by TensorFlow and 2.5925815 by its closed form."""
    single = np.float32
    exact = single(NOTEBOOK.pair.law.kl)
    near = [np.nextafter(exact, single(0)), exact, np.nextafter(exact, single(9))]
    assert [str(x) for x in near] == ["2.5925813", "2.5925815", "2.5925817"]
    q_mean, q_sd, p_mean, p_sd = (np.asarray(v, single) for v in NOTEBOOK.pair.vectors)
    # One formula, summed in two orders: rounding alone tells the two numbers apart.
    variance, square = q_sd**2 / p_sd**2, (q_mean - p_mean) ** 2 / p_sd**2
    by_coordinate = single(0.5) * np.sum(variance + square - single(1) - np.log(variance))
    log_det = np.log(np.prod(p_sd**2) / np.prod(q_sd**2))
    by_term = single(0.5) * (log_det - single(2) + np.sum(variance) + np.sum(square))
    assert str(by_coordinate) == "2.5925815"
    assert str(by_term) == "2.5925813"
    today = single(module.registered_kl(NOTEBOOK.pair, "float32"))
    assert today in near
    assert module.registered_kl(NOTEBOOK.pair) == pytest.approx(2.592581463748310, rel=1e-15)


def test_the_gate_bites_on_a_wrong_registered_kl():
    registered = pd.DataFrame(
        {"setting": ["a", "b"], "dimension": [2, 2], "terms": [2.0, 2.0], "kl": [2.5, 0.0],
         "registered_kl": [2.5 * (1 + 1e-11), 1e-15]}
    )  # fmt: skip
    none = pd.DataFrame(columns=["setting", "passed", "p_value", "test"])
    rows = with_registered(none, registered)
    assert rows["passed"].tolist() == [False, True]
    assert "registered_kl of a, tensorflow" in failures(rows.astype({"passed": bool}))
    registered["registered_kl"] = [np.nan, 0.0]
    assert with_registered(none, registered)["passed"].tolist() == [False, True]


def test_float32_is_there_and_coarser(library):
    wide, narrow = (
        trace(
            NOTEBOOK.pair, "tensorflow", SAMPLERS["iid"], [K1],
            seed=1, samples=[4096], replicates=50, dtype=dtype,
        ).estimate[0, :, 0]
        for dtype in ("float64", "float32")
    )  # fmt: skip
    error = np.sqrt(1.2176 / 4096 / 50)
    for estimate in (wide, narrow):
        assert estimate.mean() == pytest.approx(2.592581463748310, abs=5 * error)
    for name in ("sobol", "sobol-radial", "iid-radial"):
        one = trace(
            NOTEBOOK.pair, "tensorflow", SAMPLERS[name], [K1],
            seed=1, samples=[4096], replicates=4, dtype="float32",
        )  # fmt: skip
        assert np.isfinite(one.estimate).all()


@pytest.mark.parametrize(
    ("name", "dtype", "said"),
    [("numpy", "float32", "numpy does not have 'float32', expected float64"),
     ("tensorflow", "float16", "does not have 'float16', expected float64 or float32")],
)  # fmt: skip
def test_a_dtype_that_a_backend_lacks(name, dtype, said):
    with pytest.raises(UserError, match=said):
        backends.load(name, dtype)


def found(versions):
    def version(package):
        if versions.get(package) is None:
            raise PackageNotFoundError(package)
        return versions[package]

    return version


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tensorflow": None}, "needs tensorflow 2.21 or newer, none found"),
        ({"tensorflow": "2.9.1"}, "needs tensorflow 2.21 or newer, found 2.9.1"),
        ({"tensorflow-probability": None}, "needs tensorflow-probability 0.25 or newer, none"),
        ({"tf-keras": None}, "needs tf-keras 2.21 or newer, none found"),
    ],
)
def test_what_is_missing_is_said_in_one_line(changed, said, monkeypatch):
    good = {"tensorflow": "2.21.0", "tensorflow-probability": "0.25.0", "tf-keras": "2.21.0"}
    monkeypatch.setattr(mckl.draw.backends, "version", found(good))
    backends.check("tensorflow")
    monkeypatch.setattr(mckl.draw.backends, "version", found(good | changed))
    with pytest.raises(UserError) as error:
        backends.check("tensorflow")
    assert said in str(error.value)
    assert str(error.value).endswith("pip install '.[tensorflow]' -c constraints.txt")
    assert "\n" not in str(error.value)


def test_a_broken_installation_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mckl.draw.backends.tensorflow", None)
    with pytest.raises(UserError, match=r"^backends: 'tensorflow' does not load \(.*pip install"):
        backends.load("tensorflow")


def test_a_python_without_tensorflow(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    with pytest.raises(UserError, match=r"no packages for Python 3\.14: use Python 3\.13 or older"):
        backends.check("tensorflow")


def test_samples_too_large_for_memory_are_refused():
    setting = grid_setting(BACKENDS["tensorflow"].most_numbers + 1, 1.25, 0.25)
    check_feasible(setting, ["iid"], 16, ["numpy"])
    check_feasible(setting, ["iid-radial"], 16, ["tensorflow"])
    with pytest.raises(UserError, match=r"'tensorflow' has memory for .* use iid-radial"):
        check_feasible(setting, ["iid"], 16, ["numpy", "tensorflow"])


def test_running_out_of_memory_is_said_in_one_line(module):
    def draw(rows):
        raise module.tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    kernel = module.TensorflowKernel([SAMPLERS["iid"].form(NOTEBOOK.pair)], 1, 16)
    with pytest.raises(UserError, match="no memory for 16 samples of 2 numbers"):
        kernel.evaluate([draw], 16)
