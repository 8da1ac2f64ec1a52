"""How many samples an estimate needs, from exact theory.

The samples needed for a tolerance are the fewest, in whole units of the sampler, with which the
RMSE is at most the tolerance. The theory is that of `mckl.estimation.theory` and, over Sobol'
points, of `mckl.estimation.balanced`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from mckl.draw.form import Form
from mckl.draw.points import Sampler
from mckl.estimation.balanced import Balanced, balanced_theory
from mckl.estimation.theory import over_units, unit_theory
from mckl.estimation.values import Estimator, UnitTheory
from mckl.estimation.values.base import TOO_LARGE
from mckl.exact.law import Law
from mckl.exact.moments import RATIO, Bounded
from mckl.families.base import Pair
from mckl.limits import MOST_SAMPLES

OK = "ok"
LEADING = "ok to leading order"
INFINITE = "infinite variance"
BIASED = "biased: never reaches it"
NO_KL = "KL is not known: use an absolute tolerance"
ZERO = "KL is 0: use an absolute tolerance"
UNKNOWN = "no theory: measure it"
FAR = "out of reach: over 10¹⁸ samples"
ENDS = "out of reach: over 2^30 samples"
TOO_WIDE = "not possible: too many numbers"

REACHED = (OK, LEADING)


class Need(NamedTuple):
    """The samples that a tolerance needs, or None where no number of samples reaches it, and why.

    `bias` and `variance` are those of the estimate with that many samples, in nats and nats
    squared; NaN without such a number.
    """

    samples: int | None
    verdict: str
    theory: str
    bias: float = math.nan
    variance: float = math.nan

    @property
    def rmse(self) -> float:
        """The RMSE with that many samples, in nats."""
        bias = self.bias if math.isfinite(self.bias) else 0.0
        return math.sqrt(self.variance + bias**2)


class Tolerance(NamedTuple):
    """The largest error that an estimate may have.

    limit       the limit in nats
    confidence  None if `limit` is for the RMSE; else the probability with which the error of an
                estimate, treated as normal, is at most `limit`
    """

    limit: float
    confidence: float | None = None

    def variance(self, bias: float) -> float:
        """The largest variance that an estimate with this bias may have; negative if none."""
        bias = abs(bias) if math.isfinite(bias) else 0.0
        if self.confidence is None:
            return (self.limit - bias) * (self.limit + bias)
        if bias >= self.limit:
            return -1.0
        root = math.sqrt(2.0)

        def outside(sd: float) -> float:
            return 0.5 * sum(math.erfc((self.limit + b) / (sd * root)) for b in (bias, -bias))

        low, high = 0.0, self.limit
        while outside(high) < 1.0 - self.confidence:
            low, high = high, 2.0 * high
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if outside(middle) > 1.0 - self.confidence else (middle, high)
        return low * low


class Forecasts:
    """The samples needed by every estimator and sampler for one pair, from theory.

    The law of the log density ratio and the forms, which they share, are computed once.
    """

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.law: Law = pair.law
        self._normal_from: dict[tuple[str, bool], float] = {}
        self._forms: dict[bool, Form] = {}

    def unit(self, estimator: Estimator, sampler: Sampler) -> UnitTheory:
        """The theory of one independent unit of the sampler."""
        return unit_theory(estimator, self.law, sampler.points.mirrored)

    def normal_from(self, estimator: Estimator, sampler: Sampler) -> float:
        """How many units Student's interval needs in order to cover; inf if no number is known."""
        key = (estimator.name, sampler.points.mirrored)
        if key not in self._normal_from:
            unit = self.unit(estimator, sampler)
            self._normal_from[key] = estimator.normal_from(self.law, key[1], unit)
        return self._normal_from[key]

    def ratio_law(self, estimator: Estimator, sampler: Sampler) -> tuple[float, float]:
        """Mean and variance over one unit of r, or of the mean of r_i for estimators by factor."""
        if estimator.sums:
            off, variance = self.law.sums((RATIO,), sampler.points.mirrored, 2).value[1:]
            return 1.0 + float(off) / self.pair.dimension, float(variance) / self.pair.dimension**2
        block = self.law.block(sampler.points.mirrored, 2).value
        return self.law.kept_mass, float(block[2].flat[0])

    def form(self, sampler: Sampler) -> Form | None:
        """The form that the sampler draws; None where a sample takes too many numbers."""
        numbers = self.pair.dimension if not sampler.radial else sum(self.groups)
        if numbers > (sampler.points.most_numbers or math.inf):
            return None
        if sampler.radial not in self._forms:
            self._forms[sampler.radial] = sampler.form(self.pair)
        return self._forms[sampler.radial]

    @property
    def kl(self) -> float:
        """KL(q||p) in nats; NaN where it is not known."""
        return Bounded(self.law.kl, self.law.kl_error).known

    @cached_property
    def groups(self) -> tuple[int, int]:
        """The normals and the chi-squares that a radial sampler draws for a sample."""
        return self.pair.radial_numbers or (self.pair.dimension, 0)

    def need(self, estimator: Estimator, sampler: Sampler, tolerance: Tolerance) -> Need:
        """The samples needed for a tolerance."""
        if not tolerance.limit > 0.0:
            return Need(None, NO_KL if math.isnan(tolerance.limit) else ZERO, "none")
        unit = self.unit(estimator, sampler)
        if sampler.points.independent or _never(unit, tolerance):
            return need_of_units(unit, sampler, tolerance)
        form = self.form(sampler)
        if form is None:
            return Need(None, TOO_WIDE, "none")
        if not sampler.points.balanced:
            return Need(None, UNKNOWN, "none")
        theory = balanced_theory(estimator, self.law, form)
        return _of_balanced(theory, unit.bias, sampler, tolerance)


