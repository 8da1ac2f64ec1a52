"""How many samples an estimate needs: from exact theory, and as measured.

The samples needed for a tolerance are the fewest, in whole units of the sampler, at which the
RMSE is at most the tolerance times KL. The theory is that of `mckl.study.theory` and, over Sobol'
points, of `mckl.exact.balanced`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mckl.draw.points import SAMPLERS, Sampler
from mckl.draw.reduction import Form, full
from mckl.estimation.values import ESTIMATORS, Estimator, UnitTheory
from mckl.estimation.values.base import TOO_LARGE
from mckl.exact.balanced import balanced_variance
from mckl.exact.law import LogRatioLaw
from mckl.families.normal import Pair, Vector
from mckl.study.settings import Setting
from mckl.study.theory import over_units

if TYPE_CHECKING:
    import pandas as pd

OK = "ok"
LEADING = "ok to leading order"
INFINITE = "infinite variance"
BIASED = "biased: never reaches it"
ZERO = "KL is 0: use an absolute tolerance"
UNKNOWN = "no theory: measure it"
FAR = "out of reach: over 1e18 samples"
ENDS = "out of reach: over 2^30 samples"
TOO_WIDE = "not possible: too many numbers"

REACHED = (OK, LEADING)
_MOST = 10**18
_WITHIN = 1.96  # standard errors of the measured mean squared error


class Need(NamedTuple):
    """What a tolerance takes: the samples (None where no number of them does) and why.

    bias and variance are those of the estimate at that many samples, in nats; NaN where there
    is none.
    """

    samples: int | None
    verdict: str
    theory: str
    bias: float = math.nan
    variance: float = math.nan

    @property
    def rmse(self) -> float:
        """The RMSE at that many samples, in nats."""
        bias = self.bias if math.isfinite(self.bias) else 0.0
        return math.sqrt(self.variance + bias**2)


class Tolerance(NamedTuple):
    """How far off an estimate may be.

    limit       in nats
    confidence  None: the RMSE is at most `limit`. Else the error of an estimate, taken for
                normal, is at most `limit` with this probability
    """

    limit: float
    confidence: float | None = None

    def variance(self, bias: float) -> float:
        """The largest variance that an estimate of this bias may have; negative for none."""
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

    What they share, the law of the log density ratio and the reduced forms, is made once.
    """

    def __init__(self, setting: Setting) -> None:
        self.pair = setting.pair
        self.law = LogRatioLaw(self.pair)
        self._units: dict[tuple[str, bool], UnitTheory] = {}
        self._forms: dict[Callable[[Pair], Form], Form] = {}

    def unit(self, estimator: Estimator, sampler: Sampler) -> UnitTheory:
        """The theory of one independent unit of the sampler."""
        key = (estimator.name, sampler.points.points == 2)
        if key not in self._units:
            self._units[key] = estimator.theory(self.law, key[1])
        return self._units[key]

    def form(self, sampler: Sampler) -> Form | None:
        """The quadratic form that the sampler draws; None where it takes too many numbers."""
        numbers = self.pair.dimension if sampler.reduce is full else sum(self.groups)
        if numbers > (sampler.points.most_numbers or math.inf):
            return None
        if sampler.reduce not in self._forms:
            self._forms[sampler.reduce] = sampler.reduce(self.pair)
        return self._forms[sampler.reduce]

    @cached_property
    def groups(self) -> tuple[int, int]:
        """The normals and the chi-squares that a radial sampler draws for a sample."""
        return self.law.groups()

    def need(self, estimator: Estimator, sampler: Sampler, tolerance: Tolerance) -> Need:
        """The samples needed for a tolerance."""
        if tolerance.limit <= 0.0:
            return Need(None, ZERO, "none")
        unit = self.unit(estimator, sampler)
        if unit.variance == math.inf:
            # k3 is never negative, so over dependent points the second moment of its sum is at
            # least the sum of its second moments: infinite as well.
            return Need(None, FAR if unit.reason == TOO_LARGE else INFINITE, unit.kind)
        if unit.kind == "exact" and abs(unit.bias) > 0 and tolerance.variance(unit.bias) <= 0:
            return Need(None, BIASED, unit.kind)
        if sampler.points.independent:
            return _of_units(unit, sampler, tolerance)
        form = self.form(sampler)
        if form is None:
            return Need(None, TOO_WIDE, "none")
        if not estimator.linear:
            return Need(None, UNKNOWN, "none")
        return _of_balanced(form, sampler, tolerance)


def _of_units(unit: UnitTheory, sampler: Sampler, tolerance: Tolerance) -> Need:
    if unit.kind == "none":
        return Need(None, UNKNOWN, "none")
    if unit.kind != "exact":  # to leading order the variance is the whole error
        unit = unit._replace(bias_times_n=0.0)
    least, unit = unit.least_units, unit._replace(least_units=1.0)

    def reached(units: int) -> bool:
        exact = over_units(unit, units)
        return exact.variance <= tolerance.variance(exact.bias)

    allowed = tolerance.variance(unit.bias)
    guess = unit.variance / allowed if allowed > 0 else math.inf
    most = _MOST // sampler.points.points
    units = None if guess > most else _smallest(reached, max(math.ceil(guess), 1), 1, most)
    if units is None:
        return Need(None, FAR, unit.kind) if unit.kind == "exact" else Need(None, UNKNOWN, "none")
    exact = over_units(unit, units)
    if units < least:
        return Need(None, UNKNOWN, "none")
    verdict = OK if unit.kind == "exact" else LEADING
    return Need(units * sampler.points.points, verdict, unit.kind, exact.bias, exact.variance)


