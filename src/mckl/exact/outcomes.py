"""Central moments of functions of l_i for factors with countably many outcomes, as plain sums.

The functions are evaluated at each outcome less their means, and products of these are averaged, so
that nothing cancels but what cancels at a point. Where r is large, a function that contains it is
divided by r, and r goes to the weight: q may then be as small, and r as large, as it likes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.moments import EPS, WITH_RATIO, Function, Moments, settled
from mckl.exact.remainders import phi

_LARGE = -100.0  # r is large where l is below this
_SMALL = -600.0  # or where it exceeds 1 and log q is below this
_TINY = float(np.finfo(np.float64).tiny)  # what may have underflowed


class Outcomes(NamedTuple):
    """The outcomes of all distinct factors, one factor after the other.

    starts      where the outcomes of each factor begin, shape (factors,)
    log_q       logarithms of the weights: probabilities, or what a rule gives, shape (outcomes,)
    q_error     bounds on the weights' relative errors
    ell         l_i, shape (outcomes,)
    ell_error   bounds on its absolute errors
    away        l_i - E l_i, which may have more digits than the two
    away_error  bounds on its absolute errors
    k3          each factor's E k3_i with a bound, shapes (factors,)
    missed      p's probability of the values that q never takes, with a bound, shapes (factors,)
    coarse      the weights of a rule with half of the outcomes, relative to those of `log_q`; None
                where the outcomes are all that there are
    powers      the highest power of r whose moments the outcomes give, shape (factors,); None where
                they give all
    beyond      how many times its term each outcome stands for outcomes that are left out, as a
                bound; None where none are
    """

    starts: NDArray[np.intp]
    log_q: Vector
    q_error: Vector
    ell: Vector
    ell_error: Vector
    away: Vector
    away_error: Vector
    k3: Moments
    missed: Moments
    coarse: Vector | None = None
    powers: Vector | None = None
    beyond: Vector | None = None

    @property
    def kl(self) -> Moments:
        """Each factor's E l_i: its E k3_i less E (r_i - 1)."""
        value = self.k3.value + self.missed.value
        return Moments(value, self.k3.error + self.missed.error + EPS * value)

    @property
    def finite(self) -> bool:
        """Whether the outcomes are all that there are."""
        return self.coarse is None and self.beyond is None

    def each(self, of_factors: Vector) -> Vector:
        """Numbers of the factors, for each outcome."""
        return np.repeat(of_factors, np.diff(self.starts, append=self.ell.size))

    def totals(self, terms: Vector) -> Vector:
        """The sums of terms over the outcomes of each factor."""
        return np.asarray(np.add.reduceat(terms, self.starts))

    @np.errstate(over="ignore", under="ignore", invalid="ignore")
    def moments(self, functions: Sequence[Function], order: int) -> Moments:
        """The joint central moments, as `mckl.exact.law.Law.factor_moments` has them."""
        large = (self.ell < _LARGE) | ((self.ell < 0.0) & (self.log_q < _SMALL))
        values = [self._value(function, large) for function in functions]
        shape = (order + 1,) * len(functions) + (self.starts.size,)
        out = Moments(np.zeros(shape), np.zeros(shape))
        out.value[(0,) * len(functions)] = 1.0
        for first, value in zip(joint.firsts(len(functions)), values, strict=True):
            out.value[first], out.error[first] = value.mean
        varies = [self.totals(np.abs(v.less_mean) + v.error) > 0.0 for v in values]
        ratios = [function.name in WITH_RATIO for function in functions]
        for index in joint.indices(len(functions), order):
            if sum(index) < 2:
                continue
            power = sum(i for i, ratio in zip(index, ratios, strict=True) if ratio)
            weight, relative = self._weight(power, large)
            terms, most = weight, weight * (1.0 + relative)
            for i, value in zip(index, values, strict=True):
                if i:
                    terms = terms * value.less_mean**i
                    most = most * (np.abs(value.less_mean) + value.error) ** i
            total, error = self._sum(terms, most)
            every = np.all([mask for i, mask in zip(index, varies, strict=True) if i], axis=0)
            out.value[index], out.error[index] = total, error + np.where(every, _TINY, 0.0)
            if self.powers is not None:
                out.value[index][self.powers < power] = math.nan
        return settled(out.value, out.error)

    def _sum(self, terms: Vector, most: Vector) -> tuple[Vector, Vector]:
        """The sums of the terms, whose sizes with their errors are `most`, and bounds."""
        count = np.diff(self.starts, append=self.ell.size)
        total, largest = self.totals(terms), self.totals(most)
        error = self.totals(most - np.abs(terms)) + (8.0 + np.log2(count)) * EPS * largest
        if self.coarse is not None:
            error = error + np.abs(self.totals(terms * self.coarse) - total)
        if self.beyond is not None:
            error = error + self.totals(most * self.beyond)
        return total, error

    def _weight(self, power: int, large: NDArray[np.bool_]) -> tuple[Vector, Vector]:
        """The weights times r^power where r is large, and bounds on their relative errors."""
        log_w = self.log_q - np.where(large, power * self.ell, 0.0)
        relative = self.q_error + np.where(
            large, power * (self.ell_error + 2.0 * EPS * np.abs(self.ell)), 0.0
        )
        return np.exp(log_w), relative

    def _value(self, function: Function, large: NDArray[np.bool_]) -> _Value:
        """A function at the outcomes, less its mean."""
        away, error = self.away, self.away_error
        if function.name == "ell":
            return _Value(away, error, self.kl)
        if function.name == "half_square":  # the mean is half of KL^2 + Var l
            kl, weight = self.kl, np.exp(self.log_q)
            square, of_square = away * away, (2.0 * np.abs(away) + error) * error
            most = weight * (1.0 + self.q_error) * (square + of_square + EPS * square)
            variance, of_variance = self._sum(weight * square, most)
            mean = 0.5 * (kl.value**2 + variance)
            mean_error = kl.value * kl.error + 0.5 * of_variance + 2.0 * EPS * mean
            its_kl, its_variance = self.each(kl.value), self.each(variance)
            size = 0.5 * (square + its_variance) + its_kl * np.abs(away)
            error = 0.5 * (of_square + self.each(of_variance)) + its_kl * error
            error = error + self.each(kl.error) * np.abs(away) + 3.0 * EPS * size
            value = 0.5 * (square - its_variance) + its_kl * away
            return _Value(value, error, Moments(mean, mean_error))
        if function.name == "ratio":
            of_ratio = Moments(-self.missed.value, self.missed.error)
            return self._with_ratio(large, 0.0, 0.0, 1.0, of_ratio)
        if function.name == "k3":
            slope, rest = (
                np.broadcast_to(x, self.starts.shape) for x in (function.slope, function.rest)
            )
            center = self.k3.value + slope * self.missed.value
            center_error = self.k3.error + np.abs(slope) * self.missed.error
            center_error = center_error + 2.0 * EPS * (self.k3.value + np.abs(center))
            of_k3 = Moments(center, center_error)
            return self._with_ratio(large, 1.0, self.each(slope), self.each(rest), of_k3)
        # Without a mirror image r has no odd part; and given the past, a factor's KL is constant.
        zero, none = np.zeros_like(away), np.zeros_like(self.kl.value)
        return _Value(zero, zero, self.kl if function.name == "rb" else Moments(none, none))

    def _with_ratio(
        self,
        large: NDArray[np.bool_],
        ells: float,
        slope: Vector | float,
        rest: Vector | float,
        mean: Moments,
    ) -> _Value:
        """The function ells * l + rest (r - 1), for ells = 1 also as k3 - slope (r - 1).

        Of these ways, which differ in rounding alone, that with the smaller bound is taken.
        """
        small = np.where(large, 0.0, self.ell)
        over = np.exp(np.where(large, self.ell, 0.0))
        r = np.where(large, 1.0, np.exp(-small))
        x = np.where(large, 1.0 - over, np.expm1(-small))  # r - 1
        missed, missed_error = (over * self.each(mass) for mass in self.missed)
        away, ell = ells * over * self.away, over * self.ell
        value = away + rest * (x + missed)
        # An error e of l is one of r (e^e - 1) of r.
        of_r = np.abs(rest) * r * self.ell_error
        error = ells * over * self.away_error + of_r * (1.0 + self.ell_error)
        size = np.abs(away) + np.abs(rest) * (np.abs(x) + missed)
        error += np.abs(rest) * missed_error + 4.0 * EPS * size
        if ells:
            curved, center = np.where(large, x + ell, phi(-small)), over * self.each(mean.value)
            # phi's own error is that of twice its size; where r is large, it is a sum of two terms.
            size = 2.0 * curved + np.abs(slope * x) + np.abs(center)
            size += np.where(large, 1.0 - ell, 0.0)
            steepness = np.abs(over - rest * r) + of_r
            less = steepness * self.ell_error + over * self.each(mean.error) + 4.0 * EPS * size
            value = np.where(less < error, curved - center - slope * x, value)
            error = np.minimum(less, error)
        return _Value(value, error, mean)


