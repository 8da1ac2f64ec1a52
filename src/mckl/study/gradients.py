"""gradients.parquet: gradient estimates over replicates, with their exact law.

Every row is a setting, a method and a number of samples. Mean and total variance are compared with
theory in the job that draws, since the estimates of single parameters are not kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mckl.arrays import Vector, in_columns
from mckl.draw.streams import generator
from mckl.estimation.gradients import METHODS
from mckl.estimation.gradients.base import GradientLaw, Method, law_of
from mckl.estimation.gradients.gradient_theory import exact, needed, norm, numbers
from mckl.estimation.gradients.simulate import gradient_checkpoints, simulate
from mckl.families.scores import Scores
from mckl.study.tails import self_normalised_p_value

if TYPE_CHECKING:
    from mckl.study.settings import Setting

TOLERANCE = 0.1  # the relative RMSE for which the table has the samples needed
_ROUNDING = 1e-11  # the rounding error of a sum, relative to its largest term
_LEADING = 64  # samples from which on a leave-one-out mean has the kurtosis of its leading term


class Test(NamedTuple):
    """A tested statistic: measured, exact, the exact standard deviation (spread), z and p-value.

    `spread`, `z` and `p_value` are NaN where the spread is infinite or not known.
    """

    measured: float
    exact: float
    spread: float
    z: float
    p_value: float


def rows(
    settings: Sequence[Setting], methods: Sequence[str], seed: int, samples: int, replicates: int
) -> Iterator[dict[str, list[Any]]]:
    """The columns of gradients.parquet, setting by setting, for families that have gradients."""
    for setting in settings:
        scores = setting.pair.scores
        if scores is None:
            continue
        offered = [METHODS[name] for name in methods if METHODS[name].offered(scores)]
        stream = generator(seed, "gradients", setting.name)
        yield _columns(setting.name, scores, offered, stream, samples, replicates)


def _columns(
    name: str, scores: Scores, methods: Sequence[Method], stream: np.random.Generator,
    samples: int, replicates: int,
) -> dict[str, list[Any]]:  # fmt: skip
    laws = {m.name: law_of(m, scores) for m in methods}
    size = norm(scores.gradient, scores.count)
    wanted = {m.name: needed(laws[m.name], scores, TOLERANCE, m.least_samples) for m in methods}
    out = []
    order = {m.name: i for i, m in enumerate(methods)}
    simulated = simulate(scores, methods, stream, replicates, gradient_checkpoints(samples))
    for method, n, estimates in sorted(simulated, key=lambda x: (order[x[0].name], x[1])):
        law = laws[method.name]
        gradient = expanded(scores.gradient, scores, estimates.shape[1])
        spread = float(estimates.var(axis=0, ddof=1).sum()) if replicates > 1 else math.nan
        seen = numbers(estimates.mean(axis=0), spread, gradient, np.ones(gradient.size))
        error = float(((estimates - gradient) ** 2).sum() / replicates)
        theory = exact(law, scores, n)
        tests = compare(law, scores, method, n, estimates)
        samples_needed, verdict = wanted[method.name]
        row = {
            "setting": name,
            "method": method.name,
            "samples": n,
            "replicates": replicates,
            "parameter_count": scores.parameter_count,
            "gradient_norm": size,
            "mean_norm": seen.length,
            "bias_norm": seen.bias,
            "relative_bias": seen.relative_bias,
            "cosine": seen.cosine,
            "total_variance": spread,
            "relative_rmse": math.sqrt(error) / size if size else math.nan,
            "exact_mean_norm": theory.length,
            "exact_bias_norm": theory.bias,
            "exact_relative_bias": theory.relative_bias,
            "exact_cosine": theory.cosine,
            "exact_total_variance": theory.total_variance,
            "exact_relative_rmse": theory.relative_rmse,
            "theory": "none" if math.isnan(theory.bias) else "exact",
            "samples_needed": samples_needed,
            "verdict": verdict,
            **{
                f"{moment}_{field}": value
                for moment, test in tests.items()
                for field, value in test._asdict().items()
            },
        }
        out.append(row)
    return in_columns(out)


def expanded(values: Vector, scores: Scores, size: int) -> Vector:
    """One number for each of `size` parameters, from values in which equal ones may occur once."""
    return values if values.size == size else np.repeat(values, scores.count.astype(int))


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def compare(
    law: GradientLaw, scores: Scores, method: Method, n: int, estimates: Vector
) -> dict[str, Test]:
    """Tests of the mean, by the parameter with the largest error, and of the total variance."""
    replicates, size = estimates.shape
    mean, variance, fourth = (
        expanded(x, scores, size) for x in (law.mean_at(n), law.variance_at(n), law.fourth)
    )
    away = estimates - mean
    away[np.abs(away) <= _ROUNDING * np.maximum(np.abs(mean), np.sqrt(variance))] = 0.0
    sums, exact_sums = away.sum(axis=0), replicates * variance
    finite = np.isfinite(variance)
    p = np.where(finite, self_normalised_p_value(sums, (away**2).sum(axis=0), exact_sums), np.nan)
    p = np.where(finite & (variance == 0), np.where(sums == 0, 1.0, 0.0), p)
    of_mean = Test(*(math.nan,) * 5)
    if finite.any():
        worst = int(np.nanargmin(p))
        deviation = math.sqrt(exact_sums[worst])
        of_mean = Test(
            float(estimates[:, worst].mean()),
            float(mean[worst]),
            deviation / replicates,
            float(sums[worst]) / deviation if deviation else 0.0,
            min(float(p[worst]) * int(finite.sum()), 1.0),
        )
    # The squared error of each replicate; Minkowski's inequality bounds its mean square.
    squares, expected = (away**2).sum(axis=1), float(variance.sum())
    one = expanded(law.variance, scores, size)
    root = np.sqrt(fourth / n + 3.0 * (n - 1.0) / n * one**2) / n * law.factor(n) ** 2
    spread = float(root.sum()) ** 2 - expected**2
    if method.baseline and n < _LEADING:
        spread = math.nan
    measured, off = float(squares.mean()), squares - expected
    of_variance = Test(measured, expected, math.nan, math.nan, math.nan)
    if expected == 0.0:
        of_variance = Test(measured, expected, 0.0, 0.0, float(not squares.any()))
    elif 0.0 < spread < math.inf:
        deviation = math.sqrt(replicates * spread)
        p_value = self_normalised_p_value(
            np.asarray(off.sum()), np.asarray((off**2).sum()), np.asarray(replicates * spread)
        )
        z = float(off.sum()) / deviation
        of_variance = Test(measured, expected, deviation / replicates, z, float(p_value))
    return {"mean": of_mean, "variance": of_variance}
