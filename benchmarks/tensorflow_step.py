"""Normals per second of the estimation step: TensorFlow, NumPy, and TFP used the obvious way.

    python benchmarks/tensorflow_step.py

One thread each, D = 64, 10,000 samples, 32 replicates, interleaved; medians of five rounds.
The obvious way is sample, two log_prob, subtract and cumsum in one tf.function, a replicate
a call; "at once" is the same for all replicates in one call. A step here ends with the running
mean of each replicate too, at the powers of two and at the end, by `mckl.traces.trace`.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from mckl.backends.tensorflow import tf, tfd
from mckl.estimators import ESTIMATORS
from mckl.points import SAMPLERS
from mckl.settings import grid_setting
from mckl.traces import checkpoints, trace


def obvious(dimension: int, samples: int, replicates: tuple[int, ...]) -> Callable[[], Any]:
    """One compiled call that makes the running means of `replicates` replicates."""
    one = tf.ones(dimension, tf.float64)
    q = tfd.MultivariateNormalDiag(0.25 * one, one)
    p = tfd.MultivariateNormalDiag(0.0 * one, 1.25 * one)
    count = tf.range(1, samples + 1, dtype=tf.float64)

    @tf.function
    def running(seed: Any) -> Any:
        z = q.sample((*replicates, samples), seed=seed)
        return tf.cumsum(q.log_prob(z) - p.log_prob(z), axis=-1) / count

    return running


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--replicates", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    setting = grid_setting(given.dimension, 1.25, 0.25)
    at = checkpoints(given.samples, 1)

    def step(backend: str) -> Callable[[], object]:
        return lambda: trace(
            setting, backend, SAMPLERS["iid"], [ESTIMATORS["k1"]],
            seed=1, samples=at, replicates=given.replicates,
        )  # fmt: skip

    single = obvious(given.dimension, given.samples, ())
    batched = obvious(given.dimension, given.samples, (given.replicates,))

    def one_by_one() -> None:
        for replicate in range(given.replicates):
            single(tf.constant([1, replicate])).numpy()

    ways: dict[str, Callable[[], object]] = {
        "numpy": step("numpy"),
        "tensorflow": step("tensorflow"),
        "obvious": one_by_one,
        "obvious, at once": lambda: batched(tf.constant([1, 0])).numpy(),
    }
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(given.rounds + 1):  # the first compiles and is not counted
        for name, run in ways.items():
            began, used = time.perf_counter(), time.process_time()
            run()
            if turn:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(time.process_time() - used)
    normals = given.dimension * given.samples * given.replicates
    for name in ways:
        print(
            json.dumps(
                {
                    "way": name,
                    "normals_per_second": round(normals / median(wall[name])),
                    "normals_per_cpu_second": round(normals / median(cpu[name])),
                }
            )
        )


if __name__ == "__main__":
    main()
