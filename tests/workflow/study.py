"""A small study in a copy of the checkout, and what Snakemake does in it."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml
from tools import PATIENCE

from mckl.record import tables
from mckl.record.provenance import load_manifest
from mckl.show.figures import FIGURES as ALL_FIGURES

Run = subprocess.Popen[bytes]
CHECKOUT = Path(__file__).parents[2]
SOURCES = ("Snakefile", "config.yaml", "profiles", "scripts", "src", "workflow")
SMALL: Mapping[str, Any] = {
    "seed": 20171127,
    "sweep": {
        "family": ["normal", "student-t(5)"],
        "dimension": [1, 2],
        "scale": [0.8, 1.25],
        "offset": [0.25],
    },
    "cases": {
        "notebook": {
            "q": {"mean": [1, 4], "sd": [1, 1]},
            "p": {"mean": [-3, 2], "sd": [2.5, 2.5]},
        },
        "tails": {
            "q": {"family": "student-t", "df": 10, "location": [0, 1], "scale": 1},
            "p": {"family": "normal", "mean": 0, "sd": 2},
        },
    },
    "samplers": ["iid", "sobol-radial"],
    "estimators": ["k1", "k3"],
    "samples": 256,
    "replicates": 8,
    "tolerances": [0.1],
    "one_job_per": ["dimension", "scale"],
}
# Over SMALL: one setting, and no notebook.
TINY: Mapping[str, Any] = {
    "sweep": {"family": ["normal"], "dimension": [3], "scale": [0.8], "offset": [1]},
    "cases": {"notebook": None, "tails": None},
    "samplers": ["iid"],
    "estimators": ["k1"],
    "samples": 64,
    "replicates": 3,
}
CHUNKS = ["case-notebook", "case-tails", "d1-s0.8", "d1-s1.25", "d2-s0.8", "d2-s1.25"]
# The tables whose numbers follow from the config alone, unlike those of `cost`.
EXACT = ["settings", "theory", "traces", "gaps", "summary", "verification", "budget", "gradients",
         "regimes"]  # fmt: skip
TABLES = [*EXACT, "cost"]
TARGETS = [f"results/tables/{table}.parquet" for table in EXACT]
FIGURES = {
    name: figure
    for name, figure in ALL_FIGURES.items()
    if {*figure.backends} <= {"numpy"} and not figure.constant
}


_JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", re.MULTILINE)
_CHUNK = re.compile(r"^    wildcards: backend=numpy, chunk=(\S+)$", re.MULTILINE)
_OUTPUT = re.compile(r"^    output: (.*)$", re.MULTILINE)


def offline() -> list[str]:
    """The command that runs another one without a network; empty where there is none."""
    command = ["unshare", "-rn"]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return command if done.returncode == 0 else []


class Study:
    """A checkout of its own, and what Snakemake does in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.small: dict[str, Any] = copy.deepcopy(dict(SMALL))

    def configure(self, **changes: Any) -> None:
        """Write config.yaml: the small study with some keys changed."""
        self.small |= changes
        (self.root / "config.yaml").write_text(yaml.safe_dump(self.small))

    def command(self, *arguments: str, cores: int = 1) -> list[str]:
        return [sys.executable, "-m", "snakemake", *arguments, "--cores", str(cores)]

    def environment(self) -> dict[str, str]:
        # The installed package must not stand in for the copy's own source, which is compiled once.
        unset = ("PYTHONPATH", "XDG_CONFIG_HOME", "PYTHONDONTWRITEBYTECODE")
        return {k: v for k, v in os.environ.items() if k not in unset}

    @contextmanager
    def running(self, output: Path, *arguments: str, cores: int = 1) -> Iterator[Run]:
        """A run whose processes all end with the block, and what it prints in a file."""
        with output.open("wb") as file:
            run = subprocess.Popen(
                self.command(*arguments, cores=cores),
                cwd=self.root, env=self.environment(), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        try:
            yield run
        finally:
            for process in processes(run):
                process.kill()
            run.wait(PATIENCE)

    def snakemake(
        self, *arguments: str, cores: int = 1, prefix: Sequence[str] = ()
    ) -> tuple[int, str]:
        """The exit code and all that was printed; `prefix` is a command that runs another one."""
        done = subprocess.run(
            [*prefix, *self.command(*arguments, cores=cores)],
            cwd=self.root, env=self.environment(), timeout=PATIENCE, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def run(self, *arguments: str, cores: int = 1) -> str:
        code, text = self.snakemake(*arguments, cores=cores)
        assert code == 0, text
        return text

    def log(self) -> str:
        """Snakemake's own log of the last run."""
        return max((self.root / ".snakemake/log").iterdir()).read_text()

    def jobs(self, *arguments: str) -> list[str]:
        """The jobs that a run would do: `rule`, or `rule chunk`; `all` only gathers."""
        return jobs_in(self.run(*arguments, "--dry-run"))

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        with (self.root / path).open("a") as file:
            file.write(text)

    def table(self, name: str) -> pd.DataFrame:
        """A table with its rows in a canonical order and its keys as text."""
        frame = tables.read(name, self.root / f"results/tables/{name}.parquet").to_pandas()
        keys = [k for k in frame if isinstance(frame[k].dtype, pd.CategoricalDtype)]
        order = [k for k in (*keys, "replicate", "samples", "quantity") if k in frame]
        return frame.astype(dict.fromkeys(keys, object)).sort_values(order, ignore_index=True)

    def manifest(self) -> dict[str, Any]:
        """The manifest of the last whole run."""
        return load_manifest(self.root / "results/manifest.json")

    def files(self) -> set[str]:
        """What a run wrote."""
        results = self.root / "results"
        return {str(f.relative_to(self.root)) for f in results.rglob("*") if f.is_file()}


def processes(run: Run) -> list[psutil.Process]:
    """The processes of a run's session that have not ended, even if Snakemake itself has."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == run.pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def readers(rulegraph: str) -> dict[str, set[str]]:
    """The rules that read each rule's output, from what `snakemake --rulegraph` prints."""
    names = dict(re.findall(r'^\t(\d+)\[label = "(\w+)"', rulegraph, re.MULTILINE))
    found: dict[str, set[str]] = {name: set() for name in names.values() if name != "all"}
    for source, reader in re.findall(r"^\t(\d+) -> (\d+)$", rulegraph, re.MULTILINE):
        found[names[source]] |= {names[reader]} - {"all"}
    return found


def jobs_in(text: str) -> list[str]:
    """The jobs that Snakemake's output names, sorted."""
    found = []
    for rule, details in _JOB.findall(text):
        chunk = _CHUNK.search(details)
        found.append(f"{rule} {chunk[1]}" if chunk else rule)
    return sorted(job for job in found if job != "all")


def figures_in(text: str) -> dict[str, list[str]]:
    """The figures that each rule draws, by the jobs that Snakemake's output names."""
    outputs = {rule: _OUTPUT.search(details) for rule, details in _JOB.findall(text)}
    figures = {
        rule: re.findall(r"results/figures/([\w-]+)\.svg", output[1])
        for rule, output in outputs.items()
        if output
    }
    return {rule: names for rule, names in figures.items() if names}


def copy_checkout(study: Study) -> None:
    study.root.mkdir()
    for name in SOURCES:
        source, target = CHECKOUT / name, study.root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    study.configure()
