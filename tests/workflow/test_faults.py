"""Kills, signals, full and read-only disks, foreign files, two runs at once, a clock that jumps.

Each ends with the tables of an undisturbed run, or with a clear line and nothing lost.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import psutil
import pytest
from tools import need

from .conftest import once
from .study import EXACT, PATIENCE, Run, Study, copy_checkout, jobs_in, processes

pytestmark = pytest.mark.slow

# Two estimation jobs, so that a run takes seconds.
TINY = {
    "sweep": {"dimension": [1, 2], "scale": [1.25], "offset": [0.25]},
    "cases": {"notebook": None},
    "samplers": ["iid"],
    "samples": 64,
    "replicates": 4,
}
TABLES = [table for table in EXACT if table != "budget"]
TARGETS = [f"results/tables/{table}.parquet" for table in TABLES]
BUDGET = "results/tables/budget.parquet"
SUMMARY = "results/tables/summary.parquet"
CHUNK = "results/traces/numpy/d1-s1.25.parquet"
LONG = 10**9  # samples: minutes a job
SECONDS = 3 * 10**7  # samples: seconds a job
KILLS = 6  # of Snakemake, and as many of jobs: one in each sixth of a run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The tiny study after its run."""

    def run(folder: Path) -> tuple[int, str]:
        study = Study(folder)
        copy_checkout(study)
        study.configure(**TINY)
        return study.snakemake(*TARGETS, cores=2)

    study = Study(once(tmp_path_factory, "undisturbed", run))
    study.small |= TINY
    return study


def from_nothing(study: Study) -> None:
    for folder in ("results", ".snakemake"):
        shutil.rmtree(study.root / folder)


