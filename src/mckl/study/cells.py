"""The statistics that verification compares cell by cell, from mean and variance to coverage.

A *cell* is a setting, backend, sampler, estimator and number of samples. Each function returns a
frame of statistics: rows with these keys, `quantity`, and the columns

measured, exact  the measured number, and the exact one
sd, skewness     standard deviation and skewness of `measured` by theory
excess           its excess kurtosis beyond that of a gamma law, if the p-value allows for it
trusted          whether a gamma law with this skewness is accurate far out in the tails
floor            the largest difference that rounding may cause
margin           the largest difference for other reasons (cv's theory is a leading order)
part             the largest share of one independent square in a mean of squares; NaN if the
                 quantity is no such mean
relative_to      the number by which the error of the quantity is divided when it is reported
count, low, high for a coverage, the count of independent intervals and the range of the expected
                 coverage; NaN for other quantities
test             the test, where it does not follow from the other columns; else ""
replicates       the number of replicates, for these tests
square           for `nonnegative`, the mean of (estimate / exact - 1)^2
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mckl.arrays import Vector, vectors
from mckl.draw.points import SAMPLERS
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import FAMILIES
from mckl.study.tails import near_gamma, square

KEYS = ["setting", "backend", "sampler", "estimator", "samples"]
# Up to these numbers the matched gamma tail is accurate down to 1e-11: the skewness, the excess
# kurtosis of a mean beyond the gamma's, that of estimates whose variance is tested, and that of
# statistics over many squares, for which the p-value allows for the excess.
MOST_SKEWNESS, _MEAN_EXCESS, _VARIANCE_KURTOSIS, MOST_EXCESS = 0.3, 0.002, 0.05, 0.02
# The rounding error of an estimate whose exact variance is 0, relative to the size of l.
_ROUNDING = 1e-12
# The largest relative error of an asymptotic theory, and the excess kurtosis that is assumed for
# estimates whose law is not known.
_MOST_ASYMPTOTIC_ERROR, _UNKNOWN_KURTOSIS, _MOST_UNKNOWN_KURTOSIS = 0.2, 1.0, 3.0
_LEAST_REPLICATES = 20  # with fewer, a standard error over replicates is not tested
NONNEGATIVE, MEDIAN, CORRELATION = "nonnegative", "median", "fisher"
_NEVER_NEGATIVE = [name for name, e in ESTIMATORS.items() if e.never_negative]
# Up to this skewness of std_error^2, and this correlation, Fisher's transform is nearly normal.
_MOST_BENT, _MOST_CORRELATION = 0.6, 0.95
# Coverage is only predicted if Edgeworth's correction is at most this.
_LEVEL, _MOST_CORRECTION = 0.95, 0.005
_LEAST_OF_COUNTS = 8  # independent units from which on a coverage is compared for counts
_NAMES = re.compile("[a-z][a-z-]*")  # of the families in the text of a pair's family
SHAPE = ("exact_skewness", "exact_excess_kurtosis")


def units_of(cells: pd.DataFrame) -> Vector:
    """The number of independent units of each estimate; 0 if its points depend on each other."""
    units = {
        name: 1 / s.points.points if s.points.independent else 0.0 for name, s in SAMPLERS.items()
    }
    return np.asarray(cells["samples"] * cells["sampler"].map(units).astype(float), float)


def _fitted(cells: pd.DataFrame) -> Vector:
    """The number of parameters that each estimator fits on its samples."""
    return np.asarray(
        cells["estimator"].map({name: e.parameters for name, e in ESTIMATORS.items()}), float
    )


def _of_counts(cells: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the factors of q or p have countably many values."""
    known = {
        text: any(name in FAMILIES and FAMILIES[name].countable for name in _NAMES.findall(text))
        for text in cells["family"].unique()
    }
    return cells["family"].map(known).to_numpy(bool)


def floor_of(cells: pd.DataFrame) -> Vector:
    """The largest error of an estimate that rounding may cause, in nats."""
    kl = cells["kl"].to_numpy(float)
    return _ROUNDING * (kl + np.sqrt(2.0 * kl))  # for small KL, sd l is about sqrt(2 KL)


