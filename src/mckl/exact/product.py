"""The law of l for a product of one-dimensional continuous factors, whose cumulants add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.exact.ends import slope_at_end
from mckl.exact.factor import factor_law
from mckl.exact.grid import DensityPair
from mckl.exact.law import Law
from mckl.exact.moments import ELL, EPS, Function, Moments
from mckl.exact.node_values import EVEN, ODD


class ProductLaw(Law):
    """The law of l over independent factors; `weights` says how often each factor occurs."""

    def __init__(self, factors: Iterable[DensityPair], weights: Iterable[float]) -> None:
        self._factors = [(factor_law(f), float(w)) for f, w in zip(factors, weights, strict=True)]
        self._counts = np.array([w for _, w in self._factors])
        self.kl = math.fsum(w * f.kl for f, w in self._factors)
        self.kl_error = math.fsum(w * f.kl_error for f, w in self._factors) + EPS * self.kl

    def factor_moments(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> tuple[Moments, Vector]:
        each = [f.moments(functions, paired, order) for f, _ in self._factors]
        value, error = (np.stack(column, axis=-1) for column in zip(*each, strict=True))
        return Moments(value, error), self._counts

    def parts(self, order: int) -> Moments:
        return self.sums((EVEN, ODD), False, order)

    def ell(self, order: int, paired: bool = False) -> Moments:
        return self.sums((ELL,), paired, order)

    def is_finite(self, s: float, order: int = 0) -> bool:
        return all(f.is_finite(s, order) for f, _ in self._factors)

    @property
    def lowest_tilt(self) -> float:
        slope = min(slope_at_end(*tails) for f, _ in self._factors for tails in f.factor.tails)
        return 1.0 / slope if slope < 0 else -math.inf
