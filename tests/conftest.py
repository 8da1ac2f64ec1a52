"""How all tests share the machine, and the width of the terminal that they see."""

from __future__ import annotations

import os

# The workers fill the cores. NumPy and SciPy, which read this, are imported later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["COLUMNS"] = "100"


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores, since some tests wait."""
    return (os.cpu_count() or 1) + 1
