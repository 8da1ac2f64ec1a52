"""CPU time of estimators by factor beside the kernel that gives l alone, as ratios of one run.

    python benchmarks/factors.py

A line a family and dimension: samples a second with l alone, with every sum over factors, and their
ratio; then the estimators of the whole l and all estimators, in the traces of a study.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import BLOCK, traces
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.exact.factor_sums import SUMS
from mckl.families.registry import sweep_pair

SAMPLES, REPLICATES, BLOCKS = 2**14, 12, 16
CELLS = [
    ("normal", 64, 1.25, 0.25),
    ("normal", 64, 1.0, 0.001),
    ("normal", 4, 1.25, 0.25),
    ("normal", 1, 1.25, 0.25),
    ("student-t(5)", 16, 1.25, 0.25),
    ("laplace", 16, 1.25, 0.25),
    ("logistic", 16, 1.25, 0.25),
    ("gamma(2)", 16, 1.25, 0.25),
]


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds, the least of five."""
    spent = []
    for _ in range(5):
        began = time.process_time()
        run()
        spent.append(time.process_time() - began)
    return min(spent)


class Cell:
    """One pair with one sampler."""

    def __init__(self, family: str, dimension: int, scale: float, offset: float, name: str) -> None:
        self.pair = sweep_pair(family, dimension, scale, offset)
        self.sampler = SAMPLERS[name]
        self.points = self.sampler.points.points

    def kernel(self, sums: Sequence[str]) -> None:
        form = self.sampler.form(self.pair)
        replicates = backends.load("numpy")([form], self.sampler.points, sums)
        following = replicates([self.sampler.key("numpy", form, 1, 0)])
        for _ in range(BLOCKS):
            following(BLOCK)

    def traces(self, estimators: Sequence[Estimator]) -> None:
        traces(
            {"pair": self.pair}, "numpy", self.sampler, estimators,
            seed=1, samples=[SAMPLES], replicates=REPLICATES,
        )  # fmt: skip


def main() -> None:
    whole = [e for e in ESTIMATORS.values() if not e.sums]
    every = [e for e in ESTIMATORS.values() if {*e.sums} <= {*SUMS}]
    for of in CELLS:
        for name in ("iid", "antithetic"):
            cell = Cell(*of, name)
            alone, sums = (seconds(partial(cell.kernel, some)) for some in ((), tuple(SUMS)))
            times = [seconds(partial(cell.traces, some)) for some in (whole[:1], whole, every)]
            n = BLOCKS * BLOCK * cell.points
            family, dimension, scale, offset = of
            print(
                f"{family:13} D {dimension:3} scale {scale} offset {offset} {name:10} "
                f"l alone {n / alone / 1e6:6.2f} M/s, with sums {n / sums / 1e6:6.2f}, ratio "
                f"{alone / sums:.2f}, a number {1e9 * (sums - alone) / n / dimension:.2f} ns; "
                f"traces: k1 {times[0]:.3f} s, of the whole {times[1]:.3f}, all {times[2]:.3f}"
            )


if __name__ == "__main__":
    main()
