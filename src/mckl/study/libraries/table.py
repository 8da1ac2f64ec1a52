"""formulas.parquet: exact and measured moments of every library's formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from mckl.estimation.budget import BIASED, FAR, OK
from mckl.study.libraries import LIBRARIES
from mckl.study.libraries.exact import SumMoments, clamped_share, formula_moments
from mckl.study.libraries.gradient import loss_gradient
from mckl.study.libraries.policies import policies
from mckl.study.libraries.simulated import SEQUENCES, compare_formula, draw

LEVEL = 1e-6  # the probability of any false alarm in the whole table
TOLERANCE = 0.01
_SEED = 20171127  # whatever the config
_MOST = 10**18


def formula_rows() -> Mapping[str, list[Any]]:
    """The columns of formulas.parquet: one row for each policy and use, from near to far."""
    uses = [(library, use) for library in LIBRARIES.values() for use in library.uses]
    formulas = list(dict.fromkeys(use.formula for _, use in uses))
    of_all = policies()
    level = LEVEL / (len(of_all) * len(formulas))
    rows = []
    for name, pair in of_all.items():
        kl, drawn = pair.law.kl, draw(pair, _SEED, name)
        known = {}
        for formula in formulas:
            exact = formula_moments(pair, formula)
            judged = compare_formula(drawn, pair, formula, exact, level)
            known[formula] = {
                "kl": kl,
                "exact_mean": exact.mean,
                "exact_bias": 0.0 if formula.unbiased else exact.mean - kl,
                "exact_variance": exact.variance,
                "clamped": clamped_share(pair, formula),
                "tolerance": TOLERANCE,
                **_need(exact, kl),
                "samples": SEQUENCES,
                "measured": judged.mean,
                "measured_variance": judged.variance,
                "z": judged.z,
                "p_value": judged.p_value,
                "passed": judged.p_value >= level,
                "test": "chernoff" if formula.whole else "bennett",
                "smallest_error": judged.smallest_error / kl,
            }
        of_loss = [loss_gradient(pair, use) for _, use in uses]
        rows += [
            {
                "setting": name,
                "library": library.name,
                "version": library.version,
                "formula": use.formula.name,
                "used_as": use.used_as,
                "averaged": use.averaged,
                "differentiated": use.differentiated,
                "default": use.default,
                "source": library.cited(use),
                "note": use.note or None,
                "relative_bias": relative_bias,
                "cosine": cosine,
                **known[use.formula],
            }
            for (library, use), (relative_bias, cosine) in zip(uses, of_loss, strict=True)
        ]
    return {column: [row[column] for row in rows] for column in rows[0]}


def samples_needed(mean: float, variance: float, kl: float) -> float:
    """The sequences for a relative RMSE of `TOLERANCE`; inf if the bias alone exceeds it."""
    limit, bias = TOLERANCE * kl, mean - kl
    room = (limit - bias) * (limit + bias)
    return max(variance / room, 1.0) if room > 0 else math.inf


def _need(exact: SumMoments, kl: float) -> dict[str, Any]:
    needed = samples_needed(exact.mean, exact.variance, kl)
    if math.isinf(needed):
        return {"samples_needed": None, "verdict": BIASED}
    if needed > _MOST:
        return {"samples_needed": None, "verdict": FAR}
    return {"samples_needed": math.ceil(needed), "verdict": OK}


def formula_failures(formulas: pd.DataFrame) -> str | None:
    """A message that names the worst rows that failed; None if all passed."""
    failed = formulas[~formulas["passed"]].sort_values("p_value")
    if failed.empty:
        return None
    failed = failed.drop_duplicates(["setting", "formula"])
    named = "; ".join(
        f"{row.formula} of {row.setting}: mean {row.measured:.6g}, exact {row.exact_mean:.6g}, "
        f"variance {row.measured_variance:.6g}, exact {row.exact_variance:.6g}, p {row.p_value:.1e}"
        for row in failed.head(5).itertuples()
    )
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    return f"theory and measurement of the libraries' formulas disagree: {named}{more}"


def formulas_passed_line(formulas: pd.DataFrame) -> str:
    """The message if all rows passed, with the errors of a mean that would have been detected."""
    each = formulas.drop_duplicates(["setting", "formula"])
    least, median = (100 * each["smallest_error"].quantile(q) for q in (0.0, 0.5))
    return (
        f"formulas of libraries: mean and variance of {len(each)} agree at a family-wise level of "
        f"{LEVEL:g}; an error of a mean of {least:.2g} % of KL would have been detected at best, "
        f"and one of {median:.2g} % in the median"
    )
