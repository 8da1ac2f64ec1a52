"""How all tests share the machine: in what order, by how many workers, in how many threads."""

from __future__ import annotations

import os

import pytest

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
    "tests/workflow/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in that order."""

    def rank(item: pytest.Item) -> int:
        return next((i for i, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))

    items.sort(key=rank)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores, since some tests wait."""
    return (os.cpu_count() or 1) + 1
