"""The tables of what is known without sampling: of every setting, and of every estimate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from mckl.draw.points import SAMPLERS
from mckl.estimation.theory import exact
from mckl.estimation.values import ESTIMATORS
from mckl.study.settings import Setting


def theory_rows(
    settings: Sequence[Setting],
    samplers: Sequence[str],
    estimators: Sequence[str],
    samples: Sequence[int],
) -> Iterator[dict[str, list[object]]]:
    """The columns of theory.parquet, a batch a setting."""
    chosen = [ESTIMATORS[name] for name in estimators]
    for setting in settings:
        columns: dict[str, list[object]] = {}
        for name in samplers:
            for estimator, n, e in exact(setting.pair, SAMPLERS[name], chosen, samples):
                row = {
                    "setting": setting.name,
                    "sampler": name,
                    "estimator": estimator,
                    "samples": n,
                    "exact_bias": e.bias,
                    "exact_variance": e.variance,
                    "exact_mse": e.mse,
                    "theory": e.theory,
                    "reason": e.reason,
                    "exact_skewness": e.skewness,
                    "exact_excess_kurtosis": e.excess_kurtosis,
                }
                for key, value in row.items():
                    columns.setdefault(key, []).append(value)
        yield columns


def setting_rows(settings: Sequence[Setting]) -> dict[str, list[object]]:
    """The columns of settings.parquet."""
    columns: dict[str, list[object]] = {}
    for setting in settings:
        law = setting.pair.law
        _, variance, third, fourth = law.cumulants(4)
        row = {
            "setting": setting.name,
            "case": setting.case,
            "dimension": setting.dimension,
            "scale": setting.scale,
            "offset": setting.offset,
            "kl": law.kl,
            "reverse_kl": setting.pair.reversed().law.kl,
            "log_ratio_variance": variance,
            "log_ratio_skewness": third / variance / math.sqrt(variance) if variance else math.nan,
            "log_ratio_excess_kurtosis": fourth / variance / variance if variance else math.nan,
            "k3_variance_finite": law.is_finite((-2, -2)),
        }
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    return columns