def statistics(
    cells: pd.DataFrame, quantity: str, measured: Vector, exact: Vector,
    **others: Vector | NDArray[np.bool_] | float | str,
) -> pd.DataFrame:  # fmt: skip
    """A frame of statistics as the module describes them; columns not given are 0 or NaN."""
    columns: dict[str, Any] = {
        "sd": math.nan, "skewness": 0.0, "trusted": False, "excess": 0.0, "floor": 0.0,
        "margin": 0.0, "part": math.nan, "relative_to": exact, "count": math.nan, "low": math.nan,
        "high": math.nan, "test": "", "replicates": math.nan, "square": math.nan,
    }  # fmt: skip
    return cells[KEYS].assign(
        quantity=quantity, measured=measured, exact=exact, **(columns | others)
    )


def joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One frame from several; empty ones are left out, since they would change column types."""
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def of_means(cells: pd.DataFrame) -> pd.DataFrame:
    """Compares the mean over replicates with KL + bias."""
    r, mean, kl, bias, variance = vectors(
        cells, "replicates", "mean", "kl", "exact_bias", "exact_variance"
    )
    skewness, kurtosis = vectors(cells, *SHAPE)
    skewness = np.nan_to_num(skewness / np.sqrt(r), nan=0.0, posinf=1e3, neginf=-1e3)
    excess = kurtosis / r - 1.5 * skewness**2
    return statistics(
        cells, "mean", mean, kl + bias, sd=np.sqrt(variance / r), skewness=skewness,
        trusted=(np.abs(skewness) <= MOST_SKEWNESS) & (np.abs(excess) <= _MEAN_EXCESS),
        floor=floor_of(cells), relative_to=kl,
    )  # fmt: skip


def of_variances(cells: pd.DataFrame) -> pd.DataFrame:
    """Compares the sample variance over replicates, if there are several, with the variance."""
    cells = cells[cells["replicates"] > 1]
    r, exact, measured, kurtosis = vectors(
        cells, "replicates", "exact_variance", "variance", "exact_excess_kurtosis"
    )
    # Var(s^2) = sigma^4 (excess kurtosis / R + 2 / (R - 1)) for every law of the estimates
    relative = np.sqrt(np.maximum(kurtosis, -2.0) / r + 2.0 / (r - 1))
    return statistics(
        cells, "variance", measured, exact, sd=_sd(exact, relative),
        skewness=2.0 * np.where(np.isfinite(relative), relative, 0.0),
        trusted=np.abs(kurtosis) <= _VARIANCE_KURTOSIS, floor=floor_of(cells) ** 2,
    )  # fmt: skip


def of_std_errors(cells: pd.DataFrame) -> pd.DataFrame:
    """Compares the mean of std_error^2 = s^2 / N over replicates with the variance."""
    cells = cells[units_of(cells) > _fitted(cells)]
    n = units_of(cells)
    r, measured, exact = vectors(cells, "replicates", "std_error_square", "exact_variance")
    skewness, kurtosis = vectors(cells, *SHAPE)
    skewness, kurtosis = skewness * np.sqrt(n), kurtosis * n  # of one unit
    with np.errstate(invalid="ignore"):
        of_unit = square(skewness, kurtosis)
        variance = (np.maximum(kurtosis, -2.0) / n + 2.0 / (n - 1)) / r
        third, fourth = of_unit.third / (r * (n - 1)) ** 2, of_unit.fourth / (r * (n - 1)) ** 3
        bent = third / variance**1.5
        excess = fourth / variance**2 - 1.5 * bent**2
        trusted = near_gamma(skewness, kurtosis) & (bent <= MOST_SKEWNESS) & (excess <= MOST_EXCESS)
    out = statistics(
        cells, "std_error", measured, exact,
        sd=_sd(exact, np.sqrt(variance)), skewness=np.nan_to_num(bent), trusted=trusted,
        excess=np.nan_to_num(excess), floor=floor_of(cells) ** 2, part=1.0 / r,
    )  # fmt: skip
    return out.assign(third=third, fourth=fourth)


def of_coverage(cells: pd.DataFrame) -> pd.DataFrame:
    """Compares the coverage of unbiased estimates' 95 % intervals with Edgeworth's prediction.

    The prediction is 0.95 + 0.0161 kurtosis - 0.2474 skewness^2 of the estimate (theory.md,
    section 8). It is used if it differs from 0.95 by at most 0.005, and a margin as large as this
    difference is left for higher orders. Of few samples of a law with few values, all may be equal
    and have no spread, which no expansion sees.
    """
    skewness, kurtosis, exact = vectors(cells, *SHAPE, "exact_variance")
    with np.errstate(invalid="ignore"):
        correction = 0.0161 * kurtosis - 0.2474 * skewness**2
    predicted = (np.abs(correction) <= _MOST_CORRECTION) & (exact > 0) & np.isfinite(exact)
    predicted &= (cells["exact_bias"] == 0).to_numpy()
    least = np.where(_of_counts(cells), _LEAST_OF_COUNTS, 0.0)
    predicted &= (units_of(cells) > _fitted(cells)) & (units_of(cells) >= least)
    cells, correction = cells[predicted], correction[predicted]
    r, measured = vectors(cells, "replicates", "ci_coverage")
    middle, apart = _LEVEL + correction, np.abs(correction)
    return shares(cells, measured, middle, r, middle - apart, middle + apart)


def shares(
    cells: pd.DataFrame, measured: Vector, exact: Vector, count: Vector, low: Vector, high: Vector
) -> pd.DataFrame:
    """Statistics of coverages, each of `count` intervals, expected between `low` and `high`."""
    return statistics(
        cells, "coverage", measured, exact, sd=np.sqrt(exact * (1.0 - exact) / count),
        relative_to=1.0, count=count, low=low, high=high,
    )  # fmt: skip


def without_variance(cells: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether only the mean of an estimate is known, and the estimate is never negative.

    These are k2 and k3 where their variance is infinite, or over Sobol' points not known.
    """
    mean = np.isfinite(cells["exact_bias"]) & cells["estimator"].isin(_NEVER_NEGATIVE)
    return np.asarray(mean & ~np.isfinite(cells["exact_variance"]) & (cells["kl"] > 0.0))


