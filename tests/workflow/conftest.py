"""Small studies: run once for all workers, and copied for every test that changes one."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from .study import Study, copy_checkout, figures_in, offline, readers

Run = Callable[[Path], tuple[int, str]]
NOT_SOURCES = shutil.ignore_patterns("results", ".snakemake", "run.txt", "rulegraph.txt")


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


def source_of(finished: Study) -> Path:
    """The checkout from which the small study was run into a folder apart."""
    return finished.root.with_name("source")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The small study after one run without a network; what it printed is in run.txt, and
    the graph of its rules in rulegraph.txt.

    It ran in a folder apart from its source, which then got a copy of the source.
    """

    def run(folder: Path) -> tuple[int, str]:
        study = Study(source_of(Study(folder)))
        copy_checkout(study)
        where = ("--directory", str(folder))
        rules = study.run(*where, "--rulegraph")
        code, text = study.snakemake(*where, cores=2, prefix=offline())
        shutil.copytree(study.root, folder, dirs_exist_ok=True)
        (folder / "rulegraph.txt").write_text(rules)
        (folder / "run.txt").write_text(text)
        return code, text

    return Study(once(tmp_path_factory, "finished", run))


class Graph:
    """The jobs of the small study, and which of them read what others make."""

    def __init__(self, finished: Study) -> None:
        self.readers = readers((finished.root / "rulegraph.txt").read_text())
        self.figures = figures_in(finished.log())

    def draws(self, figure: str) -> str:
        """The rule that draws a figure."""
        (rule,) = (rule for rule, names in self.figures.items() if figure in names)
        return rule

    def after(self, jobs: Iterable[str]) -> list[str]:
        """These jobs and all that directly or indirectly read their output, sorted.

        `figure NAME` stands for the job that draws it, and `figures` for all that draw some.
        """
        found: set[str] = set()
        for job in jobs:
            what, _, name = job.partition(" ")
            found |= {*self.figures} if job == "figures" else set()
            found |= {self.draws(name)} if what == "figure" else {job} - {"figures"}
        while more := set().union(*(self.readers[job.split()[0]] for job in found)) - found:
            found |= more
        return sorted(found)


@pytest.fixture(scope="session")
def graph(finished: Study) -> Graph:
    """The graph of the small study's jobs."""
    return Graph(finished)


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
