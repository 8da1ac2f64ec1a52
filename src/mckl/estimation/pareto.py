"""The tail index of the values that an estimator averages, from the largest of them.

A generalised Pareto law is fitted to the excesses of the M = min(n/5, 3 sqrt(n)) largest of n
values over the next one, by the method of Zhang & Stephens, "A new and efficient estimation method
for the generalized Pareto distribution" (2009). Its shape k estimates the tail index: moments of
order 1/k and above are infinite. Vehtari, Simpson, Gelman, Yao & Gabry, "Pareto smoothed importance
sampling" (2024), shrink it towards 1/2 as if by ten more values, and trust a mean of n values where
k is at most min(1 - 1/log10(n), 0.7).
"""

from __future__ import annotations

import math

import numpy as np

from mckl.arrays import Vector

LEAST = 400  # with fewer values the standard error of the fit exceeds 0.13
MOST = 30_000  # the most values of a tail that are kept, a limit from 10^8 values on
_FEWEST = 20  # the fewest excesses for a fit
_PRIOR_WEIGHT, _PRIOR_INDEX = 10.0, 0.5


def tail_size(n: int) -> int:
    """The number M of n values that make up the tail."""
    return int(min(n / 5, 3 * math.sqrt(n), MOST))


def limit(n: int) -> float:
    """The largest tail index for which a mean of n values is trusted."""
    return min(1.0 - 1.0 / math.log10(n), 0.7)


class Tails:
    """The two tails of a stream of at most n values, in memory of order sqrt(n)."""

    def __init__(self, n: int) -> None:
        self._seen = 0
        self._sides = (Largest(tail_size(n) + 1), Largest(tail_size(n) + 1))

    def update(self, values: Vector) -> None:
        """Add more values, shape (m,)."""
        self._seen += values.size
        for side, sign in zip(self._sides, (1.0, -1.0), strict=True):
            side.update(sign * values)

    def index(self) -> float:
        """The larger of the two tails' indices; NaN if there are too few values."""
        tail = tail_size(self._seen)
        indices = [
            pareto_index(np.diff(side.values()[-tail - 1 :]).cumsum()) for side in self._sides
        ]
        return max((k for k in indices if not math.isnan(k)), default=math.nan)


class Largest:
    """The `count` largest values of a stream."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held = [np.empty(0)]
        self._size = 0
        self._least = -math.inf

    def update(self, values: Vector) -> None:
        """Add more values, shape (n,)."""
        more = values[values > self._least]
        if more.size:
            self._held.append(more)
            self._size += more.size
        if self._size > 2 * self._count:  # one partition serves many updates
            self._drop()

    def _drop(self) -> None:
        held = np.concatenate(self._held)
        if held.size > self._count:
            held = np.partition(held, held.size - self._count)[-self._count :]
            self._least = float(held.min())
        self._held, self._size = [held], held.size

    def values(self) -> Vector:
        """The largest values so far, in ascending order."""
        self._drop()
        return np.sort(self._held[0])


def pareto_index(excesses: Vector) -> float:
    """The shape k of the generalised Pareto law fitted to ascending excesses >= 0, shape (M,).

    k is shrunk towards 1/2 as in the paper of 2024. NaN for fewer than 20 excesses, and for
    excesses that are all 0.

    >>> u = (np.arange(1000) + 0.5) / 1000
    >>> round(pareto_index(((1 - u) ** -0.4 - 1) / 0.4), 2)
    0.4
    """
    x = np.asarray(excesses, dtype=np.float64)
    M = x.size
    quartile = x[int(M / 4 + 0.5) - 1] if M >= _FEWEST else 0.0
    if not (quartile > 0 and math.isfinite(x[-1])):
        return math.nan
    grid = 30 + int(math.sqrt(M))
    theta = 1.0 / x[-1] + (1.0 - np.sqrt(grid / (np.arange(grid) + 0.5))) / (3.0 * quartile)
    k = np.log1p(-theta[:, None] * x).mean(axis=1)
    log_likelihood = M * (np.log(-theta / k) - k - 1.0)
    weight = np.exp(log_likelihood - log_likelihood.max())
    mean = float((theta * weight).sum() / weight.sum())
    fitted = float(np.log1p(-mean * x).mean())
    return (fitted * M + _PRIOR_INDEX * _PRIOR_WEIGHT) / (M + _PRIOR_WEIGHT)
