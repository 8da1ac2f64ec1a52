"""off-policy.parquet: estimates over samples of a law s that is not q, with their exact law.

Every row is a setting, a lag of s behind q, or no lag if the case has a law s of its own, an
estimator and a weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mckl.arrays import Vector, in_columns
from mckl.draw.streams import generator
from mckl.estimation.off_policy import WEIGHTS
from mckl.estimation.off_policy.drawn_estimates import drawn_estimates
from mckl.estimation.off_policy.off_policy_theory import SampledLaw, off_policy_theory, takes_weight
from mckl.estimation.theory import Exact, over_units
from mckl.estimation.values import ESTIMATORS
from mckl.families.policy.sampled_chain import SampledChain
from mckl.study.tails import nonnegative_p_value, self_normalised_p_value

if TYPE_CHECKING:
    from mckl.study.settings import Setting

_ROUNDING = 1e-11  # the rounding error of a mean, relative to it


def chains(setting: Setting, lags: Sequence[float]) -> Iterator[tuple[float | None, SampledChain]]:
    """The laws s of a setting: that of the case, or else those that lag behind q."""
    if setting.sampler is not None:
        yield None, setting.sampler
        return
    for lag in lags:
        chain = setting.pair.lagging(lag)
        if chain is not None:
            yield lag, chain


def off_policy_rows(
    settings: Sequence[Setting], lags: Sequence[float], estimators: Sequence[str], seed: int,
    samples: int, replicates: int,
) -> Iterator[dict[str, list[Any]]]:  # fmt: skip
    """The columns of off-policy.parquet, setting by setting."""
    for setting in settings:
        rows: list[dict[str, Any]] = []
        for lag, chain in chains(setting, lags):
            law = SampledLaw(chain, setting.pair.law)
            offers = [
                (ESTIMATORS[name], weight)
                for name in estimators for weight in WEIGHTS.values()
                if takes_weight(chain, ESTIMATORS[name], weight)
            ]  # fmt: skip
            stream = generator(seed, "off-policy", setting.name, "" if lag is None else repr(lag))
            estimates = drawn_estimates(chain, offers, stream, replicates, samples)
            for (estimator, weight), values in zip(offers, estimates, strict=True):
                exact = over_units(off_policy_theory(law, estimator, weight), samples)
                key = {"setting": setting.name, "lag": lag, "estimator": estimator.name}
                rows.append(key | {"weight": weight.name, "samples": samples}
                            | _row(law.kl.value, exact, values))  # fmt: skip
        yield in_columns(rows)


def _row(kl: float, exact: Exact, estimates: Vector) -> dict[str, Any]:
    mean, few = float(estimates.mean()), estimates.size < 2
    z, p_of_mean, p_of_variance = p_values(kl, exact, estimates)
    return {
        "replicates": estimates.size,
        "kl": kl,
        "mean": mean,
        "bias": mean - kl,
        "variance": math.nan if few else float(estimates.var(ddof=1)),
        "exact_bias": exact.bias,
        "exact_variance": exact.variance,
        "exact_mse": exact.mse,
        "relative_error": exact.relative_error,
        "theory": exact.theory,
        "reason": exact.reason,
        "mean_z": z,
        "mean_p_value": p_of_mean,
        "variance_p_value": p_of_variance,
    }


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def p_values(kl: float, exact: Exact, estimates: Vector) -> tuple[float, float, float]:
    """z and p-value of the mean, and the p-value of a variance that is too large.

    A leading order is compared with nothing: all are NaN.
    """
    if exact.theory != "exact":
        return math.nan, math.nan, math.nan
    expected, variance, count = kl + exact.bias, exact.variance, estimates.size
    away = estimates - expected
    away[np.abs(away) <= _ROUNDING * max(abs(expected), math.sqrt(variance))] = 0.0
    if variance == 0.0:
        passed = float(not away.any())
        return 0.0 if passed else math.inf, passed, passed
    total, square, sum_variance = (
        np.asarray(x) for x in (away.sum(), (away**2).sum(), count * variance)
    )
    p_of_mean = self_normalised_p_value(total, square, sum_variance)
    squares = away**2 / variance - 1.0
    p_of_variance = nonnegative_p_value(
        np.asarray(squares.mean()), np.asarray((squares**2).mean()), np.asarray(count)
    )
    return float(total / np.sqrt(sum_variance)), float(p_of_mean), float(p_of_variance)
