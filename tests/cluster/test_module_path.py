"""Jobs of a real SLURM import nothing from the study's folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import decoys
import pytest

from .slurm import Slurm, wait
from .study import PLUGIN

pytestmark = pytest.mark.slow


def test_jobs_import_no_module_of_the_folder(slurm: Slurm, tmp_path: Path) -> None:
    command = decoys.plant(tmp_path)
    profile = ("--profile", str(decoys.CHECKOUT / "profiles/slurm"), "--latency-wait", "150")
    polled = ("--slurm-init-seconds-before-status-checks", "1", "--retries", "0")
    with (
        (tmp_path / "output").open("w+") as output,
        subprocess.Popen(
            [*command, *profile, *polled, "--", *decoys.TARGETS],
            cwd=tmp_path, env=os.environ | slurm.environment | {"PYTHONPATH": str(PLUGIN)},
            stdout=output, stderr=output,
        ) as run,
    ):  # fmt: skip
        try:
            wait("the run ends", lambda: run.poll() is not None or decoys.imported(tmp_path))
            assert decoys.imported(tmp_path) == set()
            assert run.returncode == 0, (tmp_path / "output").read_text()
        finally:
            run.kill()
    assert all((tmp_path / target).exists() for target in decoys.TARGETS)
