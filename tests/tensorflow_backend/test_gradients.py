"""What a framework does with each loss: real losses on a real tape, against the exact gradients.

The losses are written as users write them. On the same samples the tape's gradient must be ours to
rounding; over a large batch it must be what the exact law says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pytest

from mckl.estimation.gradients import METHODS
from mckl.estimation.gradients.base import law_of
from mckl.estimation.gradients.gradient_theory import norm, total
from mckl.estimation.gradients.simulate import simulate
from mckl.families.policy.scores import ChainScores
from mckl.families.registry import case_pair
from mckl.families.scores import Scores

tf: Any = None


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """Import TensorFlow where the tests run, and not wherever they are collected."""
    global tf
    tf = import_module("tensorflow")


SAMPLES = 20_000


class Batch(NamedTuple):
    """What a loss is made of: log q and log p of every token, shape (samples, tokens).

    full  KL of every token over the whole vocabulary, given the tokens before it
    z     the samples' log q and log p where the samples move with the parameters; `frozen` the same
          with the parameters of log q held fixed
    """

    log_q: Any
    log_p: Any
    full: Any = None
    moving: Any = None
    frozen: Any = None


def stop(x: Any) -> Any:
    return tf.stop_gradient(x)


def mean(x: Any) -> Any:
    """Mean over samples of the sums over tokens."""
    return tf.reduce_mean(tf.reduce_sum(x, axis=1))


def whole(x: Any) -> Any:
    return tf.reduce_sum(x, axis=1, keepdims=True)


def k3(log_q: Any, log_p: Any) -> Any:
    return tf.exp(log_p - log_q) - 1.0 + (log_q - log_p)


def rest(x: Any) -> Any:
    """Sums from a token to the last."""
    return tf.cumsum(x, axis=1, reverse=True)


def others(x: Any) -> Any:
    """The mean over the other samples."""
    n = tf.cast(tf.shape(x)[0], x.dtype)
    return (tf.reduce_sum(x, axis=0, keepdims=True) - x) / (n - 1.0)


def ratio(log_q: Any) -> Any:
    """The importance ratio q_theta / q, which is 1."""
    return tf.exp(log_q - stop(log_q))


def clip(x: Any, limit: float) -> Any:
    return tf.clip_by_value(x, -limit, limit)


def low_variance_kl(log_q: Any, log_p: Any) -> Any:
    negative = clip(log_p - log_q, 20.0)
    return clip(tf.exp(negative) - negative - 1.0, 10.0)


def of_sequence(f: Callable[[Any, Any], Any]) -> Callable[[Batch], Any]:
    """A loss of the whole log q and log p."""
    return lambda b: mean(f(whole(b.log_q), whole(b.log_p)))


LOSSES: dict[str, Callable[[Batch], Any]] = {
    "score": of_sequence(lambda q, p: stop(q - p) * q),
    "score-batch": of_sequence(lambda q, p: stop(q - p - tf.reduce_mean(q - p)) * q),
    "score-loo": of_sequence(lambda q, p: stop(q - p - others(q - p)) * q),
    "k1-loss": of_sequence(lambda q, p: q - p),
    "k2-loss": of_sequence(lambda q, p: 0.5 * (q - p) ** 2),
    "k3-loss": of_sequence(k3),
    "k3-reward": of_sequence(lambda q, p: stop(k3(q, p)) * q),
    "k3-loss-ratio": of_sequence(lambda q, p: ratio(q) * k3(q, p)),
    "k1-reward-clamped": of_sequence(lambda q, p: stop(clip(q - p, 10.0)) * q),
    "pathwise": lambda b: mean(b.moving[0] - b.moving[1]),
    "stl": lambda b: mean(b.frozen - b.moving[1]),
    "full-sum": lambda b: mean(b.full),
    "full-sum-to-go": lambda b: mean(b.full + stop(rest(b.full) - b.full) * b.log_q),
    "score-to-go": lambda b: mean(stop(rest(b.log_q - b.log_p)) * b.log_q),
    "k2-loss-factor": lambda b: mean(0.5 * (b.log_q - b.log_p) ** 2),
    "k3-loss-factor": lambda b: mean(k3(b.log_q, b.log_p)),
    "k3-reward-factor": lambda b: mean(stop(k3(b.log_q, b.log_p)) * b.log_q),
    "k3-reward-to-go": lambda b: mean(stop(rest(k3(b.log_q, b.log_p))) * b.log_q),
    "k3-loss-ratio-factor": lambda b: mean(ratio(b.log_q) * k3(b.log_q, b.log_p)),
    "score-to-go-clamped": lambda b: mean(stop(rest(clip(b.log_q - b.log_p, 10.0))) * b.log_q),
    "k3-loss-clamped": lambda b: mean(low_variance_kl(b.log_q, b.log_p)),
}

Problem = tuple[Scores, list[Any], Callable[[np.ndarray], Batch]]


def categorical() -> Problem:
    q, p = np.array([0.68, 0.3, 0.02]), np.array([0.3, 0.22, 0.48])
    sides = {"q": {"probabilities": [*q]}, "p": {"probabilities": [*p]}}
    scores = case_pair({k: {"family": "categorical", **v} for k, v in sides.items()}).scores
    logits, log_p = tf.Variable(np.log(q)), tf.constant(np.log(p))

    def batch(z: np.ndarray) -> Batch:
        log_q = tf.nn.log_softmax(logits)
        full = tf.reduce_sum(tf.exp(log_q) * (log_q - log_p))
        taken = tf.gather(log_q, z)[:, None]
        return Batch(taken, tf.gather(log_p, z)[:, None], full * tf.ones_like(taken))

    return scores, [logits], batch


def chain() -> Problem:
    q = np.array([[0.7, 0.27, 0.03], [0.4, 0.5, 0.1], [0.2, 0.2, 0.6]])
    p = np.array([[0.3, 0.2, 0.5], [0.3, 0.3, 0.4], [0.5, 0.1, 0.4]])
    scores = ChainScores(np.array([1.0, 0.0, 0.0]), q, np.log(q / p), 6)
    logits, log_p = tf.Variable(np.log(q)), tf.constant(np.log(p))

    def batch(z: np.ndarray) -> Batch:
        log_q = tf.nn.log_softmax(logits)
        full = tf.reduce_sum(tf.exp(log_q) * (log_q - log_p), axis=1)
        steps = np.stack((z[:, :-1], z[:, 1:]), axis=-1)
        return Batch(
            tf.gather_nd(log_q, steps), tf.gather_nd(log_p, steps), tf.gather(full, z[:, :-1])
        )

    return scores, [logits], batch


def log_normal(z: Any, loc: Any, log_sd: Any) -> Any:
    return -0.5 * ((z - loc) * tf.exp(-log_sd)) ** 2 - log_sd - 0.5 * math.log(2 * math.pi)


def normal() -> Problem:
    q, p = {"mean": [0.4, -0.3], "sd": [0.8, 1.0]}, {"mean": [0.0, 0.1], "sd": [0.9, 1.05]}
    scores = case_pair({"q": q, "p": p}).scores
    loc, log_sd = (tf.Variable(x) for x in (np.zeros(2), np.log(q["sd"])))
    p_loc, p_log_sd = tf.constant(p["mean"], tf.float64), tf.constant(np.log(p["sd"]))

    def batch(noise: np.ndarray) -> Batch:
        # The mean is m + s loc with m and s constants equal to it and to sigma at the point.
        mu = tf.constant(q["mean"], tf.float64) + tf.constant(q["sd"], tf.float64) * loc
        z = mu + tf.exp(log_sd) * noise
        log_q, log_p = log_normal(stop(z), mu, log_sd), log_normal(stop(z), p_loc, p_log_sd)
        moving = log_normal(z, mu, log_sd), log_normal(z, p_loc, p_log_sd)
        return Batch(log_q, log_p, None, moving, log_normal(z, stop(mu), stop(log_sd)))

    return scores, [loc, log_sd], batch


@pytest.mark.parametrize("problem", [categorical, chain, normal])
def test_each_loss_on_a_tape(problem: Callable[[], Problem]) -> None:
    scores, variables, batch = problem()
    methods = [m for m in METHODS.values() if m.offered(scores) and m.name != "score-kl"]
    assert {m.name for m in methods} <= {*LOSSES}
    # The same draws for ours and for the tape: one replicate from one generator.
    ours = {
        m.name: x[0]
        for m, _, x in simulate(scores, methods, np.random.default_rng(11), 1, [SAMPLES])
    }
    points = scores.draws(np.random.default_rng(11), 1, SAMPLES).points[0]
    for method in methods:
        with tf.GradientTape() as tape:
            loss = LOSSES[method.name](batch(points))
        got = tape.gradient(loss, variables)
        tape_gradient = np.concatenate([np.ravel(g.numpy()) for g in got])
        law = law_of(method, scores)
        size = max(norm(ours[method.name], scores.count), norm(scores.gradient, scores.count))
        np.testing.assert_allclose(
            tape_gradient, ours[method.name], rtol=0, atol=1e-11 * size, err_msg=method.name
        )
        if np.isnan(law.mean).any():
            continue
        # The draws are fixed: the error's norm is within 4 times its root mean square.
        spread = math.sqrt(total(law.variance_at(SAMPLES), scores.count))
        off = norm(tape_gradient - law.mean_at(SAMPLES), scores.count)
        assert off <= 4.0 * spread + 1e-12 * size, (method.name, off, spread)
