"""The small study: run once, and copied for every test with the times of its files."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from .study import Study, copy_checkout, offline


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The small study after one run without a network; shared by all workers, never changed."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    study = Study(base / "finished")
    with (base / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not study.root.exists():
            copy_checkout(study)
            code, text = study.started(cores=2, prefix=offline())
            (study.root / "run.txt").write_text(text)
            (study.root / "code.txt").write_text(str(code))
    assert (study.root / "code.txt").read_text() == "0", (study.root / "run.txt").read_text()
    return study


@pytest.fixture
def fresh(finished: Study, tmp_path: Path) -> Study:
    """The small study before any run."""
    skip = shutil.ignore_patterns("results", ".snakemake")
    shutil.copytree(finished.root, tmp_path / "study", ignore=skip)
    return Study(tmp_path / "study")


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Study:
    """The small study after its run, to be changed."""
    shutil.copytree(finished.root, tmp_path / "study")
    return Study(tmp_path / "study")
