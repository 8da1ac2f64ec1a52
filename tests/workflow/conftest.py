"""Small studies: run once for all workers, and copied for every test that changes one."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from speed import NANOSECONDS_A_NORMAL, raw_fill

from .study import TINY, Study, copy_checkout, offline

Run = Callable[[Path], tuple[int, str]]
NOT_SOURCES = shutil.ignore_patterns("results", ".snakemake", "run.txt")


def once(factory: pytest.TempPathFactory, name: str, run: Run) -> Path:
    """The folder in which the first worker that asks made this run; it is never changed."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, told = base / name, base / f"{name}.txt"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            code, text = run(folder)
            told.write_text(f"{code}\n{text}")
    assert told.exists(), f"the run in {folder} was cut short"
    code_line, _, text = told.read_text().partition("\n")
    assert code_line == "0", text
    return folder


def cpu_seconds() -> float:
    """CPU seconds of all processes that this one has waited for."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The small study after one run without a network; what it printed is in run.txt."""

    def run(folder: Path) -> tuple[int, str]:
        study = Study(folder)
        copy_checkout(study)
        before, speed = cpu_seconds(), raw_fill()
        code, text = study.started(cores=2, prefix=offline())
        fact = (cpu_seconds() - before) * 2 * NANOSECONDS_A_NORMAL / (speed + raw_fill())
        (folder / "cpu.txt").write_text(str(fact))
        (folder / "run.txt").write_text(text)
        return code, text

    return Study(once(tmp_path_factory, "finished", run))


@pytest.fixture(scope="session")
def elsewhere(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The tiny study after a run in a folder apart from its source, which is beside it."""

    def run(folder: Path) -> tuple[int, str]:
        shutil.copytree(finished.root, folder / "source", ignore=NOT_SOURCES)
        (folder / "tiny.yaml").write_text(yaml.safe_dump(dict(TINY)))
        where = ("--directory", str(folder / "here"), "--configfile", str(folder / "tiny.yaml"))
        return Study(folder / "source").snakemake(*where, cores=2)

    return Study(once(tmp_path_factory, "elsewhere", run) / "here")


@pytest.fixture
def fresh(finished: Study, tmp_path: Path) -> Study:
    """The small study before any run."""
    shutil.copytree(finished.root, tmp_path / "study", ignore=NOT_SOURCES)
    return Study(tmp_path / "study")


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Study:
    """The small study after its run, to be changed."""
    shutil.copytree(finished.root, tmp_path / "study")
    return Study(tmp_path / "study")
