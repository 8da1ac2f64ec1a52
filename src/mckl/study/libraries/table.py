"""formulas.parquet: exact and measured moments of every library's formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from mckl.arrays import in_columns
from mckl.draw.points import SAMPLERS
from mckl.errors import UserError
from mckl.estimation.budget import Tolerance, need_of_units
from mckl.estimation.off_policy.off_policy_theory import SampledLaw
from mckl.estimation.values import UnitTheory
from mckl.families.registry import lagging_pair
from mckl.limits import SEED
from mckl.study.libraries import LIBRARIES, Library, Use
from mckl.study.libraries.corrections import (
    CORRECTIONS,
    LAGS,
    changed_share,
    corrected,
    lagged_policy,
)
from mckl.study.libraries.exact import clamped_share, formula_moments
from mckl.study.libraries.gradient import loss_gradient
from mckl.study.libraries.policies import policies
from mckl.study.libraries.simulated import (
    SEQUENCES,
    SimulatedFormula,
    compare_correction,
    compare_formula,
    draw,
    draw_lagged,
)

LEVEL = 1e-6  # the probability of any false alarm in the whole table
TOLERANCE = 0.01


def formula_rows() -> Mapping[str, list[Any]]:
    """The columns of formulas.parquet: one row for each policy and use, from near to far.

    After these are the rows of corrections, for tokens of a law s that lags behind q.
    """
    uses = [(library, use) for library in LIBRARIES.values() for use in library.uses]
    formulas = list(dict.fromkeys(use.formula for _, use in uses))
    pairs = policies()
    level = LEVEL / (len(pairs) * len(formulas) + len(LAGS) * len(CORRECTIONS))
    rows = []
    for name, pair in pairs.items():
        kl, drawn = pair.law.kl, draw(pair, SEED, name)
        columns = {}
        for formula in formulas:
            exact = formula_moments(pair, formula)
            judged = compare_formula(drawn, pair, formula, exact, level)
            bias = 0.0 if formula.unbiased else exact.mean - kl
            columns[formula] = {
                "clamped": clamped_share(pair, formula),
                "test": "chernoff" if formula.whole else "bennett",
                **_numbers(kl, exact.mean, bias, exact.variance, judged, level),
            }
        gradients = [loss_gradient(pair, use) for _, use in uses]
        rows += [
            {
                "setting": name,
                "lag": 0.0,
                "weight": "none",
                **_use(library, use),
                "relative_bias": relative_bias,
                "cosine": cosine,
                **columns[use.formula],
            }
            for (library, use), (relative_bias, cosine) in zip(uses, gradients, strict=True)
        ]
    return in_columns([*rows, *_correction_rows(level)])


def _correction_rows(level: float) -> Iterator[dict[str, Any]]:
    """The rows of corrections. What their losses descend is not computed."""
    name, pair = lagged_policy()
    kl = pair.law.kl
    for lag in LAGS:
        chain = lagging_pair(pair, lag)
        law, drawn = SampledLaw(chain, pair.law), draw_lagged(chain, SEED, name, repr(lag))
        for correction in CORRECTIONS:
            unit = corrected(correction, law)
            judged = compare_correction(drawn.sums(correction), kl, unit, level)
            yield {
                "setting": name,
                "lag": lag,
                "weight": correction.weight.name,
                **_use(correction.library, correction.use),
                "relative_bias": math.nan,
                "cosine": math.nan,
                "clamped": changed_share(correction, law),
                "test": "self-normalised",
                **_numbers(kl, kl + unit.bias, unit.bias, unit.variance, judged, level),
            }


def _use(library: Library | None, use: Use) -> dict[str, Any]:
    return {
        "library": library and library.name,
        "version": library and library.version,
        "formula": use.formula.name,
        "used_as": use.used_as,
        "averaged": use.averaged,
        "differentiated": use.differentiated,
        "default": use.default,
        "source": library and library.cited(use),
        "note": use.note or None,
    }


def _numbers(
    kl: float, mean: float, bias: float, variance: float, judged: SimulatedFormula, level: float
) -> dict[str, Any]:
    """The columns of the exact law of a sum over a sequence, and of its check."""
    unit = UnitTheory(mean - kl, variance, math.nan, math.nan)
    need = need_of_units(unit, SAMPLERS["iid"], Tolerance(TOLERANCE * kl))
    return {
        "kl": kl,
        "exact_mean": mean,
        "exact_bias": bias,
        "exact_variance": variance,
        "tolerance": TOLERANCE,
        "samples_needed": need.samples,
        "verdict": need.verdict,
        "samples": SEQUENCES,
        "measured": judged.mean,
        "measured_variance": judged.variance,
        "z": judged.z,
        "p_value": judged.p_value,
        "passed": judged.p_value >= level,
        "smallest_error": judged.smallest_error / kl,
    }


def samples_needed(mean: float, variance: float, kl: float) -> float:
    """The sequences for a relative RMSE of `TOLERANCE`, also above 10^18; inf if none is enough."""
    allowed = Tolerance(TOLERANCE * kl).variance(mean - kl)
    return max(variance / allowed, 1.0) if allowed > 0 else math.inf


def check_formulas(formulas: pd.DataFrame) -> str:
    """The message that all formulas agree with their simulation.

    It has the errors of a mean that would have been detected. Raises `UserError`, naming the worst
    rows, if some do not agree.
    """
    failed = formulas[~formulas["passed"]].sort_values("p_value")
    keys = ["setting", "lag", "weight", "formula"]
    failed, each = (x.drop_duplicates(keys) for x in (failed, formulas))
    of_s = ", lag " + failed["lag"].astype(str) + ", weight " + failed["weight"].astype(str)
    failed = failed.assign(drawn_by=of_s.where(failed["lag"] > 0.0, ""))
    if len(failed):
        named = "; ".join(
            f"{row.formula} of {row.setting}{row.drawn_by}: mean "
            f"{row.measured:.6g}, exact {row.exact_mean:.6g}, variance "
            f"{row.measured_variance:.6g}, exact {row.exact_variance:.6g}, p {row.p_value:.1e}"
            for row in failed.head(5).itertuples()
        )
        more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
        raise UserError(
            f"theory and measurement of the libraries' formulas disagree: {named}{more}"
        )
    least, median = (100 * each["smallest_error"].quantile(q) for q in (0.0, 0.5))
    return (
        f"formulas of libraries: mean and variance of {len(each)} agree at a family-wise level of "
        f"{LEVEL:g}; an error of a mean of {least:.2g} % of KL would have been detected at best, "
        f"and one of {median:.2g} % in the median"
    )
