"""How all tests share the machine: in what order, by how many workers, in how many threads."""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# The workers fill the cores. NumPy and SciPy, which read this, are imported later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# First what waits for others, or what takes long in one piece, so that short tests fill what is
# left at the end. The first of them also makes the study that most of the others look at.
FIRST = (
    "tests/cluster/",
    "tests/workflow/test_faults.py",
    "tests/tensorflow_backend/test_study.py",
    "tests/tensorflow_backend/",
    "tests/workflow/test_one_line.py",
    "tests/workflow/test_storage.py",
    "tests/workflow/test_gaps.py",
    "tests/browser/",
    "tests/unit/test_planted.py::test_honest",
    "tests/unit/test_adversarial.py",
    "tests/workflow/",
)
# Tests that share something costly are run by one worker.
TOGETHER = (
    ("tests/cluster/",),
    tuple(
        f"tests/tensorflow_backend/test_{name}.py"
        for name in ("backend", "families", "api", "gradients")
    ),
    ("tests/tensorflow_backend/test_study.py",),
    ("tests/workflow/test_one_line.py",),
    ("tests/workflow/test_gaps.py",),
    ("tests/browser/", "tests/show/"),
    ("tests/unit/test_libraries.py",),
    ("tests/unit/test_planted.py::test_honest",),
    ("tests/unit/test_adversarial.py",),
    ("tests/unit/test_traces.py::test_measured_mse",),
    ("tests/unit/test_strata.py::test_variance_and_fourth_cumulant",),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of `FIRST` first, in its order."""

    def rank(item: pytest.Item) -> int:
        return next((i for i, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))

    items.sort(key=rank)


class Scheduler(LoadScopeScheduling):
    """Hands out tests one by one in their order, those of `TOGETHER` in one piece.

    The marker `xdist_group` does nothing with pytest 9.2 and pytest-xdist 3.8.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((paths[0] for paths in TOGETHER if nodeid.startswith(paths)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Make xdist use this scheduler and keep the order of the tests."""
    config.option.loadscopereorder = False
    return Scheduler(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores, since some tests wait."""
    return (os.cpu_count() or 1) + 1
