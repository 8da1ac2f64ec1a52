"""Ways to do the same work: ours, the notebook's, and what the libraries offer.

Every function here returns a function that takes nothing and runs once. The work is R running
means of n log density ratios in D dimensions, the estimate recorded at the powers of two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import checkpoints, traces
from mckl.estimation.values import ESTIMATORS
from mckl.study.settings import grid_setting

SCALE, OFFSET = 1.25, 0.25
Run = Callable[[], object]


class Work(NamedTuple):
    """How much is done."""

    dimension: int
    samples: int
    replicates: int

    @property
    def normals(self) -> int:
        """How many normals a full sampler draws for it."""
        return self.dimension * self.samples * self.replicates


def raw_fill(work: Work, bits: type[np.random.BitGenerator] = np.random.SFC64) -> Run:
    """A generator of NumPy's fills a buffer that stays in cache; nothing is evaluated."""
    generator, buffer = np.random.Generator(bits(1)), np.empty(8192)

    def run() -> None:
        for _ in range(work.normals // buffer.size):
            generator.standard_normal(out=buffer)

    return run


def ours(
    work: Work,
    sampler: str,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    backend: str = "numpy",
    offsets: Sequence[float] = (OFFSET,),
    family: str = "normal",
) -> Run:
    """The estimation step of the study, for settings that share their draws."""
    settings = [grid_setting(work.dimension, SCALE, offset, family) for offset in offsets]
    pairs = {setting.name: setting.pair for setting in settings}
    return lambda: traces(
        pairs, backend, SAMPLERS[sampler], [ESTIMATORS[e] for e in estimators],
        seed=1, samples=checkpoints(work.samples, 1), replicates=work.replicates,
    )  # fmt: skip


def _log_density(z: np.ndarray, mean: float, sd: float) -> np.ndarray:
    return -0.5 * ((z - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2.0 * np.pi)


def _notebook_samples(work: Work, seed: int) -> np.ndarray:
    z = np.random.default_rng(seed).normal(OFFSET, 1.0, (work.samples, work.dimension))
    return np.sum(_log_density(z, OFFSET, 1.0) - _log_density(z, 0.0, SCALE), axis=1)


def notebook_numpy(work: Work) -> Run:
    """The notebook's formula in NumPy: sample, two log densities, a cumulative mean."""
    count = np.arange(1, work.samples + 1)

    def run() -> None:
        for seed in range(work.replicates):
            np.cumsum(_notebook_samples(work, seed)) / count

    return run


def notebook_pandas(work: Work) -> Run:
    """The same with the notebook's `expanding().mean()` of pandas."""
    import pandas as pd

    def run() -> None:
        for seed in range(work.replicates):
            pd.Series(_notebook_samples(work, seed)).expanding().mean()

    return run


def tfp(work: Work, how: str, family: str = "normal") -> Run:
    """TensorFlow Probability, a replicate a call: `eager`, as a `graph`, or with `xla`."""
    from mckl.draw.backends.tensorflow import tf, tfd

    one = tf.ones(work.dimension, tf.float64)
    make = {
        "normal": tfd.MultivariateNormalDiag,
        "student-t(5)": lambda *where: tfd.Independent(tfd.StudentT(5.0 * one, *where), 1),
        "laplace": lambda *where: tfd.Independent(tfd.Laplace(*where), 1),
        "logistic": lambda *where: tfd.Independent(tfd.Logistic(*where), 1),
    }[family]
    q, p = make(OFFSET * one, one), make(0.0 * one, SCALE * one)
    count = tf.range(1, work.samples + 1, dtype=tf.float64)

    def running(seed: object) -> object:
        z = q.sample(work.samples, seed=seed)
        return tf.cumsum(q.log_prob(z) - p.log_prob(z)) / count

    if how != "eager":
        running = tf.function(running, jit_compile=how == "xla")

    def run() -> None:
        for replicate in range(work.replicates):
            running(tf.constant([1, replicate])).numpy()

    return run


def torch_distributions(work: Work) -> Run:
    """torch.distributions in float64, a replicate a call."""
    import torch
    from torch import distributions

    torch.set_num_threads(1)
    torch.manual_seed(1)
    one = torch.ones(work.dimension, dtype=torch.float64)
    q = distributions.Independent(distributions.Normal(OFFSET * one, one), 1)
    p = distributions.Independent(distributions.Normal(0.0 * one, SCALE * one), 1)
    count = torch.arange(1, work.samples + 1, dtype=torch.float64)

    def run() -> None:
        with torch.no_grad():
            for _ in range(work.replicates):
                z = q.sample((work.samples,))
                torch.cumsum(q.log_prob(z) - p.log_prob(z), 0) / count

    return run


def numpy_draw(work: Work, family: str) -> Run:
    """As many numbers by the generator's own method for a family; nothing is evaluated."""
    generator = np.random.Generator(np.random.SFC64(1))
    draw = {
        "student-t(5)": lambda size: generator.standard_t(5, size),
        "laplace": lambda size: generator.laplace(size=size),
        "logistic": lambda size: generator.logistic(size=size),
    }[family]

    def run() -> None:
        for _ in range(work.normals // 8192):
            draw(8192)

    return run


def scipy_stats(work: Work, family: str) -> Run:
    """scipy.stats: rvs, two logpdf, a cumulative mean; a replicate a call."""
    from scipy import stats

    law = {
        "student-t(5)": partial(stats.t, 5), "laplace": stats.laplace, "logistic": stats.logistic,
    }[family]  # fmt: skip
    q, p = law(OFFSET, 1.0), law(0.0, SCALE)
    count = np.arange(1, work.samples + 1)

    def run() -> None:
        for seed in range(work.replicates):
            generator = np.random.Generator(np.random.SFC64(seed))
            z = q.rvs((work.samples, work.dimension), random_state=generator)
            np.cumsum(np.sum(q.logpdf(z) - p.logpdf(z), axis=1)) / count

    return run


def of_family(work: Work, family: str) -> Mapping[str, Run]:
    """The ways of `docs/explanation/benchmarks.md`'s table of families."""
    return {
        "NumPy's draw": numpy_draw(work, family),
        "scipy.stats": scipy_stats(work, family),
        **{f"TFP, {how}": tfp(work, how, family) for how in ("eager", "graph", "xla")},
        "ours": ours(work, "iid", ["k1"], family=family),
        "ours, 3 settings": ours(work, "iid", ["k1"], offsets=[0.0, 0.5, 1.0], family=family),
    }


def one_core(work: Work) -> Mapping[str, Run]:
    """The ways of `docs/explanation/benchmarks.md`'s first table, by their names there."""
    three, twelve = np.linspace(0.0, 1.0, 3).tolist(), np.linspace(0.0, 1.0, 12).tolist()
    return {
        "raw fill": raw_fill(work),
        "raw fill, PCG64DXSM": raw_fill(work, np.random.PCG64DXSM),
        "raw fill, PCG64": raw_fill(work, np.random.PCG64),
        "raw fill, Philox": raw_fill(work, np.random.Philox),
        "ours, iid, k1": ours(work, "iid", ["k1"]),
        "ours, iid, all estimators": ours(work, "iid"),
        "ours, iid, 3 settings": ours(work, "iid", offsets=three),
        "ours, iid, 12 settings": ours(work, "iid", offsets=twelve),
        "ours, iid-radial": ours(work, "iid-radial"),
        "ours, sobol": ours(work, "sobol"),
        "ours, sobol, 12 settings": ours(work, "sobol", offsets=twelve),
        "ours, sobol-radial": ours(work, "sobol-radial"),
        "ours, TensorFlow, iid, k1": ours(work, "iid", ["k1"], "tensorflow"),
        "ours, TensorFlow, 12 settings": ours(work, "iid", ["k1"], "tensorflow", twelve),
        "notebook, NumPy": notebook_numpy(work),
        "notebook, pandas": notebook_pandas(work),
        "TFP, eager": tfp(work, "eager"),
        "TFP, graph": tfp(work, "graph"),
        "TFP, XLA": tfp(work, "xla"),
        "torch.distributions": torch_distributions(work),
    }