def of_nonnegative(cells: pd.DataFrame) -> pd.DataFrame:
    """Compares the mean over replicates with KL + bias where the variance is of no help."""
    r, mean, variance, kl, bias = vectors(
        cells, "replicates", "mean", "variance", "kl", "exact_bias"
    )
    exact, spread = kl + bias, np.where(r > 1, variance * (r - 1.0) / r, 0.0)
    return statistics(
        cells, "mean", mean, exact, relative_to=kl, test=NONNEGATIVE, replicates=r,
        square=(spread + (mean - exact) ** 2) / exact**2,
    )  # fmt: skip


def of_medians(cells: pd.DataFrame) -> pd.DataFrame:
    """Compares the median square about the exact mean with the variance, where tails are heavy.

    It detects a bias of a few standard deviations, or a variance many times too large, whatever the
    law, where the tests of mean and variance are bounds that detect next to nothing.
    """
    variance, kurtosis = vectors(cells, "exact_variance", "exact_excess_kurtosis")
    light = np.abs(kurtosis) <= _VARIANCE_KURTOSIS
    cells = cells[(variance > 0.0) & np.isfinite(variance) & ~light]
    measured, exact, kl, r = vectors(cells, "median_square", "exact_variance", "kl", "replicates")
    return statistics(
        cells, "median_square", measured, exact, floor=floor_of(cells) ** 2, relative_to=kl,
        test=MEDIAN, replicates=r,
    )  # fmt: skip


