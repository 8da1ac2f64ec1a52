"""training.parquet: plain gradient descent on KL(q_theta||p) with each gradient estimator.

There are two small problems, whatever the config: a token with three values, and a normal law
in one dimension. Each run is compared with descent along the exact mean of the method, which has no
noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.draw.streams import generator
from mckl.estimation.gradients import METHODS
from mckl.estimation.gradients.base import Method, law_of
from mckl.estimation.gradients.simulate import simulate
from mckl.families.exponential.scores import CategoricalScores
from mckl.families.normal.pair import pair
from mckl.families.scores import Scores
from mckl.limits import SEED

SAMPLES, STEPS, RUNS, EVERY = 16, 120, 3, 3
SHOWN = (
    "score", "score-loo", "pathwise", "stl", "full-sum", "k1-loss", "k2-loss", "k3-loss",
    "k3-reward", "k3-loss-ratio",
)  # fmt: skip
_LOST = 1e3  # a run ends when its KL exceeds this, in nats


class Problem(NamedTuple):
    """A training problem.

    name       the name in the table
    about      q at the start, and p, in words
    start      theta at the start
    scores_at  a function of theta that returns the scores of q, and factors by which their
               gradient is multiplied to give that in theta
    rate       the learning rate
    """

    name: str
    about: str
    start: Sequence[float]
    scores_at: Callable[[Vector], tuple[Scores, Vector]]
    rate: float


_Q, _P = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6])


def _token(theta: Vector) -> tuple[Scores, Vector]:
    q = np.exp(theta - theta.max())
    q /= q.sum()
    with np.errstate(divide="ignore"):
        return CategoricalScores(q, np.log(q / _P)), np.ones(3)


def _normal(theta: Vector) -> tuple[Scores, Vector]:
    """For theta = (mu, log sigma). The family's mean parameter is mu divided by sigma at theta."""
    mean, sd = float(theta[0]), math.exp(theta[1])
    scores = pair([mean], [sd], [0.0], [1.0]).scores
    return scores, np.array([1.0 / sd, 1.0])


PROBLEMS = (
    Problem("token", "q = (0.7, 0.2, 0.1), p = (0.1, 0.3, 0.6)", [*np.log(_Q)], _token, 0.1),
    Problem("normal", "q = N(1.5, 1), p = N(0, 1)", [1.5, 0.0], _normal, 0.02),
)


def training_rows(methods: Iterable[str] = METHODS, seed: int = SEED) -> dict[str, list[Any]]:
    """The columns of training.parquet, for the methods in `SHOWN` that each problem has."""
    chosen = [name for name in methods if name in SHOWN]
    out: dict[str, list[Any]] = {
        name: [] for name in ("problem", "method", "run", "step", "kl", "predicted_kl")
    }
    for problem in PROBLEMS:
        scores, _ = problem.scores_at(np.array(problem.start))
        for name in chosen:
            method = METHODS[name]
            if not method.offered(scores):
                continue
            predicted = descend(problem, _exact_mean(method))
            for run in range(RUNS):
                stream = generator(seed, "training", problem.name, name, run)
                kl = descend(problem, _estimate(method, stream))
                for step, (one, other) in enumerate(zip(kl, predicted, strict=True)):
                    if step % EVERY == 0:
                        row = (problem.name, name, run, step, one, other)
                        for column, value in zip(out.values(), row, strict=True):
                            column.append(value)
    return out


def descend(problem: Problem, gradient: Callable[[Scores], Vector]) -> list[float]:
    """KL, in nats, before every step and after the last; NaN once a run has diverged."""
    theta, out = np.array(problem.start, dtype=float), []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(STEPS + 1):
            scores, inner = problem.scores_at(theta)
            if not scores.kl < _LOST:
                break
            out.append(scores.kl)
            theta = theta - problem.rate * gradient(scores) * inner
            if not np.isfinite(theta).all() or np.abs(theta).max() > _LOST:
                break
    return out + [math.nan] * (STEPS + 1 - len(out))


def _exact_mean(method: Method) -> Callable[[Scores], Vector]:
    return lambda scores: law_of(method, scores, 1).mean_at(SAMPLES)


def _estimate(method: Method, stream: np.random.Generator) -> Callable[[Scores], Vector]:
    def gradient(scores: Scores) -> Vector:
        ((_, _, estimate),) = simulate(scores, [method], stream, 1, [SAMPLES])
        return np.asarray(estimate[0])

    return gradient


def labels(problem: str) -> Mapping[str, Any]:
    """A problem's description and learning rate, for figures."""
    chosen = next(p for p in PROBLEMS if p.name == problem)
    return {"about": chosen.about, "rate": chosen.rate}
