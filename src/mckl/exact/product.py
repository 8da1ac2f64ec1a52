"""The law of l for a product of one-dimensional continuous factors, whose cumulants add up.

Where q is 0 on a part of p's support, the factors are those of q against p given q's support, with
the log density ratio l'. With the kept mass k of p in q's support, l = l' - log k and r = k r'.
Then E r' is 1 for every factor, and r of the whole is the product of all k r' (theory.md,
section 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.ends import slope_at_end
from mckl.exact.factor import FactorLaw, factor_law
from mckl.exact.grid import DensityPair
from mckl.exact.independent_blocks import joined_blocks
from mckl.exact.law import Law, functions_of_block
from mckl.exact.moments import ELL, EPS, Bounded, Function, Moments
from mckl.exact.node_values import EVEN, ODD


class KeptMass(Protocol):
    """How much of its mass p has where q has some, in one factor.

    missed  the probability of p outside of q's support
    log     the logarithm of its probability inside
    """

    @property
    def missed(self) -> Bounded: ...

    @property
    def log(self) -> Bounded: ...


class ProductLaw(Law):
    """The law of l over independent factors.

    factors  q and p given q's support
    weights  how often each factor occurs
    kept     how much of p is in q's support
    """

    def __init__(
        self,
        factors: Iterable[DensityPair],
        weights: Iterable[float],
        kept: Sequence[KeptMass],
    ) -> None:
        self._factors = [
            (factor_law(f), float(w), mass)
            for f, w, mass in zip(factors, weights, kept, strict=True)
        ]
        self._counts = np.array([w for _, w, _ in self._factors])
        # log(1 - missed mass) of the whole: a sum of numbers of one sign
        log = math.fsum(w * mass.log.value for _, w, mass in self._factors)
        error = math.fsum(w * mass.log.error for _, w, mass in self._factors) - EPS * log
        self._log_kept = Bounded(log, error)
        self.missed_mass: float = 0.0 - math.expm1(log)
        self.missed_error: float = self.kept_mass * error + (2.0 * EPS * self.missed_mass)
        self.kl: float = math.fsum((*(w * f.kl for f, w, _ in self._factors), -log))
        self.kl_error: float = math.fsum(w * f.kl_error for f, w, _ in self._factors)
        self.kl_error += error + EPS * self.kl
        if math.isnan(self.kl_error):  # an overflow somewhere
            self.kl_error = math.inf

    @property
    def kept_mass(self) -> float:
        return math.exp(self._log_kept.value)

    def factor_moments(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> tuple[Moments, Vector]:
        each = [
            f.moments(functions, paired, order)
            if mass.log.value == 0.0
            else _of_kept(f, mass, functions, paired, order)
            for f, _, mass in self._factors
        ]
        return self._stacked(each)

    def _stacked(self, each: Sequence[Moments]) -> tuple[Moments, Vector]:
        value, error = (np.stack(column, axis=-1) for column in zip(*each, strict=True))
        return Moments(value, error), self._counts

    def block(self, paired: bool, order: int, slope: float = 0.0, rest: float = 1.0) -> Moments:
        if self._log_kept.value == 0.0:
            return super().block(paired, order, slope, rest)
        # l + rest r is l' + rest k r' and a constant, where k is that of the whole.
        kept, rest = self.kept_mass, rest * self.kept_mass
        slope = slope * kept + self.missed_mass  # 1 - rest without its rounding
        functions = functions_of_block(paired, slope, rest)
        pieces = [self._stacked([f.moments(functions, paired, order) for f, *_ in self._factors])]
        made = joined_blocks(pieces, rest, len(functions), order)
        return _scaled(made, [kept] * (len(functions) - 1) + [1.0], self._log_kept.error)

    def parts(self, order: int) -> Moments:
        return self.sums((EVEN, ODD), False, order)

    def ell(self, order: int, paired: bool = False) -> Moments:
        return self.sums((ELL,), paired, order)

    def is_finite(self, s: float, order: int = 0) -> bool:
        return all(f.is_finite(s, order) for f, *_ in self._factors)

    @property
    def lowest_tilt(self) -> float:
        slope = min(slope_at_end(*tails) for f, *_ in self._factors for tails in f.factor.tails)
        return 1.0 / slope if slope < 0 else -math.inf


def _of_kept(
    factor: FactorLaw, mass: KeptMass, functions: Sequence[Function], paired: bool, order: int
) -> Moments:
    """The moments of functions of l from those of functions of l' = l + log k."""
    kept, missed, shift = math.exp(mass.log.value), mass.missed.value, -mass.log.value
    scales, changed, means = [], [], []
    for function in functions:
        name, slope, rest = function.name, function.slope, function.rest
        scale, mean = 1.0, factor.kl + shift
        if name in ("ratio", "gap"):
            scale, mean = kept, -missed if name == "ratio" else 0.0
        elif name == "k3":
            mean = factor.kl + (shift - rest * missed)
            function = Function(name, slope * kept + missed, rest * kept)
        elif name == "half_square":
            function = Function(name, shift=shift)
        elif name in ("even", "odd"):
            mean = 0.0
        scales.append(scale)
        changed.append(function)
        means.append(mean)
    of_log, of_mass = mass.log.error, mass.missed.error
    made = _scaled(factor.moments(changed, paired, order), scales, of_log)
    value, error = made.value.copy(), made.error.copy()
    for first, function, mean in zip(joint.firsts(len(functions)), functions, means, strict=True):
        if function.name == "half_square":
            error[first] += (abs(factor.kl) + shift) * of_log
            continue
        value[first] = mean
        if mean:
            own = 0.0 if function.name == "ratio" else factor.kl_error + of_log
            error[first] = own + abs(function.rest) * of_mass + 2.0 * EPS * abs(mean)
    return Moments(value, error)


def _scaled(moments: Moments, scales: Sequence[float], error: float) -> Moments:
    """The moments of variables that are multiplied by scales; these have a relative error."""
    value, bound = moments
    for axis, scale in enumerate(scales):
        shape = [1] * value.ndim
        shape[axis] = -1
        powers = scale ** np.arange(value.shape[axis], dtype=float).reshape(shape)
        value, bound = value * powers, bound * powers
    order = np.indices(value.shape).sum(axis=0)
    return Moments(
        value, np.where(np.isfinite(value), bound + 4.0 * order * error * abs(value), bound)
    )
