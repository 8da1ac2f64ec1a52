"""A run on one machine and the command import nothing from the study's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import decoys
import pytest


def assert_clean(folder: Path, command: list[str]) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if command[0].endswith("mckl"):
        environment["PYTHONPATH"] = str(decoys.CHECKOUT / "src")
    done = subprocess.run(
        command, cwd=folder, env=environment, timeout=300, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert decoys.imported(folder) == set()
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_run_imports_no_module_of_the_folder(tmp_path: Path) -> None:
    assert_clean(tmp_path, [*decoys.plant(tmp_path), "--", *decoys.TARGETS])


def test_the_command_imports_no_module_of_the_folder(tmp_path: Path) -> None:
    decoys.plant(tmp_path)
    assert_clean(tmp_path, [str(Path(sys.executable).with_name("mckl")), "kl", "-d", "1"])


def test_the_decoys_would_be_noticed(tmp_path: Path) -> None:
    decoys.plant(tmp_path)
    subprocess.run(
        [sys.executable, "-m", "mckl", "kl"], cwd=tmp_path, check=True, capture_output=True
    )
    assert decoys.imported(tmp_path) == {"mckl"}
