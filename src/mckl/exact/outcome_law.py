"""The law of l over independent factors with countably many outcomes, whose cumulants add up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.ends import Tail, is_finite, slope_at_end
from mckl.exact.law import Law
from mckl.exact.moments import ELL, EPS, Function, Moments
from mckl.exact.node_values import product_is_finite
from mckl.exact.outcomes import Outcomes, joined_outcomes


class OutcomeLaw(Law):
    """The law of l for factors whose outcomes are listed; samples have no mirror image.

    factors  The outcomes of each distinct factor.
    tails    How q and p of each factor fall at infinity; None where q takes finitely many values.
    counts   How many factors are alike.
    """

    mirrored = False

    def __init__(
        self,
        factors: Sequence[Outcomes],
        tails: Sequence[tuple[Tail, Tail] | None],
        counts: Sequence[int],
    ) -> None:
        self._factors, self._tails = joined_outcomes(factors), tails
        self._counts = np.array(counts, float)
        kl = self._factors.kl
        self.kl = math.fsum(kl.value * self._counts)
        self.kl_error = math.fsum(kl.error * self._counts) + 2.0 * EPS * self.kl
        kept = self._counts @ np.log1p(-self._factors.missed.value)
        self.missed_mass = -math.expm1(float(kept)) + 0.0  # and not -0.0
        if self._factors.finite and self._counts.sum() == 1.0:
            self.outcomes = int(np.unique(self._factors.ell).size)

    def ell(self, order: int, paired: bool = False) -> Moments:
        return self.sums((ELL,), paired, order)

    def factor_moments(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> tuple[Moments, Vector]:
        moments = self._factors.moments(functions, order)
        for index in joint.indices(len(functions), order):
            names = [f.name for f, i in zip(functions, index, strict=True) for _ in range(i)]
            for k, tails in enumerate(self._tails):
                if tails and not product_is_finite(names, lambda *s, t=tails: is_finite(*t, *s)):
                    moments.value[*index, k], moments.error[*index, k] = math.inf, 0.0
        return moments, self._counts

    def is_finite(self, s: float, order: int = 0) -> bool:
        return all(is_finite(*tails, s, order) for tails in self._tails if tails)

    @property
    def lowest_tilt(self) -> float:
        slope = min((slope_at_end(*tails) for tails in self._tails if tails), default=math.inf)
        return 1.0 / slope if slope < 0.0 else -math.inf