@pytest.fixture(scope="session")
def other(undisturbed: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The tiny study of another seed after its run."""

    def run(folder: Path) -> tuple[int, str]:
        shutil.copytree(undisturbed.root, folder)
        study = again(undisturbed, Study(folder))
        study.configure(seed=1)
        return study.snakemake(*TARGETS, cores=2)

    study = again(undisturbed, Study(once(tmp_path_factory, "other", run)))
    study.small["seed"] = 1
    return study


@pytest.fixture
def tiny(undisturbed: Study, tmp_path: Path) -> Study:
    """The tiny study before any run."""
    skip = shutil.ignore_patterns("results", ".snakemake")
    shutil.copytree(undisturbed.root, tmp_path / "tiny", ignore=skip)
    return again(undisturbed, Study(tmp_path / "tiny"))


@pytest.fixture
def done(undisturbed: Study, tmp_path: Path) -> Study:
    """The tiny study after its run, to be changed."""
    shutil.copytree(undisturbed.root, tmp_path / "done")
    return again(undisturbed, Study(tmp_path / "done"))


def again(original: Study, copied: Study) -> Study:
    copied.small = dict(original.small)
    return copied


def jobs_of(run: Run) -> list[psutil.Process]:
    """The processes in which the scripts of a run are at work."""
    found = []
    for process in processes(run):
        try:
            command = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if len(command) == 2 and "/.snakemake/scripts/" in command[1]:
            found.append(process)
    return found


def ends(run: Run, seconds: float) -> bool:
    """Whether a run ends by itself within this time."""
    try:
        run.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        return False
    return True


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_undisturbed(study: Study, undisturbed: Study) -> None:
    for table in TABLES:
        pd.testing.assert_frame_equal(
            study.table(table), undisturbed.table(table), check_exact=True
        )
    assert not [f for f in study.files() if f.endswith(".tmp")]


def lines(text: str) -> list[str]:
    """A run's lines about failures, which are between the plan's two lines and Snakemake's log."""
    said = [line for line in text.splitlines() if line.startswith("mckl: ")]
    assert said[-1].startswith("mckl: Snakemake's whole log: ")
    return [line for line in said[2:-1] if " after " not in line]


class Moment(NamedTuple):
    """A moment of a run: so many of its files are there, and so many seconds have passed since."""

    files: int
    seconds: float

    def wait(self, run: Run, study: Study) -> None:
        """Wait for it, or for the run's end."""
        wait_for(lambda: run.poll() is not None or len(study.files()) >= self.files)
        ends(run, self.seconds)


def moments(undisturbed: Study) -> list[Moment]:
    """A random moment in every part of a run."""
    chance = random.Random(20171127)
    files = len(undisturbed.files())
    return [
        Moment(int(files * (part + chance.random()) / KILLS), chance.random())
        for part in range(KILLS)
    ]


def earlier(moments: list[Moment]) -> list[Moment]:
    """Moments that a run which ended too soon for them may still reach."""
    return [Moment(int(0.8 * files), 0.8 * seconds) for files, seconds in moments]


def test_snakemake_killed_at_random_moments(
    tiny: Study, undisturbed: Study, tmp_path: Path
) -> None:
    left = moments(undisturbed)
    with ExitStack() as stack:
        runs: list[Run] = []
        while left:
            while True:
                run = stack.enter_context(tiny.running(tmp_path / "output", *TARGETS, cores=2))
                runs.append(run)
                if left:
                    left[0].wait(run, tiny)
                else:
                    run.wait(PATIENCE)
                if run.poll() is not None:
                    break
                run.send_signal(signal.SIGKILL)  # the jobs that it started go on beside the next
                run.wait()
                del left[0]
                shutil.rmtree(tiny.root / ".snakemake/locks", ignore_errors=True)  # as --unlock
            assert run.wait() == 0
            wait_for(lambda: not any(processes(run) for run in runs))
            assert_undisturbed(tiny, undisturbed)
            if left:
                from_nothing(tiny)
                left = earlier(left)


def test_jobs_killed_at_random_moments(tiny: Study, undisturbed: Study, tmp_path: Path) -> None:
    left = moments(undisturbed)
    while left:
        with tiny.running(tmp_path / "output", *TARGETS, cores=2) as run:
            for moment in left[::2]:
                moment.wait(run, tiny)
                wait_for(lambda run=run: run.poll() is not None or jobs_of(run))
                for job in jobs_of(run)[:1]:
                    with suppress(psutil.NoSuchProcess):  # it has just ended
                        job.kill()
                        left.remove(moment)
            code = run.wait(PATIENCE)
        if code == 0 and left:
            from_nothing(tiny)
            left = earlier(left)
    tiny.run(*TARGETS, cores=2)
    assert_undisturbed(tiny, undisturbed)


def test_a_lock_that_is_left_is_told(tiny: Study, undisturbed: Study, tmp_path: Path) -> None:
    """Files that the killed run's jobs write late, under another config, are never used."""
    tiny.configure(seed=1, samples=SECONDS)
    with tiny.running(tmp_path / "output", CHUNK, cores=2) as run:
        wait_for(lambda: list(tiny.root.glob("results/traces/numpy/.*.tmp")))
        (orphan,) = jobs_of(run)
        orphan.suspend()
        (unfinished,) = tiny.root.glob("results/traces/numpy/.*.tmp")
        run.send_signal(signal.SIGKILL)
        run.wait()
        tiny.configure(seed=undisturbed.small["seed"], samples=TINY["samples"])
        code, text = tiny.snakemake(*TARGETS)
        assert code == 1
        assert "--unlock" in text
        tiny.run("--unlock")
        tiny.run(*TARGETS, cores=2)
        assert not unfinished.exists()
        orphan.resume()
        wait_for(lambda: not processes(run))
    assert_undisturbed(tiny, undisturbed)
    assert tiny.jobs(*TARGETS) == []


def test_told_to_end(tiny: Study, undisturbed: Study, tmp_path: Path) -> None:
    tiny.configure(samples=LONG)
    for how in ("Ctrl-C", "SIGTERM"):
        with tiny.running(tmp_path / how, *TARGETS, cores=2) as run:
            wait_for(lambda run=run: jobs_of(run))
            if how == "SIGTERM":
                wait_for(lambda: list(tiny.root.glob("results/traces/numpy/.*.tmp")))
                run.send_signal(signal.SIGTERM)
            else:  # while the first jobs still import their modules
                os.killpg(run.pid, signal.SIGINT)
            assert run.wait(PATIENCE) == 1
            assert not processes(run)
        text = (tmp_path / how).read_text()
        assert len(lines(text)) == 1, text
        (line,) = lines(text)
        assert line.startswith("mckl: The run was stopped. Finished results are kept: ")
        assert "Traceback" not in text
    tiny.configure(samples=TINY["samples"])
    tiny.run(*TARGETS, cores=2)
    assert_undisturbed(tiny, undisturbed)


def in_namespace(study: Study, script: str) -> subprocess.CompletedProcess[str]:
    """A shell in which disks can be mounted that nobody else sees, and that are gone at its end."""
    command = ["unshare", "-rm", "bash", "-euc", script, "bash", *study.command(*TARGETS)]
    return subprocess.run(
        command, cwd=study.root, env=study.environment(), timeout=PATIENCE, check=False,
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def mounts(tiny: Study) -> None:
    done = None
    with suppress(FileNotFoundError):
        done = in_namespace(tiny, "mkdir m; mount -t tmpfs tmpfs m")
    need("a way to mount a disk (unshare -rm)", done is not None and done.returncode == 0)


@pytest.mark.usefixtures("mounts")
def test_a_full_disk(tiny: Study, undisturbed: Study) -> None:
    done = in_namespace(
        tiny,
        """mkdir results; mount -t tmpfs -o size=96k tmpfs results
        "$@" > full.txt 2>&1 && exit 1
        mount -o remount,size=100m results
        find results -name "*.parquet" > kept.txt
        "$@"
        cp -r results whole""",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tiny.root / "full.txt").read_text()
    *failed, last = lines(text)
    assert failed
    assert any(
        " cannot be written (No space left on device): fix that and run" in x for x in failed
    )
    assert all("No space left on device" in x for x in failed)
    assert last.startswith("mckl: The run failed. Finished results are kept: ")
    kept = {Path(path).stem for path in (tiny.root / "kept.txt").read_text().split()}
    rerun = {job.removeprefix("estimate ") for job in jobs_in(tiny.log())}
    assert not kept & rerun
    (tiny.root / "whole").rename(tiny.root / "results.whole")
    shutil.rmtree(tiny.root / "results")
    (tiny.root / "results.whole").rename(tiny.root / "results")
    assert_undisturbed(tiny, undisturbed)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("folder", [".", "results"])
def test_a_read_only_folder(tiny: Study, folder: str) -> None:
    where = tiny.root / folder
    if folder == "results":
        where.touch()
        code, text = tiny.snakemake()
        assert code == 1
        assert f"mckl: {where.resolve()} is a file, expected a folder: move it away\n" in text
        assert "Traceback" not in text
        where.unlink()
    (tiny.root / "results").mkdir()
    mount = f"mount --bind {where} {where}; mount -o remount,ro,bind {where}; cd {tiny.root}"
    done = in_namespace(tiny, f'{mount}; exec "$@"')
    assert done.returncode == 1
    said = [row for row in done.stderr.splitlines() if "mckl: " in row]
    assert said == [
        f"mckl: {where.resolve()} is not writable: change that, "
        "or run in another folder with --directory"
    ]
    assert "Traceback" not in done.stdout + done.stderr


def test_foreign_traces_are_refused_or_not_read(
    done: Study, tiny: Study, undisturbed: Study, other: Study
) -> None:
    tiny.append("src/mckl/estimation/running.py", "\n# changed\n")
    tiny.run(CHUNK)
    for of in (other, tiny):  # of another seed, and of another version
        shutil.copy(of.root / CHUNK, done.root / CHUNK)
        code, text = done.snakemake(*TARGETS)
        assert code == 1
        line = f"mckl: {CHUNK} is of another config or version: delete it and run again"
        assert lines(text)[0] == line
    (done.root / CHUNK).rename(done.root / "results/traces/numpy/other.parquet")
    done.run(*TARGETS)
    assert_undisturbed(done, undisturbed)


def test_two_runs_at_once(tiny: Study, undisturbed: Study, tmp_path: Path) -> None:
    with tiny.running(tmp_path / "output", SUMMARY) as first:
        # The lock of its outputs is the last thing that Snakemake writes before its first job.
        locks = tiny.root / ".snakemake/locks"
        wait_for(lambda: any(lock.stat().st_size for lock in locks.glob("*.output.lock")))
        os.killpg(first.pid, signal.SIGSTOP)  # so that it does not end before the second starts
        code, text = tiny.snakemake(SUMMARY)
        os.killpg(first.pid, signal.SIGCONT)
        assert code == 1
        assert "no other Snakemake process is trying to create the same files" in text
        assert "Traceback" not in text
        assert first.wait(PATIENCE) == 0
    assert (tiny.root / SUMMARY).read_bytes() == (undisturbed.root / SUMMARY).read_bytes()


def set_clock(study: Study, moment: float) -> None:
    """Give all results the times that they would have if the clock had stood there."""
    results = [study.root / f for f in study.files()]
    first = min(f.stat().st_mtime for f in results)
    for f in results:
        later = moment + f.stat().st_mtime - first
        os.utime(f, (later, later))


YEAR = 365 * 86400


def test_a_clock_that_jumps(other: Study, undisturbed: Study, tmp_path: Path) -> None:
    shutil.copytree(other.root, tmp_path / "done")
    done = again(other, Study(tmp_path / "done"))
    set_clock(done, time.time() - 20 * YEAR)
    assert done.jobs(*TARGETS) == []  # of that time, and so older than the code
    set_clock(done, time.time() + YEAR)
    assert done.jobs(*TARGETS) == []
    # Half of a run after the clock was set right: the old half looks newer than the new one.
    done.configure(seed=undisturbed.small["seed"])
    done.run("results/tables/traces.parquet", cores=2)
    assert {"summary", "verify"} <= {*done.jobs(*TARGETS)}
    done.run(*TARGETS, cores=2)
    assert_undisturbed(done, undisturbed)
    assert done.jobs(*TARGETS) == []
