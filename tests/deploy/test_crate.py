"""The metadata of published results is a valid Workflow Run RO-Crate, by roc-validator."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tools import PATIENCE, need

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.record.packing import pack
from mckl.study.settings import grid_setting
from mckl.study.theory_table import setting_rows

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
# `make deploy` installs the validator there.
PYTHON = Path(os.environ.get("MCKL_CRATE_PYTHON", CHECKOUT / ".venv/crate/bin/python"))
# What the validator recommends and is missing as long as the repository has no address; and what it
# says of the classes of schema.org, which are not in the crate.
NO_ADDRESS = {
    "process-run-crate-0.5_3.2": "source/Snakefile",
    "ro-crate-1.1_31.2": "#authors",
    "process-run-crate-0.5_5.1": "http",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two studies of one table, packed."""
    runs = {}
    for name in ("default", "plane"):
        path = tmp_path / name / "results/tables/settings.parquet"
        tables.write("settings", path, setting_rows([grid_setting(1, 0.8, 0.5)]), manifest({}))
        runs[name] = tmp_path / name
    pack(CHECKOUT, runs, tmp_path / "packed")
    return tmp_path / "packed"


def issues(folder: Path) -> tuple[int, list[str]]:
    need("roc-validator (make deploy)", PYTHON.exists())
    done = subprocess.run(
        [PYTHON, HERE / "validate_crate.py", folder],
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout.splitlines()


def test_the_metadata_is_valid(folder: Path) -> None:
    code, lines = issues(folder)
    assert code == 0, lines
    assert not [line for line in lines if not line.startswith("RECOMMENDED")]
    for line in lines:
        (known,) = (about for check, about in NO_ADDRESS.items() if f" {check}: " in line)
        assert known in line


@pytest.mark.parametrize("key", ["instrument", "mainEntity", "license"])
def test_the_validator_notices_what_is_missing(folder: Path, key: str) -> None:
    path = folder / "ro-crate-metadata.json"
    crate = json.loads(path.read_text())
    for entity in crate["@graph"]:
        entity.pop(key, None)
    path.write_text(json.dumps(crate))
    code, lines = issues(folder)
    assert code == 1
    assert [line for line in lines if line.startswith("REQUIRED")]
