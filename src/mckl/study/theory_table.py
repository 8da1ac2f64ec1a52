"""The tables of exact theory: settings.parquet for settings, theory.parquet for estimates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from mckl.arrays import in_columns
from mckl.draw.points import SAMPLERS
from mckl.estimation.shape import check_certain, k3_variance_finite, shape_of
from mckl.estimation.theory import exact_mean
from mckl.estimation.values import ESTIMATORS
from mckl.exact.moments import Bounded
from mckl.families.base import Pair
from mckl.study.settings import Setting


def theory_rows(
    settings: Sequence[Setting],
    samplers: Sequence[str],
    estimators: Sequence[str],
    samples: Sequence[int],
) -> Iterator[dict[str, list[object]]]:
    """The columns of theory.parquet, one batch for each setting that has a sampler."""
    for setting in settings:
        rows = []
        pair = setting.pair
        for name, those in setting.combinations(samplers, estimators).items():
            chosen = [ESTIMATORS[estimator] for estimator in those]
            for estimator, n, e in exact_mean(pair, SAMPLERS[name], chosen, samples):
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
                    "relative_error": e.relative_error,
                    "exact_skewness": e.skewness,
                    "exact_excess_kurtosis": e.excess_kurtosis,
                }
                rows.append(row)
        if rows:
            yield in_columns(rows)


def _reverse_kl_integral(pair: Pair) -> float:
    """KL(p||q) by quadrature; NaN where it is infinite, which no quadrature can tell."""
    return pair.reversed().integrals().kl if math.isfinite(pair.reverse_kl) else math.nan


def setting_rows(settings: Sequence[Setting]) -> dict[str, list[object]]:
    """The columns of settings.parquet."""
    rows = []
    for setting in settings:
        pair = setting.pair
        law = pair.law
        check_certain(pair, setting.name)
        shape = shape_of(pair.law)
        reverse = Bounded(pair.reverse_kl, pair.reverse_kl_error)
        by_quadrature = pair.integrals()
        skewness, excess_kurtosis = by_quadrature.shape
        row = {
            "setting": setting.name,
            "case": setting.case,
            "family": setting.family or pair.family,
            "parameters": setting.parameters and json.dumps(setting.parameters),
            "dimension": setting.dimension,
            "scale": setting.scale,
            "offset": setting.offset,
            "kl": law.kl,
            "kl_integral": by_quadrature.kl,
            "kl_relative_error": Bounded(law.kl, law.kl_error).relative,
            "reverse_kl": reverse.known,
            "reverse_kl_relative_error": reverse.relative,
            "reverse_kl_integral": _reverse_kl_integral(pair),
            "log_ratio_variance": shape.variance.value,
            "log_ratio_variance_relative_error": shape.variance.relative,
            "log_ratio_variance_integral": by_quadrature.log_ratio_variance,
            "log_ratio_skewness": shape.skewness,
            "log_ratio_skewness_integral": skewness,
            "log_ratio_excess_kurtosis": shape.excess_kurtosis,
            "log_ratio_excess_kurtosis_integral": excess_kurtosis,
            "chi_square_integral": by_quadrature.chi_square,
            "k3_variance_finite": k3_variance_finite(law),
        }
        rows.append(row)
    return in_columns(rows)
