"""CPU time of estimators by factor beside the kernel that gives l alone, as ratios of one run.

    python benchmarks/factors.py

A line a family and dimension: samples a second with l alone, with every sum over factors, and their
ratio; then the estimators of the whole l and all estimators, in the traces of a study.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import traces
from mckl.estimation.values import ESTIMATORS
from mckl.exact.integrands import SUMS
from mckl.families.registry import sweep_pair

SAMPLES, REPLICATES = 2**14, 12
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


def main() -> None:
    numpy = backends.load("numpy")
    whole = [e for e in ESTIMATORS.values() if not e.sums]
    by_factor = [e for e in ESTIMATORS.values() if {*e.sums} <= {*SUMS}]
    for family, dimension, scale, offset in CELLS:
        pair = sweep_pair(family, dimension, scale, offset)
        for name in ("iid", "antithetic"):
            sampler = SAMPLERS[name]
            form, points = sampler.form(pair), sampler.points.points

            def kernel(*sums: str) -> None:
                kernel = numpy.kernel([form], points, sums=sums)
                draw = sampler.start(numpy, form, 1, 0)
                for _ in range(16):
                    kernel.evaluate([draw], 1024)

            def study(*some: object) -> None:
                traces(
                    {"pair": pair}, "numpy", sampler, some,
                    seed=1, samples=[SAMPLES], replicates=REPLICATES,
                )  # fmt: skip

            alone, sums = seconds(kernel), seconds(lambda: kernel(*SUMS))
            k1, four, every = (
                seconds(lambda s=s: study(*s)) for s in (whole[:1], whole, by_factor)
            )
            n = 16 * 1024 * points
            each = (sums - alone) / n / dimension
            print(
                f"{family:13} D {dimension:3} scale {scale} offset {offset} {name:10} "
                f"l alone {n / alone / 1e6:6.2f} M/s, with sums {n / sums / 1e6:6.2f}, "
                f"ratio {alone / sums:.2f}, a number {1e9 * each:.2f} ns; "
                f"traces: k1 {k1:.3f} s, of the whole {four:.3f}, all {every:.3f}"
            )


if __name__ == "__main__":
    main()
