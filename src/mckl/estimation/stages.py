"""One stage of an estimate: it draws fresh units and summarises them."""

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
from mckl.estimation.running import RunningMoments
from mckl.estimation.tails import LEAST, Tails
from mckl.estimation.values import Estimator
from mckl.estimation.values.integrands import Integrands

# Numbers drawn between two reports of progress: 40 ms of work, whatever the dimension.
_NUMBERS, _UNITS = 2**22, 2**13


def _tail_values(values: Integrands, summand: Mapping[str, float], ratio: str) -> Vector:
    """The summand of the units in which it may have a heavy tail.

    With a weight w of r it is l + w r but for a constant, which falls with r up to r = 1/w and
    rises from there on. Only where it rises is its tail heavy; where it falls it may end in an
    edge, which beside that tail would look like a heavier one. `ratio` is the integrand r - 1; of
    sums over factors their sum stands for it.
    """
    of_points = sum(w * getattr(values, name) for name, w in summand.items())
    of_units = np.asarray(np.asarray(of_points).mean(axis=0)[0])
    k3 = ratio.replace("ratio", "k3")
    weight = summand.get(ratio, 0.0) + summand.get(k3, 0.0)
    if weight == 0.0:
        return of_units
    return np.asarray(of_units[weight * (1.0 + getattr(values, ratio).mean(axis=0)[0]) > 1.0])


class Stage(NamedTuple):
    """The results of one stage.

    units        how many independent units it drew
    estimate, std_error  in nats
    mean_ratio, ratio_variance  of r, the variance that of one unit; by factor, of the mean of r_i
                 over the factors. NaN where r is not computed
    tail_index   of the estimator's summand; NaN where it was not asked for or is not known
    summand      the weights of the integrands in the summand, as fitted here
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
) -> Stage:
    """Draw so many units of an independent sampler, in constant memory.

    Parameters
    ----------
    name
        Sets the stream apart from those of other stages.
    factors
        How many factors a sample has.
    summand
        The weights of the integrands whose tail index is wanted, from an earlier stage.
    progress
        Called after each step with the number of evaluations of l that it added.

    Raises
    ------
    NotFiniteError
        Where l is not finite.
    """
    points = sampler.points.points
    library = backends.load("numpy")
    more = ("ratio",) if estimator.sums and estimator.uses_ratio else ()
    names = tuple(dict.fromkeys((*estimator.sums, *more)))
    draw = sampler.start(library, form, seed, 0, name)
    kernel = library.kernel([form], points, units, sums=names)
    products = list(estimator.products)
    if estimator.uses_ratio:
        products.append((estimator.ratio, estimator.ratio))
    block = min(max(_NUMBERS // form.numbers, 1), _UNITS)
    tails = Tails(units) if summand is not None and units >= LEAST else None
    values = Integrands(np.empty(0))
    moments = RunningMoments(products, lambda ell: values, 1)
    for begin in range(0, units, block):
        drawn = kernel.evaluate([draw], min(block, units - begin))
        ell, sums = drawn[0], dict(zip(names, drawn[1:, :, 0], strict=True))
        if not np.isfinite(ell).all():
            unit = begin + int(np.argwhere(~np.isfinite(ell))[0][-1])
            raise NotFiniteError(sampler=sampler.name, stage=name, sample=unit * points)
        values = Integrands(ell[:, 0], estimator.integrands, sums)
        moments.update(values.ell)
        if tails is not None and summand is not None:
            tails.update(_tail_values(values, summand, estimator.ratio))
        progress(ell.size)
    estimate, variance = estimator.estimate(moments)
    mean_ratio, ratio_variance = math.nan, math.nan
    if estimator.uses_ratio:
        several = factors if estimator.sums else 1
        mean_ratio = 1.0 + float(moments.mean(estimator.ratio)[0]) / several
        spread = float(moments.comoment(estimator.ratio, estimator.ratio)[0])
        ratio_variance = spread / (units - 1) / several**2 if units > 1 else math.nan
    return Stage(
        units, float(estimate[0]), math.sqrt(float(variance[0])), mean_ratio, ratio_variance,
        math.nan if tails is None else tails.index(), estimator.summand(moments),
    )  # fmt: skip