def _smallest(reached: Callable[[int], bool], guess: int, least: int, most: int) -> int | None:
    """The smallest number from `least` on that meets a monotone condition, sought near `guess`."""
    high, step = max(guess, least), 1
    low = high - 1
    if reached(high):
        while low >= least and reached(low):
            high, low, step = low, low - step, 2 * step
        low = max(low, least - 1)
    else:
        low, high = high, high + 1
        while not reached(high):
            low, high, step = high, high + step, 2 * step
            if low > most:
                return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _of_balanced(form: Form, sampler: Sampler, tolerance: Tolerance) -> Need:
    """Over Sobol' points: the smallest power of two, the variance falling at every doubling."""
    most = (sampler.points.most_samples or 2**30).bit_length() - 1
    allowed = tolerance.variance(0.0)
    if balanced_variance(form, 2**most) > allowed:
        return Need(None, ENDS, "exact")
    low, high = -1, most
    while high - low > 1:
        middle = (low + high) // 2
        fits = balanced_variance(form, 2**middle) <= allowed
        low, high = (low, middle) if fits else (middle, high)
    return Need(2**high, OK, "exact", 0.0, balanced_variance(form, 2**high))


def measured(
    samples: Vector, mse: Vector, std_error: Vector, limit: float, sampler: Sampler
) -> tuple[int | None, int | None, int | None]:
    """The samples from which the measured RMSE stays at most `limit`, and their 95 % interval.

    Interpolated between checkpoints on the log-log curve, then rounded up to whole units, over
    Sobol' points to a power of two. None where the RMSE does not reach the limit; the interval,
    in which mse is taken for log-normal, then is None as well, and its upper end where only the
    upper curve does not reach it.

    Parameters
    ----------
    samples, mse, std_error
        The checkpoints in order, the mean squared error there and its standard error.
    """
    middle = _crossing(samples, mse, limit**2, sampler) if limit > 0 else None
    if middle is None:
        return None, None, None
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.exp(_WITHIN * np.where(mse > 0, std_error / mse, 0.0))
    if not np.isfinite(factor).all():
        return middle, None, None
    return (
        middle,
        _crossing(samples, mse / factor, limit**2, sampler),
        _crossing(samples, mse * factor, limit**2, sampler),
    )


def _crossing(samples: Vector, mse: Vector, limit: float, sampler: Sampler) -> int | None:
    above = np.flatnonzero(~(mse <= limit))
    first = int(above[-1]) + 1 if above.size else 0
    if first == mse.size:
        return None
    n = float(samples[first])
    if first and mse[first] > 0:
        x, y = np.log(samples[first - 1 : first + 1]), np.log(mse[first - 1 : first + 1])
        n = math.exp(x[0] + (math.log(limit) - y[0]) * (x[1] - x[0]) / (y[1] - y[0]))
    whole = math.ceil(n * (1.0 - 1e-12))  # what rounding added is no sample
    if not sampler.points.independent:
        return 1 << (whole - 1).bit_length()
    points = sampler.points.points
    return -(-whole // points) * points


def _pooled(summary: pd.DataFrame) -> pd.DataFrame:
    """Mean squared error and its standard error over the replicates of all backends."""
    keys = ["setting", "sampler", "estimator", "samples"]
    frame = summary[[*keys, "replicates", "mse", "mse_std_error"]]
    frame = frame.astype(dict.fromkeys(keys[:-1], str))
    frame["squares"] = frame["replicates"] * frame["mse"]
    frame["error"] = (frame["replicates"] * frame["mse_std_error"]) ** 2
    out = frame.groupby(keys, sort=True)[["replicates", "squares", "error"]].sum(min_count=1)
    return out.assign(
        mse=out["squares"] / out["replicates"], std_error=np.sqrt(out["error"]) / out["replicates"]
    ).reset_index()


def budget_rows(
    settings: Sequence[Setting],
    samplers: Sequence[str],
    estimators: Sequence[str],
    tolerances: Sequence[float],
    summary: pd.DataFrame,
) -> Iterator[dict[str, list[object]]]:
    """The columns of budget.parquet, a batch a setting; backends are pooled."""
    curves = {
        key: (rows["samples"].to_numpy(float), rows["mse"].to_numpy(float),
              rows["std_error"].to_numpy(float))
        for key, rows in _pooled(summary).groupby(["setting", "sampler", "estimator"])
    }  # fmt: skip
    nothing = (np.empty(0), np.empty(0), np.empty(0))
    for setting in settings:
        forecasts = Forecasts(setting)
        kl = forecasts.law.kl
        columns: dict[str, list[object]] = {}
        for sampler in (SAMPLERS[name] for name in samplers):
            for estimator in (ESTIMATORS[name] for name in estimators):
                n, mse, error = curves.get((setting.name, sampler.name, estimator.name), nothing)
                for tolerance in tolerances:
                    need = forecasts.need(estimator, sampler, Tolerance(tolerance * kl))
                    seen = measured(n, mse, error, tolerance * kl, sampler)
                    row = {
                        "setting": setting.name,
                        "sampler": sampler.name,
                        "estimator": estimator.name,
                        "tolerance": tolerance,
                        "samples_needed": need.samples,
                        "samples_needed_measured": seen[0],
                        "samples_needed_low": seen[1],
                        "samples_needed_high": seen[2],
                        "theory": need.theory,
                        "verdict": need.verdict,
                    }
                    for key, value in row.items():
                        columns.setdefault(key, []).append(value)
        yield columns
