"""A job that runs again: what it draws, and that its traces are those of a run from nothing."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from mckl.estimation.traces import checkpoints
from mckl.record import tables
from mckl.study import job as jobs
from mckl.study.earlier import Earlier, kept, stamped
from mckl.study.settings import case_setting, grid_setting

SAMPLES, REPLICATES = 64, 6
CASE = {"q": {"mean": [0.0, 1.0], "sd": 1.0}, "p": {"mean": 0.0, "sd": 1.5}}
GRID = tuple((scale, offset) for scale in (0.8, 1.25) for offset in (0.0, 0.25))


def a_job(grid=GRID, case=CASE, **changes):
    """Five settings with three samplers."""
    chosen = [grid_setting(2, *axes) for axes in grid]
    chosen += [case_setting("case", case)] if case else []
    return {
        "settings": [s.as_dict() for s in chosen], "backend": "numpy", "dtype": "float64",
        "samplers": ["iid", "antithetic", "sobol-radial"], "estimators": ["k1", "k2", "cv"],
        "seed": 1, "samples": checkpoints(SAMPLES, 1), "replicates": REPLICATES,
    } | changes  # fmt: skip


def traces_in(folder):
    return folder / "traces.parquet"


def cost_in(folder):
    return folder / "cost.parquet"


def run(folder, job, code="code"):
    return jobs.run(
        job, traces_in(folder), cost_in(folder), name="d2", code=code, config={"of": "a test"}
    )


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job") / "before"
    assert run(folder, a_job()) == 5 * 3 * SAMPLES * REPLICATES
    return folder


@pytest.fixture
def again(before, tmp_path):
    """Run a job again as Snakemake does: it has deleted the output of the last run."""
    folder = tmp_path / "again"
    shutil.copytree(before, folder)
    traces_in(folder).unlink()
    cost_in(folder).unlink()
    return folder


def assert_as_from_nothing(folder, job, code="code"):
    fresh = folder.with_name("fresh")
    run(fresh, job, code)
    assert traces_in(folder).read_bytes() == traces_in(fresh).read_bytes()


TRACE = SAMPLES * REPLICATES
OTHER_CASE = {**CASE, "p": {"mean": 0.0, "sd": 1.25}}
# A change of the config, and the samples that it draws.
CHANGES = {
    "an estimator less": (a_job(estimators=["k1", "cv"]), 0),
    "a sampler less": (a_job(samplers=["iid", "sobol-radial"]), 0),
    "a scale less": (a_job(GRID[2:]), 0),
    "an offset less": (a_job(GRID[::2]), 0),
    "no case": (a_job(case=None), 0),
    "fewer replicates": (a_job(replicates=2), 0),
    "less of everything": (a_job(GRID[:1], samplers=["iid"], estimators=["k2"], replicates=1), 0),
    "a sampler more": (a_job(samplers=["iid", "antithetic", "sobol", "sobol-radial"]), 5 * TRACE),
    "a scale more": (a_job(((0.5, 0.0), (0.5, 0.25), *GRID)), 2 * 3 * TRACE),
    "one sampler for another": (a_job(samplers=["antithetic", "iid-radial"]), 5 * TRACE),
    "another case of the same name": (a_job(case=OTHER_CASE), 3 * TRACE),
    "an estimator more": (a_job(estimators=["k1", "k2", "k3", "cv"]), 15 * TRACE),
    "more replicates": (a_job(replicates=7), 15 * 7 * SAMPLES),
    "another seed": (a_job(seed=2), 15 * TRACE),
    "fewer samples": (a_job(samples=checkpoints(SAMPLES // 2, 1)), 15 * TRACE // 2),
    "more checkpoints": (a_job(samples=checkpoints(SAMPLES, 2)), 15 * TRACE),
    # Snakemake runs the same job again where its output is lost or the user forces it.
    "nothing": (a_job(), 15 * TRACE),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_drawn(again, name):
    job, samples = CHANGES[name]
    assert run(again, job) == samples
    assert_as_from_nothing(again, job)


LESS = a_job(estimators=["k1"])  # takes everything over, if nothing is amiss


def test_other_code_draws_everything(again):
    assert run(again, LESS, "other code") == 15 * TRACE
    assert_as_from_nothing(again, LESS, "other code")


@pytest.mark.parametrize(
    ("changed", "samples"),
    [
        ({"packages": {"numpy": "0.1"}}, 15 * TRACE),
        ({"python": "3.0"}, 15 * TRACE),
        ({"machine": "abacus"}, 15 * TRACE),
        ({"git_commit": "another", "config_digest": "another", "host": "another"}, 0),
    ],
)
def test_other_software_draws_everything(again, monkeypatch, changed, samples):
    about = jobs.manifest({})
    monkeypatch.setattr(jobs, "manifest", lambda config: about | changed)
    assert run(again, LESS) == samples


def test_traces_of_another_job_are_not_taken(again, tmp_path):
    run(tmp_path / "other", a_job(seed=2))
    shutil.copy(kept(traces_in(tmp_path / "other")), kept(traces_in(again)))
    assert run(again, LESS) == 15 * TRACE
    assert_as_from_nothing(again, LESS)


def test_what_is_damaged_or_lost_is_drawn(again, before):
    traces, cost = kept(traces_in(again)), kept(cost_in(again))
    whole = kept(traces_in(before)).read_bytes()
    middle = whole.index(b"PAR1") + len(whole) // 4
    for content in (whole[:-9], whole[:middle] + b"\xff\x00\xff" + whole[middle + 3 :]):
        traces.unlink()
        traces.write_bytes(content)
        assert 0 < run(again, LESS) <= 15 * TRACE
        assert_as_from_nothing(again, LESS)
        cost.unlink()
        shutil.copy(kept(cost_in(before)), cost)
    traces.unlink()
    traces.write_bytes(whole)
    cost.unlink()
    run(again.with_name("iid"), a_job(samplers=["iid"]))
    shutil.copy(cost_in(again.with_name("iid")), cost)  # killed between the two links
    assert run(again, LESS) == 10 * TRACE


def test_a_flipped_bit_never_changes_what_is_taken(again, before):
    about = stamped(jobs.manifest({}), LESS, "code")
    names = [setting["name"] for setting in LESS["settings"]]

    def taken():
        of = dict.fromkeys(LESS["samplers"], LESS["estimators"])
        earlier = Earlier(traces_in(again), cost_in(again), LESS, about)
        return {(name, x): one for name in names for x, one in earlier.traces(name, of).items()}

    good = taken()
    assert len(good) == 15
    whole = kept(traces_in(before)).read_bytes()
    less = 0
    kept(traces_in(again)).unlink()
    for bit in range(0, 8 * len(whole), 8 * len(whole) // 40 + 1):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << (bit % 8)
        kept(traces_in(again)).write_bytes(damaged)
        found = taken()
        less += len(found) < len(good)
        for key, one in found.items():
            assert one.samples == good[key].samples
            np.testing.assert_array_equal(one.estimate, good[key].estimate)
            np.testing.assert_array_equal(one.std_error, good[key].std_error)
    assert less > 20


def test_what_was_left_out_is_gone(again):
    """Only the traces of the last run are kept."""
    assert run(again, LESS) == 0
    assert run(again, a_job()) == 15 * TRACE
    assert_as_from_nothing(again, a_job())


def test_changes_one_after_the_other(again):
    assert run(again, a_job(samplers=["iid"])) == 0
    assert run(again, a_job(samplers=["iid", "antithetic"], replicates=3)) == 5 * 3 * SAMPLES
    last = a_job(GRID[1:], samplers=["iid", "antithetic"], replicates=2, estimators=["cv"])
    assert run(again, last) == 0
    assert_as_from_nothing(again, last)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("cost", ["again", "fresh"])
def test_a_gap_is_drawn_again(tmp_path, cost):
    """A trace with fewer replicates may have no gap."""
    far = {"q": {"mean": [0.0, 0.0], "sd": 1.0}, "p": {"mean": 0.0, "sd": 1.9e-154}}
    few, many = (a_job(case=far, samplers=["iid"], replicates=r) for r in (1, 40))
    again, fresh = tmp_path / "again", tmp_path / "fresh"
    run(fresh, few)
    run(again, many)
    assert len(tables.recorded_gaps(traces_in(again))) == 1
    traces_in(again).unlink()
    kept(cost_in(again)).unlink()
    shutil.copy(cost_in(tmp_path / cost), kept(cost_in(again)))  # in its own a gap has no row
    assert run(again, few) == SAMPLES  # of the case
    assert not tables.recorded_gaps(traces_in(again))
    assert traces_in(again).read_bytes() == traces_in(fresh).read_bytes()


def test_a_disk_without_hard_links_keeps_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    run(tmp_path / "job", a_job())
    assert sorted(tmp_path.glob("job/*")) == [
        cost_in(tmp_path / "job"),
        traces_in(tmp_path / "job"),
    ]
    assert run(tmp_path / "job", LESS) == 15 * TRACE


def test_what_is_taken_over_keeps_its_cost(again, before):
    rows = a_job(samplers=["iid", "sobol"], replicates=2)
    assert run(again, rows) == 5 * 2 * SAMPLES
    old, new = (
        tables.read("cost", path).to_pandas().set_index(["setting", "sampler"])
        for path in (kept(cost_in(before)), cost_in(again))
    )
    iid = new.xs("iid", level="sampler")
    assert iid.equals(old.xs("iid", level="sampler").reindex(iid.index))
    assert (new.xs("sobol", level="sampler")["samples"] == 2 * SAMPLES).all()
    (whole,) = new[new.index.get_level_values("setting").isna()].to_dict("records")
    drawn = new[new.index.get_level_values("setting").notna()]
    assert len(drawn) == 10
    assert whole["samples"] == drawn["samples"].sum() == 5 * (TRACE + 2 * SAMPLES)
    assert whole["cpu_seconds"] > drawn["cpu_seconds"].sum()  # and the start-up
