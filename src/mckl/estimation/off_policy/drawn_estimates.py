"""Draws samples of s, and makes the weighted estimates of every replicate from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.off_policy.off_policy_theory import Averaged, averaged
from mckl.estimation.off_policy.sample_weights import SampleWeight
from mckl.estimation.values import Estimator
from mckl.families.policy.sampled_chain import SampledChain

_AT_ONCE = 2**16  # about as many sequences are drawn at a time
Offer = tuple[Estimator, SampleWeight]


def drawn_estimates(
    chain: SampledChain, offers: Sequence[Offer], generator: np.random.Generator,
    replicates: int, samples: int,
) -> list[Vector]:  # fmt: skip
    """The estimates of each estimator with each weight, in nats: arrays of shape (replicates,).

    All of them use the same samples. An estimate is NaN or infinite where l of a sample is.
    """
    sums = _TokenTotals(chain, offers)
    each = max(1, min(replicates, _AT_ONCE // samples))
    blocks: list[list[Vector]] = []
    for first in range(0, replicates, each):
        count = min(each, replicates - first)
        drawn = sums.draw(generator, count * samples)
        shaped = {key: values.reshape(count, samples) for key, values in drawn.items()}
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            blocks.append([_estimates(chain, offer, shaped) for offer in offers])
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


_Key = tuple[str, SampleWeight | None]  # the name of a sum, and the weight of its tokens
_LOG_W: _Key = ("log W", None)
_ONE = "one"


class _TokenTotals:
    """The sums over the tokens of a sample that the estimates need, each from its table."""

    def __init__(self, chain: SampledChain, offers: Sequence[Offer]) -> None:
        self._chain = chain
        keys = dict.fromkeys(key for offer in offers for key in _keys(chain, offer))
        tables = [self._table(key) for key in keys]
        self._keys, self._tables = list(keys), np.stack(tables, axis=-1)
        self._tables = self._tables.reshape(-1, len(tables))
        self._start = np.cumsum(chain.start)
        rows, states = chain.s.shape
        edges = np.cumsum(chain.s, axis=1)
        last = states - 1 - np.argmax(chain.s[:, ::-1] > 0, axis=1)  # the last that s can take
        edges[np.arange(states) >= last[:, None]] = 1.0
        self._edges = (edges + np.arange(rows)[:, None]).ravel()

    def _table(self, key: _Key) -> Vector:
        name, weight = key
        chain = self._chain
        if key == _LOG_W:
            return chain.log_weight
        table = np.ones(chain.s.shape) if name == _ONE else chain.values(name).value
        if name != "rb" and name != _ONE and (weight is None or weight.level is None):
            # Where q is 0, log q is -inf, and so are l and what depends on it.
            worst = {"ell": -np.inf}.get(name, np.inf)
            table = np.where(chain.log_weight > -np.inf, table, worst)
        return table if weight is None else table * weight(chain.log_weight)

    def draw(self, generator: np.random.Generator, count: int) -> dict[_Key, Vector]:
        """The sums of `count` samples."""
        states = self._chain.s.shape[1]
        x = np.minimum(np.searchsorted(self._start, generator.random(count), side="right"),
                       self._start.size - 1)  # fmt: skip
        total = np.zeros((count, len(self._keys)))
        for _ in range(self._chain.tokens):
            step = np.searchsorted(self._edges, x + generator.random(count), side="right")
            total += self._tables.take(step, axis=0)
            x = step % states
        return dict(zip(self._keys, total.T, strict=True))


def _keys(chain: SampledChain, offer: Offer) -> Iterator[_Key]:
    """The sums that an estimate needs."""
    function, weight = _parts(offer)
    if chain.tokens > 1 and weight.level == "sequence":
        yield _LOG_W
        yield ("ell", None) if function.whole else (function.name, None)
        if function.control and not function.whole:
            yield ("ratio", None)
        return
    if function.whole and chain.tokens > 1:
        yield ("ell", None)
        return
    yield (function.name, weight)
    if function.control:
        yield ("ratio", weight)
    if weight.normalised:
        yield (_ONE, weight)


def _parts(offer: Offer) -> tuple[Averaged, SampleWeight]:
    estimator, weight = offer
    function = averaged(estimator)
    assert function is not None
    return function, weight


def _estimates(chain: SampledChain, offer: Offer, sums: dict[_Key, Vector]) -> Vector:
    """The estimates of all replicates from sums of shape (replicates, samples)."""
    function, weight = _parts(offer)
    if chain.tokens > 1 and (function.whole or weight.level == "sequence"):
        w = np.ones(1) if weight.level is None else weight(sums[_LOG_W])
        value = _of_whole(function.name, sums["ell", None]) if function.whole else (
            sums[function.name, None]
        )  # fmt: skip
        value = np.where(w > 0.0, w * value, 0.0)
        if function.control:
            x = np.expm1(-sums["ell", None]) if function.whole else sums["ratio", None]
            return _intercept(np.where(w > 0.0, w * x, 0.0), value)
        mean = value.mean(axis=1)
        return np.asarray(mean / w.mean(axis=1) if weight.normalised else mean)
    y = sums[function.name, weight]
    if weight.normalised:
        tokens = chain.tokens
        return np.asarray(tokens * y.mean(axis=1) / sums[_ONE, weight].mean(axis=1))
    if not function.control:
        return np.asarray(y.mean(axis=1))
    return _intercept(sums["ratio", weight], y)


def _intercept(x: Vector, y: Vector) -> Vector:
    """The intercepts of y regressed on x, by row."""
    away = x - x.mean(axis=1, keepdims=True)
    slope = (away * y).sum(axis=1) / (away * away).sum(axis=1)
    return np.asarray(y.mean(axis=1) - slope * x.mean(axis=1))


def _of_whole(name: str, ell: Vector) -> Vector:
    if name == "ell":
        return ell
    return 0.5 * ell * ell if name == "half_square" else np.expm1(-ell) + ell
