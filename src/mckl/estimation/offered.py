"""Decides which estimators and samplers can be used with a pair."""

from __future__ import annotations

from collections.abc import Sequence

from mckl.draw.points import SAMPLERS, Sampler
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.families.base import Pair


def offered(pair: Pair, sampler: Sampler, estimator: Estimator) -> bool:
    """Whether the sampler can draw the pair with all sums over factors that the estimator needs."""
    return sampler.offered(pair) and sampler.sums(pair).issuperset(estimator.sums)


def offered_samplers(pair: Pair, samplers: Sequence[str]) -> tuple[str, ...]:
    """The samplers among these that can draw the pair."""
    return tuple(name for name in samplers if SAMPLERS[name].offered(pair))


def offered_estimators(pair: Pair, sampler: Sampler, estimators: Sequence[str]) -> tuple[str, ...]:
    """The estimators among these that can be used with the pair and the sampler."""
    return tuple(name for name in estimators if offered(pair, sampler, ESTIMATORS[name]))


def combinations(
    pair: Pair, samplers: Sequence[str], estimators: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The samplers that can draw the pair, each with the estimators that it allows.

    Samplers that allow none of the estimators are left out.
    """
    every = {name: offered_estimators(pair, SAMPLERS[name], estimators) for name in samplers}
    return {name: allowed for name, allowed in every.items() if allowed}