class _Value(NamedTuple):
    """A function at the outcomes less its mean, over r where r is large and the function has it.

    less_mean, error    the values and bounds on their absolute errors
    mean                the means, with bounds
    """

    less_mean: Vector
    error: Vector
    mean: Moments


def joined_outcomes(parts: Sequence[Outcomes]) -> Outcomes:
    """The outcomes of several factors as one."""
    sizes = [part.ell.size for part in parts]
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("log_q", "q_error", "ell", "ell_error", "away", "away_error")
    }
    k3, missed = (
        Moments(*(np.concatenate(column) for column in zip(*each, strict=True)))
        for each in ([part.k3 for part in parts], [part.missed for part in parts])
    )
    coarse = [np.ones(part.ell.size) if part.coarse is None else part.coarse for part in parts]
    beyond = [np.zeros(part.ell.size) if part.beyond is None else part.beyond for part in parts]
    powers = [np.full(1, math.inf) if part.powers is None else part.powers for part in parts]
    return Outcomes(
        np.cumsum([0, *sizes[:-1]]), **columns, k3=k3, missed=missed,
        coarse=np.concatenate(coarse) if any(part.coarse is not None for part in parts) else None,
        powers=np.concatenate(powers) if any(part.powers is not None for part in parts) else None,
        beyond=np.concatenate(beyond) if any(part.beyond is not None for part in parts) else None,
    )  # fmt: skip
