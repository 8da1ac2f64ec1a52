"""The speed of this machine at present, in which CPU times and their forecasts are measured."""

from __future__ import annotations

import time

import numpy as np

NANOSECONDS_A_NORMAL = 7.6  # of the raw fill on the machine of docs/scaling.md


def raw_fill() -> float:
    """CPU nanoseconds a normal of NumPy's raw fill here and now."""
    generator, buffer = np.random.Generator(np.random.SFC64(1)), np.empty(8192)
    began = time.process_time()
    for _ in range(200):
        generator.standard_normal(out=buffer)
    return (time.process_time() - began) / 200 / buffer.size * 1e9
