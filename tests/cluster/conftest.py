"""One SLURM for all cluster tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from tools import need
from workflow.conftest import finished, fresh  # noqa: F401 - fixtures

from .slurm import DAEMONS, OWN_PROCESSES, Slurm
from .study import PLUGIN


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A SLURM of one node, started for the tests and stopped after them."""
    for name in DAEMONS:
        need(f"SLURM's {name}", shutil.which(name))
    need(f"SLURM's plugin in {PLUGIN} (make test installs it)", PLUGIN.is_dir())
    need("root, who starts SLURM's daemons,", os.geteuid() == 0)
    alone = subprocess.run([*OWN_PROCESSES, "true"], capture_output=True, check=False)
    need("a way to give SLURM's node its own processes (unshare --pid)", alone.returncode == 0)
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