def fewest_samples(
    pair: Pair, relative: float, sampler: Sampler, estimators: Iterable[Estimator]
) -> list[float]:
    """The fewest samples for a relative RMSE, by estimator; NaN where no number is known."""
    forecasts = Forecasts(pair)
    limit = Tolerance(relative * forecasts.kl)
    needs = (forecasts.need(estimator, sampler, limit) for estimator in estimators)
    return [math.nan if need.samples is None else float(need.samples) for need in needs]


def _never(unit: UnitTheory, tolerance: Tolerance) -> str | None:
    """The verdict where no number of samples is enough, whatever the sampler; else None."""
    if unit.variance == math.inf:
        # k3 is never negative. So over dependent points the second moment of a sum is at least the
        # sum of second moments, which is infinite as well.
        return INFINITE
    if unit.kind == "none" and unit.reason == TOO_LARGE:
        return FAR
    biased = unit.kind == "exact" and abs(unit.bias) > 0 and tolerance.variance(unit.bias) <= 0
    return BIASED if biased else None


def need_of_units(unit: UnitTheory, sampler: Sampler, tolerance: Tolerance) -> Need:
    """The samples needed over independent units with this theory."""
    if verdict := _never(unit, tolerance):
        return Need(None, verdict, unit.kind)
    if unit.kind == "none" or math.isnan(unit.bias):
        return Need(None, UNKNOWN, "none")
    if unit.kind != "exact":  # to leading order the bias does not count
        unit = unit._replace(bias_times_n=0.0)
    least, unit = unit.least_units, unit._replace(least_units=1.0)

    def reached(units: int) -> bool:
        exact = over_units(unit, units)
        return exact.variance <= tolerance.variance(exact.bias)

    allowed = tolerance.variance(unit.bias)
    guess = unit.variance / allowed if allowed > 0 else math.inf
    most = MOST_SAMPLES // sampler.points.points
    units = None if guess > most else fewest(reached, 1, most, max(math.ceil(guess), 1))
    if units is None:
        return Need(None, FAR, unit.kind) if unit.kind == "exact" else Need(None, UNKNOWN, "none")
    exact = over_units(unit, units)
    if units < least:
        return Need(None, UNKNOWN, "none")
    verdict = OK if unit.kind == "exact" else LEADING
    return Need(units * sampler.points.points, verdict, unit.kind, exact.bias, exact.variance)


def fewest(
    reached: Callable[[int], bool], least: int, most: int, guess: int | None = None
) -> int | None:
    """The smallest number from `least` to `most` that meets a monotone condition, or None.

    The search begins at `guess`, or at `least`, and doubles its steps.
    """
    low, high, step = least - 1, least if guess is None else guess, 1
    if reached(high):
        lower = high - 1
        while lower >= least and reached(lower):
            high, lower, step = lower, lower - step, 2 * step
        low = max(low, lower)
    else:
        while not reached(high):
            if high == most:
                return None
            low, high, step = high, min(high + step, most), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _of_balanced(
    theory: Balanced | None, bias: float, sampler: Sampler, tolerance: Tolerance
) -> Need:
    """The need over Sobol' points: a power of two, as the variance falls with every doubling."""
    most = (sampler.points.most_samples or 2**30).bit_length() - 1
    last = math.nan if theory is None else theory.variance(2**most)
    bias = bias if theory is None or theory.exact else 0.0
    if theory is None or math.isnan(last) or math.isnan(bias):
        return Need(None, UNKNOWN, "none")
    allowed = tolerance.variance(bias)
    kind = "exact" if theory.exact else "asymptotic"
    if last > allowed:
        return Need(None, ENDS, kind)
    doublings = fewest(lambda m: theory.variance(2**m) <= allowed, 0, most, most // 2)
    assert doublings is not None
    points = 2**doublings
    if not theory.settled(points):
        return Need(None, UNKNOWN, "none")
    if theory.exact:
        return Need(points, OK, kind, bias, theory.variance(points))
    return Need(points, LEADING, kind, math.nan, theory.variance(points))
