"""The law of l over independent factors with countably many outcomes, whose cumulants add up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.ends import Tail, is_finite, slope_at_end
from mckl.exact.independent_blocks import joined_blocks
from mckl.exact.law import Law
from mckl.exact.moments import ELL, EPS, RATIO, Function, Moments
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
        self.kl: float = math.fsum(kl.value * self._counts)
        self.kl_error: float = math.fsum(kl.error * self._counts) + 2.0 * EPS * self.kl
        kept = self._counts @ np.log1p(-self._factors.missed.value)
        self.missed_mass: float = -math.expm1(float(kept)) + 0.0  # and not -0.0
        if self._factors.finite and self._counts.sum() == 1.0:
            self.outcomes: int = int(np.unique(self._factors.ell).size)

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

    def block(self, paired: bool, order: int, slope: float = 0.0, rest: float = 1.0) -> Moments:
        """As in `Law`, also where E r_i < 1 in some factors.

        With m = E r and m_i = E r_i let Z_i = r_i / m_i - 1 and Z = r / m - 1. Their means are 0,
        and they are joined as R is where m = 1. Since R = m Z and y = l - KL + rest m Z, the rest
        is rest m for Z, and rest m / m_i for r_i itself.
        """
        missed = self._factors.missed.value
        if not missed.any() or self._counts.sum() == 1.0:
            return super().block(paired, order, slope, rest)
        mass = 1.0 - missed
        logs = np.log1p(-missed)
        others = np.exp(self._counts @ logs - logs)  # m / m_i
        functions = RATIO, Function("k3", 1.0 - rest * others, rest * others)
        moments, counts = self.factor_moments(functions, paired, order)
        powers = np.arange(order + 1.0)[:, None, None]
        scaled = Moments(*(array * mass**-powers for array in moments))
        whole = rest * float(np.exp(self._counts @ logs))
        value, error = joined_blocks([(_rounded(scaled, order), counts)], whole, 2, order)
        return _rounded(
            Moments(*(x * (whole / rest) ** powers[..., 0] for x in (value, error))), order
        )

    def is_finite(self, s: float, order: int = 0) -> bool:
        return all(is_finite(*tails, s, order) for tails in self._tails if tails)

    @property
    def lowest_tilt(self) -> float:
        slope = min((slope_at_end(*tails) for tails in self._tails if tails), default=math.inf)
        return 1.0 / slope if slope < 0.0 else -math.inf


def _rounded(moments: Moments, order: int) -> Moments:
    """The moments with what rounding of the coefficients of r adds to the bounds.

    It is at most a share of E |R|^n + E |y|^n for moments of the order n; where n is odd, Cauchy
    and Schwarz bound these.
    """
    value, error = moments
    error = error.copy()
    sizes = {n: value[n, 0] + value[0, n] for n in range(2, order + 1, 2)}
    for i, j in joint.indices(2, order):
        n = i + j
        if n >= 2 and n + n % 2 <= order:
            size = np.sqrt(sizes[n - 1] * sizes[n + 1]) if n % 2 else sizes[n]
            error[i, j] += 32.0 * EPS * size
    return Moments(value, np.where(np.isinf(value), 0.0, error))
