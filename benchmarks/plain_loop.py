"""The sweep without a workflow: the notebook's formula in a loop, on all cores.

    python benchmarks/plain_loop.py CONFIG OUTPUT CORES

Every setting of a config, iid and k1 alone: what one writes before one knows Snakemake. Nothing is
resumed, cached, checked or drawn.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import multiprocessing
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from mckl.estimation.traces import checkpoints
from mckl.study.config import parse
from mckl.study.settings import Setting

SCHEMA = Path(__file__).parents[1] / "workflow" / "schemas" / "config.schema.yaml"


def running_means(setting: Setting, replicates: int, at: Sequence[int]) -> pd.DataFrame:
    """The running mean of every replicate of a setting, at the checkpoints."""
    pair, rows = setting.pair, np.array(at) - 1
    parts = []
    for replicate in range(replicates):
        z = np.random.default_rng().normal(pair.q_mean, pair.q_sd, (at[-1], pair.dimension))
        q, p = (z - pair.q_mean) / pair.q_sd, (z - pair.p_mean) / pair.p_sd
        ell = (0.5 * (p * p - q * q) + np.log(pair.p_sd / pair.q_sd)).sum(axis=-1)
        mean = np.cumsum(ell) / np.arange(1, at[-1] + 1)
        parts.append(
            pd.DataFrame(
                {
                    "setting": setting.name,
                    "replicate": replicate,
                    "samples": at,
                    "estimate": mean[rows],
                }
            )
        )
    return pd.concat(parts)


def main() -> None:
    config, output, cores = sys.argv[1:]
    study = parse(yaml.safe_load(Path(config).read_text()), yaml.safe_load(SCHEMA.read_text()))
    one = partial(
        running_means, replicates=study.replicates, at=checkpoints(study.samples, 1)
    )  # fmt: skip
    with multiprocessing.Pool(int(cores)) as pool:
        pd.concat(pool.map(one, study.settings, chunksize=1)).to_parquet(output)


if __name__ == "__main__":
    main()
