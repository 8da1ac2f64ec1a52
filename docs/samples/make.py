"""Writes the made-up samples that the commands in README and docs read.

Run it anywhere: python docs/samples/make.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
rng = np.random.default_rng(20261130)

# %% Tokens of 600 sequences under a policy q and its reference p, which is near. The log ratio of a
# token has the mean 0.005 under q, and the mean of p/q is 1: a normal with half its variance.
lengths = rng.integers(6, 13, 600)
episode = np.repeat(np.arange(600), lengths)
policy = np.log(rng.beta(2, 2, episode.size))
reference = policy - 0.005 - 0.1 * rng.normal(size=episode.size)
policy, reference = policy.astype(np.float32), reference.astype(np.float32)
columns = {"episode": episode, "policy_logp": policy, "ref_logp": reference}
pq.write_table(pa.table(columns), HERE / "rollout.parquet")
np.save(HERE / "lq.npy", policy)
np.save(HERE / "lp.npy", reference)
np.save(HERE / "ids.npy", episode.astype(np.uint16))

# %% Batches of whole samples, as a trainer prints them while it runs.
with (HERE / "batches.jsonl").open("w", encoding="utf-8") as lines:
    for _ in range(4):
        z = rng.normal(size=100)
        batch = {"log_q": -0.5 * z**2, "log_p": -0.5 * (z - 0.5) ** 2}
        lines.write(json.dumps({k: np.round(v, 4).tolist() for k, v in batch.items()}) + "\n")

# %% Parameters: a posterior of 1,000 coordinates and its prior, a covariance, and two categoricals.
mean, sd = 0.3 * rng.normal(size=1000), rng.uniform(0.5, 1.0, 1000)
np.savez(HERE / "posterior.npz", mean=mean.astype(np.float32), sd=sd.astype(np.float32))
(HERE / "prior.csv").write_text("mean,sd\n" + 1000 * "0,1\n")
np.save(HERE / "cov.npy", np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.4], [0.2, 0.4, 1.0]]))
np.save(HERE / "q.npy", np.array([0.7, 0.2, 0.1]))
np.save(HERE / "p.npy", np.array([0.1, 0.3, 0.6]))

# %% Two shards, a training step each: 8 completions of each of 24 prompts, with a list of tokens.
for step in (1, 2):
    with (HERE / f"step-{step}.jsonl").open("w", encoding="utf-8") as lines:
        for completion in range(192):
            log_q = np.log(rng.beta(2, 2, rng.integers(3, 8)))
            log_p = log_q - 0.01 * step - np.sqrt(0.02 * step) * rng.normal(size=log_q.size)
            row = {"step": step, "prompt": f"{step}-{completion // 8}"}
            row |= {"log_q": log_q.round(4).tolist(), "log_p": log_p.round(4).tolist()}
            lines.write(json.dumps(row) + "\n")
