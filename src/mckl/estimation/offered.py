"""Which estimators and samplers go with a pair: the one place that decides it."""

from __future__ import annotations

from collections.abc import Sequence

from mckl.draw.points import Sampler
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.families.base import Pair


def offered(pair: Pair, sampler: Sampler, estimator: Estimator) -> bool:
    """Whether samples of the pair drawn this way have the sums over factors that it takes."""
    return sampler.offered(pair) and sampler.sums(pair).issuperset(estimator.sums)


def offered_estimators(pair: Pair, sampler: Sampler, estimators: Sequence[str]) -> tuple[str, ...]:
    """Those of the estimators that go with the pair and the sampler."""
    return tuple(name for name in estimators if offered(pair, sampler, ESTIMATORS[name]))
