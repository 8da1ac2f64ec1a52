"""One SLURM for all cluster tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from workflow.conftest import finished, fresh  # noqa: F401 - fixtures

from .slurm import DAEMONS, Slurm
from .study import PLUGIN


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A SLURM of one node, started for the tests and stopped after them."""
    missing = [name for name in DAEMONS if not shutil.which(name)]
    missing += [] if PLUGIN.is_dir() else [f"{PLUGIN} (make test)"]
    missing += [] if os.geteuid() == 0 else ["root"]
    if missing and "CI" not in os.environ:  # there, missing is a failure
        pytest.skip(f"SLURM takes {', '.join(missing)}")
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
