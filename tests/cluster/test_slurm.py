"""The study on a real SLURM: the same tables as on one machine, whatever happens to its jobs."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import decoys
import pandas as pd
import pytest
from tools import PATIENCE
from workflow.study import Study, jobs_in
from workflow.test_faults import BUDGET, TARGETS, undisturbed  # noqa: F401 - a fixture

from .slurm import Slurm, wait
from .study import HOLD, ClusterStudy

pytestmark = pytest.mark.slow


def traces(*chunks: str) -> list[str]:
    """The traces of these chunks, whose jobs are the only ones that a run of them needs."""
    return [f"results/traces/numpy/{chunk}.parquet" for chunk in chunks]


class Job(NamedTuple):
    """A job as SLURM describes it."""

    number: str
    rule: str
    state: str
    memory: str
    limit: str


def jobs(study: ClusterStudy) -> list[Job]:
    """The study's jobs, also those that are over."""
    form = "--format=%Z|%i|%k|%T|%m|%l"
    rows = study.slurm.command("squeue", "--states=all", "--array", "--noheader", form)
    fields = [row.split("|") for row in rows.splitlines()]
    return [
        Job(number, comment.split("_")[1], *rest)
        for root, number, comment, *rest in fields
        if root == str(study.root)
    ]


@pytest.fixture
def study(fresh: Study, slurm: Slurm) -> ClusterStudy:
    """The small study before any run."""
    return ClusterStudy(fresh.root, slurm)


def assert_same_rows(one: Study, other: Study, *tables: str) -> None:
    """Compare tables without metadata, which differ because the code of held jobs differs."""
    for path in tables:
        frames = [pd.read_parquet(study.root / path) for study in (one, other)]
        pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_the_study_has_the_tables_of_a_local_run_whatever_lies_in_its_folder(
    slurm: Slurm,
    undisturbed: Study,  # noqa: F811
    tmp_path: Path,
) -> None:
    """No job imports a module of the folder, as `python -m snakemake` by itself would."""
    decoys.plant(tmp_path)
    study = ClusterStudy(tmp_path, slurm, undisturbed.root)
    study.run(*TARGETS, BUDGET)
    assert decoys.imported(tmp_path) == set()
    for path in (*TARGETS, BUDGET):
        assert (undisturbed.root / path).read_bytes() == (study.root / path).read_bytes()
    done = jobs(study)
    assert {job.state for job in done} == {"COMPLETED"}
    arrays = [job.number.split("_") for job in done if job.rule == "estimate"]
    assert len({number for number, _ in arrays}) == 1
    assert sorted(task for _, task in arrays) == ["1", "2"]
    # The cheap rules ran here.
    rules = {"theory", "estimate", "traces", "summary", "budget", "gradients"}
    assert {job.rule for job in done} == rules


# What becomes of a chunk's job. The first asks for more memory than a first attempt has, and for
# less than a second one.
KILLED, CANCELLED, LATE, LOST = "d1-s0.8", "d2-s0.8", "d2-s1.25", "d1-s1.25"
BALLAST = """
if chunk == "{killed}":
    ballast = b"x" * int(1.2e6 * {mem_mb})
    sleep(10)
"""


def test_jobs_that_die_are_done_again(study: ClusterStudy, finished: Study) -> None:
    wanted = traces(KILLED, CANCELLED, LATE, LOST)
    first = asked(study.run(*wanted, "--dry-run"))
    study.before_estimate(HOLD + BALLAST.format(killed=KILLED, **first))
    held = [study.root / f"hold-{chunk}" for chunk in (CANCELLED, LATE, LOST)]
    for path in held:
        path.touch()
    with study.running(study.root / "run.txt", *wanted) as run:
        wait("all jobs run", lambda: len(study.numbers()) == len(wanted))
        number = study.numbers()
        study.slurm.command("scancel", number[CANCELLED])
        # A limit is a minute at least; an operator may bring its end forward.
        study.slurm.command("scontrol", "update", f"JobId={number[LATE]}", "EndTime=now")
        wait("they die", lambda: {"CANCELLED", "TIMEOUT", "FAILED"} <= states(study))
        study.slurm.lose_node()
        lost = [job.number for job in jobs(study) if job.state == "PENDING"]
        assert number[LOST] in lost
        for path in held:
            path.unlink()
        study.slurm.start_node()
        for job in lost:  # else SLURM waits two minutes
            study.slurm.command("scontrol", "update", f"JobId={job}", "StartTime=now+10seconds")
        assert run.wait(timeout=PATIENCE) == 0, study.printed()
    assert_same_rows(study, finished, *wanted)
    done = [job for job in jobs(study) if job.rule == "estimate"]
    count = Counter(job.state for job in done)
    assert count["COMPLETED"] == len(wanted)
    assert min(count["CANCELLED"], count["TIMEOUT"], count["FAILED"]) >= 1
    assert "exceeded memory limit" in (study.slurm.root / "slurmd.log").read_text()
    again = [job for job in done if job.state == "COMPLETED" and job.number not in number.values()]
    assert len(again) >= 3
    for job in again:
        assert int(job.memory.removesuffix("M")) >= 2 * first["mem_mb"]
        assert int(job.limit.removesuffix(":00")) >= 2 * first["runtime"]


def asked(text: str) -> dict[str, int]:
    """The memory and time of the first estimation job that Snakemake's output names."""
    (_, block) = text.split("rule estimate:\n", 1)
    return {k: int(v) for k, v in re.findall(r"\b(mem_mb|runtime)=(\d+)", block.split("\n[")[0])}


def states(study: ClusterStudy) -> set[str]:
    return {job.state for job in jobs(study)}


def test_an_interrupted_run_resumes(study: ClusterStudy, finished: Study) -> None:
    study.before_estimate(HOLD)
    (study.root / "hold-d2-s1.25").touch()
    wanted = traces("d1-s0.8", "d2-s1.25")
    # The jobs of an array end together; Snakemake's own log tells which ended.
    alone = (*wanted, "--slurm-array-jobs", "none", "--printshellcmds")
    with study.running(study.root / "run.txt", *alone) as run:
        wait("one ends", lambda: "Finished jobid" in study.printed())
        wait("the other runs", lambda: len(study.numbers()) == len(wanted))
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=PATIENCE) != 0
    wait("none is left", lambda: not states(study) & {"RUNNING", "PENDING", "COMPLETING"})
    (study.root / "hold-d2-s1.25").unlink()
    assert jobs_in(study.run(*alone)) == ["estimate d2-s1.25"]
    assert_same_rows(study, finished, *wanted)