def of_skewness(cells: pd.DataFrame) -> pd.DataFrame:
    """Compares the correlation of a mean and its std_error^2 over replicates with the skewness.

    Cov(mean, s^2 / N) is the third cumulant of one unit divided by N^2, for every law. So the
    correlation is skewness / sqrt(excess kurtosis + 2 / (N - 1)), where both are the estimate's. It
    is compared at the last checkpoint of each trace, if both numbers are nearly normal there.
    """
    cells = cells.loc[cells.groupby(KEYS[:4])["samples"].idxmax()]
    n = units_of(cells)
    skewness, kurtosis, r = vectors(cells, *SHAPE, "replicates")
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = kurtosis + 2.0 / (n - 1.0)
        exact = skewness / np.sqrt(variance)
        bent = square(skewness * np.sqrt(n), kurtosis * n).third / (n - 1.0) ** 2 / variance**1.5
    good = (r >= _LEAST_REPLICATES) & (n > 2) & (_fitted(cells) == 1) & (variance > 0.0)
    good &= (np.abs(skewness) <= MOST_SKEWNESS) & (np.abs(kurtosis) <= _VARIANCE_KURTOSIS)
    good &= (bent <= _MOST_BENT) & (np.abs(exact) < _MOST_CORRELATION)
    good &= (cells["exact_variance"] > 0.0).to_numpy()
    cells, exact, r = cells[good], exact[good], r[good]
    (measured,) = vectors(cells, "std_error_correlation")
    return statistics(
        cells, "skewness", measured, exact, relative_to=np.abs(exact), test=CORRELATION,
        replicates=r,
    )  # fmt: skip


def of_leading_order(cells: pd.DataFrame) -> pd.DataFrame:
    """Compares mean, variance and std_error^2 with theory that is only a leading order.

    The theory is used where its error is at most 20 %, and this is left as a margin. The law of the
    estimates is not known, so a skewness of 0.3, of either sign, and an excess kurtosis of 1 are
    assumed. Over dependent points, where it does not fade with the number of samples, the kurtosis
    is that of k1 (`kurtosis_of_k1`) if this is larger.
    """
    r, variance, bias, kl, kurtosis, mean, square_error, error, measured = vectors(
        cells, "replicates", "exact_variance", "exact_bias", "kl", "kurtosis_of_k1", "mean",
        "std_error_square", "std_error_square_error", "variance",
    )  # fmt: skip
    floor, exact = floor_of(cells), kl + bias
    with np.errstate(divide="ignore", invalid="ignore"):
        kurtosis = np.maximum(kurtosis, _UNKNOWN_KURTOSIS)
        kurtosis = np.where(units_of(cells) > 0, _UNKNOWN_KURTOSIS, kurtosis)
        relative = np.sqrt(np.nan_to_num(kurtosis, nan=_UNKNOWN_KURTOSIS) / r + 2.0 / (r - 1))
        heavier = {"mean": np.sign(mean - exact), "std_error": np.sign(square_error - variance)}
    parts = [
        statistics(
            cells, "mean", mean, exact, sd=np.sqrt((1.0 + _MOST_ASYMPTOTIC_ERROR) * variance / r),
            skewness=MOST_SKEWNESS * heavier["mean"], trusted=True, floor=floor,
            margin=_MOST_ASYMPTOTIC_ERROR * np.abs(bias), relative_to=kl,
        )[np.isfinite(bias)],
        statistics(
            cells, "variance", measured, variance,
            sd=_sd(variance, relative), skewness=2.0 * relative, floor=floor**2,
            trusted=kurtosis <= _MOST_UNKNOWN_KURTOSIS, margin=_MOST_ASYMPTOTIC_ERROR * variance,
        )[r > 1],
        statistics(
            cells, "std_error", square_error, variance,
            sd=np.where(variance == 0.0, 0.0, error), skewness=MOST_SKEWNESS * heavier["std_error"],
            trusted=True, floor=floor**2, margin=_MOST_ASYMPTOTIC_ERROR * variance,
        )[(units_of(cells) > _fitted(cells)) & (r >= _LEAST_REPLICATES)],
    ]  # fmt: skip
    return joined(parts)


def _sd(exact: Vector, relative: Vector) -> Vector:
    """`relative` times `exact`; inf where either is not finite, 0 where `exact` is 0."""
    with np.errstate(invalid="ignore"):
        sd = exact * np.where(np.isfinite(exact), relative, np.inf)
    return np.where(exact == 0.0, 0.0, np.where(np.isnan(sd), np.inf, sd))
