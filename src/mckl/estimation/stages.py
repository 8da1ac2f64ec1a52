"""One stage of an estimate, which draws new units and summarises them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.draw import backends
from mckl.draw.form import Form
from mckl.draw.points import Sampler
from mckl.errors import NotFiniteError
from mckl.estimation.pareto import LEAST, Tails
from mckl.estimation.running import RunningMoments
from mckl.estimation.values import Estimator
from mckl.estimation.values.integrands import Integrands

# The random numbers, and the units, between two reports of progress: about 40 ms of work.
_NUMBERS, _UNITS = 2**22, 2**13


def _tail_values(values: Integrands, summand: Mapping[str, float], estimator: Estimator) -> Vector:
    """The summand at those units at which it may have a heavy tail.

    Let w be the coefficient of r. But for a constant, the summand is l + w r, which falls as r
    grows up to 1/w and rises after that. Its tail is heavy only where it rises. Where it falls, it
    may be bounded, and together with the heavy tail the bound would look like a heavier one.
    """
    of_points = sum(w * getattr(values, name) for name, w in summand.items())
    of_units = np.asarray(np.asarray(of_points).mean(axis=0)[0])
    weight = estimator.ratio_weight(summand)
    if weight == 0.0 or not estimator.uses_ratio:
        return of_units
    ratio = 1.0 + getattr(values, estimator.ratio).mean(axis=0)[0]
    return np.asarray(of_units[weight * ratio > 1.0])


class StageResults(NamedTuple):
    """The results of one stage.

    units        the number of independent units drawn
    estimate, std_error  the estimate and its standard error, in nats
    mean_ratio, ratio_variance  the mean of r, and its variance over one unit; for estimators by
                 factor, of the mean of r_i over factors. NaN where r is not computed
    tail_index   the tail index of the estimator's summand; NaN if not requested or not known
    summand      the coefficients of the integrands in the summand, as fitted in this stage
    """

    units: int
    estimate: float
    std_error: float
    mean_ratio: float
    ratio_variance: float
    tail_index: float
    summand: Mapping[str, float]

    @property
    def spread(self) -> float:
        """The standard deviation of one unit, in nats."""
        return self.std_error * math.sqrt(self.units)


def stage(
    form: Form,
    sampler: Sampler,
    estimator: Estimator,
    units: int,
    *,
    seed: int,
    name: str,
    factors: int = 1,
    summand: Mapping[str, float] | None = None,
    progress: Callable[[int], object] = lambda evaluations: None,
) -> StageResults:
    """Draw units of an independent sampler, in constant memory.

    `name` is part of the stream's key, and `factors` the number of factors of a sample. `summand`
    has the coefficients, fitted in an earlier stage, of the linear combination of integrands whose
    tail index is wanted. `progress` is called after each step with the number of values of l that
    it added. Raises NotFiniteError if l is not finite at a sample.
    """
    points = sampler.points.points
    more = ("ratio",) if estimator.sums and estimator.uses_ratio else ()
    names = tuple(dict.fromkeys((*estimator.sums, *more)))
    replicates = backends.load("numpy")([form], sampler.points, names, units)
    following = replicates([sampler.key("numpy", form, seed, 0, name)])
    products = list(estimator.products)
    if estimator.uses_ratio:
        products.append((estimator.ratio, estimator.ratio))
    block = min(max(_NUMBERS // form.numbers, 1), _UNITS)
    tails = Tails(units) if summand is not None and units >= LEAST else None
    values = Integrands(np.empty(0))
    moments = RunningMoments(products, lambda ell: values, 1)
    for begin in range(0, units, block):
        drawn = following(min(block, units - begin))
        ell, sums = drawn[0], dict(zip(names, drawn[1:, :, 0], strict=True))
        if not np.isfinite(ell).all():
            unit = begin + int(np.argwhere(~np.isfinite(ell))[0][-1])
            raise NotFiniteError(sampler=sampler.name, stage=name, sample=unit * points)
        values = Integrands(ell[:, 0], estimator.integrands, sums)
        moments.update(values.ell)
        if tails is not None and summand is not None:
            tails.update(_tail_values(values, summand, estimator))
        progress(ell.size)
    estimate, variance = estimator.estimate(moments)
    mean_ratio, ratio_variance = math.nan, math.nan
    if estimator.uses_ratio:
        several = factors if estimator.sums else 1
        mean_ratio = 1.0 + float(moments.mean(estimator.ratio)[0]) / several
        spread = float(moments.comoment(estimator.ratio, estimator.ratio)[0])
        ratio_variance = spread / (units - 1) / several**2 if units > 1 else math.nan
    return StageResults(
        units, float(estimate[0]), math.sqrt(float(variance[0])), mean_ratio, ratio_variance,
        math.nan if tails is None else tails.index(), estimator.summand(moments),
    )  # fmt: skip
