"""Time sequences of policies beside the plain NumPy way and TensorFlow Probability's MarkovChain.

    python benchmarks/policies.py [--rounds N]

Writes docs/explanation/policies.md. In each round every way runs once.
"""

from __future__ import annotations

import os

os.environ.update(
    dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
         "TF_NUM_INTEROP_THREADS"), "1",
    ),
    TF_CPP_MIN_LOG_LEVEL="3",
)  # fmt: skip

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from side_by_side import interleaved, machine, spread, table

from mckl.draw.points import SAMPLERS
from mckl.estimation.offered import offered_estimators
from mckl.estimation.traces import checkpoints, traces
from mckl.estimation.values import ESTIMATORS
from mckl.families.policy.pair import PolicyPair
from mckl.families.registry import sweep_pair

DOCS = Path(__file__).parents[1] / "docs"
STATES, TOKENS, SCALE, OFFSET = 64, 256, 1.25, 0.25
SAMPLES, REPLICATES, PEERS = 2048, 12, 4096
Run = Callable[[], object]


def policy(scale: float = SCALE) -> PolicyPair:
    pair = sweep_pair(f"policy({STATES})", TOKENS, scale, OFFSET)
    assert isinstance(pair, PolicyPair)
    return pair


def ours(
    names: list[str], replicates: int = REPLICATES, scales: tuple[float, ...] = (SCALE,)
) -> Run:
    """The estimation step of the study, for settings that share their draws."""
    pairs = {str(scale): policy(scale) for scale in scales}
    estimators = [ESTIMATORS[name] for name in names]
    return lambda: traces(
        pairs, "numpy", SAMPLERS["iid"], estimators, seed=1, samples=checkpoints(SAMPLES, 1),
        replicates=replicates,
    )  # fmt: skip


def plain() -> Run:
    """Per token: a uniform number, a search in a cumulative row, a gather of log ratios."""
    of, generator = policy().transitions, np.random.default_rng(1)
    rows = of.q.cumsum(axis=1)
    rows[:, -1] = 1.0
    above = (rows + np.arange(STATES)[:, None]).ravel()

    def run() -> float:
        x = generator.integers(STATES, size=PEERS)
        total = np.zeros(PEERS)
        for _ in range(TOKENS):
            u = generator.random(PEERS)
            y = np.searchsorted(above, u + x, side="right") - x * STATES
            total += of.ell[x, y]
            x = y
        return float(total.mean())

    return run


def uniforms() -> Run:
    """The uniform numbers alone."""
    generator = np.random.Generator(np.random.SFC64(1))
    return lambda: [generator.random(8192) for _ in range(PEERS * TOKENS // 8192)]


def tfp(graph: bool) -> Run:
    """MarkovChain's sample, and log_prob under q and p."""
    import tensorflow as tf
    import tensorflow_probability as tfp

    tfd = tfp.distributions
    of = policy().transitions

    def chain(log_rows: np.ndarray) -> object:
        logits = tf.constant(log_rows)
        return tfd.MarkovChain(
            tfd.Categorical(logits=tf.zeros(STATES, tf.float64)),
            lambda _, x: tfd.Categorical(logits=tf.gather(logits, x)),
            num_steps=TOKENS + 1,
        )

    q, p = chain(of.log_q), chain(of.log_q - of.ell)

    def run() -> object:
        z = q.sample(PEERS // 4, seed=1)
        return tf.reduce_mean(q.log_prob(z) - p.log_prob(z))

    compiled = tf.function(run) if graph else run
    return lambda: float(compiled())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    every = list(offered_estimators(policy(), SAMPLERS["iid"], tuple(ESTIMATORS)))
    one, three = SAMPLES * REPLICATES * TOKENS, (0.8, 1.25, 2.0)
    ways: dict[str, tuple[Run, float]] = {
        "the uniform numbers alone": (uniforms(), PEERS * TOKENS),
        "TFP's MarkovChain, eager": (tfp(False), PEERS // 4 * TOKENS),
        "TFP's MarkovChain, graph": (tfp(True), PEERS // 4 * TOKENS),
        "plain NumPy": (plain(), PEERS * TOKENS),
        "ours, k1": (ours(["k1"]), one),
        "ours, every estimator": (ours(every), one),
        "ours, every estimator, 3 settings that share draws": (ours(every, scales=three), 3 * one),
        "ours, every estimator, one replicate": (ours(every, 1), one / REPLICATES),
    }
    seconds = interleaved({name: run for name, (run, _) in ways.items()}, rounds)
    speed = pd.DataFrame({name: n / seconds[name] / 1e6 for name, (_, n) in ways.items()})
    best = speed[[name for name in speed if name.startswith("TFP")]].max(axis=1)
    ratios = [
        ["every estimator : TFP's best way", spread(speed["ours, every estimator"] / best)],
        ["every estimator : plain NumPy",
         spread(speed["ours, every estimator"] / speed["plain NumPy"])],
        ["k1 : plain NumPy", spread(speed["ours, k1"] / speed["plain NumPy"])],
    ]  # fmt: skip
    text = Path(__file__).with_name("pages").joinpath("policies.md").read_text().format(
        speed=table("way | M tokens/s", [[name, spread(speed[name])] for name in speed]),
        ratios=table("ratio | median (quartiles)", ratios),
        tokens=TOKENS, states=STATES, scale=SCALE, offset=OFFSET, rounds=rounds,
        replicates=REPLICATES, samples=SAMPLES,
        machine=machine(("numpy", "tensorflow", "tensorflow-probability")),
    )  # fmt: skip
    (DOCS / "explanation" / "policies.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
