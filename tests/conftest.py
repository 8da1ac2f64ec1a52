"""What all tests share: their workers fill the cores, so that each calculates in one thread."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy and SciPy are imported
