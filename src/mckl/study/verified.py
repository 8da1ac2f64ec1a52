"""What a passed gate says: the text of results/verified.txt."""

from __future__ import annotations

import math

import pandas as pd

from mckl.study.cells import CORRELATION, MEDIAN, NONNEGATIVE
from mckl.study.pooled import ALL
from mckl.study.verification import GAMMA, LEVEL, NONE, POWER, ROUNDING, SHARES

# The numbers that pages quote, or that the gate uses, and that nothing else confirms; and why.
UNCHECKED = {
    "k3_variance_finite": "no sample tells whether an integral is finite",
    "exact_skewness of estimates over Sobol' points or far from normal": "one needs standard errors"
    " that are nearly normal",
    "exact_excess_kurtosis of other estimators than k1": "it would take too many samples",
    "ci_coverage of estimates that are far from normal or biased": "its exact value is not known",
    "mse_std_error, samples_needed_low and samples_needed_high": "they are error bars",
    "samples_needed and verdict over Sobol' points beyond the study's samples, and where a leading "
    "order is said not to hold yet": "only bounds are known",
    "theory and reason": "they are words",
}
# Numbers of a setting that are computed in two ways, as the text calls them.
_TWICE = {
    "kl": "KL(q||p)", "reverse_kl": "KL(p||q)", "log_ratio_variance": "the variance of l",
    "log_ratio_skewness": "its skewness", "log_ratio_excess_kurtosis": "its kurtosis",
}  # fmt: skip
_SENTENCES = {
    "mean": "a bias of {} of KL",
    "variance": "a variance too large by {}",
    "std_error": "a standard error too large by {}",
    "coverage": "a coverage too low by {}",
}


def smallest_errors(verification: pd.DataFrame) -> dict[str, dict[str, float]]:
    """The least error of each quantity that would have been detected with probability `POWER`.

    The quantities are `mean`, `variance`, `std_error` and `coverage`, and errors are shares of KL,
    of the variance, of the standard error, and lost coverage. `pooled` is over many cells at once,
    for the most sensitive sampler and estimator. `best` and `median` are the most sensitive and the
    median one of the cells with a known tail, whose number is `known`. The other cells, whose
    number is `gross`, are tested by inequalities that detect only gross errors. NaN if there is
    none.
    """
    tested = verification[~verification["test"].isin([NONE, ROUNDING])]
    over = ((tested["setting"] == ALL) | (tested["samples"] == 0)).to_numpy()
    tail = tested["test"].isin([GAMMA, SHARES]).to_numpy()
    out: dict[str, dict[str, float]] = {}
    for quantity in ("mean", "variance", "std_error", "coverage"):
        mask = (tested["quantity"] == quantity).to_numpy()
        errors = tested["smallest_error"]
        if quantity == "std_error":  # the table has its square
            errors = (1.0 + errors) ** 0.5 - 1.0
        cells, errors_of_tail = mask & ~over, errors[mask & ~over & tail]
        out[quantity] = {
            "pooled": float(errors[mask & over & tail].min()), "best": float(errors_of_tail.min()),
            "median": float(errors_of_tail.median()), "known": len(errors_of_tail),
            "gross": int(cells.sum()) - len(errors_of_tail),
        }  # fmt: skip
    return out


def _error(share: float) -> str:
    if not math.isfinite(share):
        return "(no size is caught)"
    if share >= 10:
        return f"{1 + share:,.0f} times"
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def compared_cells(verification: pd.DataFrame) -> tuple[int, int]:
    """The number of cells whose mean was compared with exact theory, and that of all cells."""
    means = verification[
        (verification["quantity"] == "mean")
        & (verification["samples"] > 0)
        & (verification["setting"] != ALL)
    ]
    # With few replicates no error would have been caught.
    blind = (means["test"] == NONNEGATIVE) & means["smallest_error"].isna()
    return int(((means["test"] != NONE) & ~blind).sum()), len(means)


def passed_line(verification: pd.DataFrame) -> str:
    """The message if all rows passed: what was compared, and which errors would be detected."""
    done, every = compared_cells(verification)
    if not done:
        return f"nothing measured here has an exact theory: none of {every:,} cells was compared"
    statistical = verification[~verification["test"].isin([NONE, ROUNDING])]
    equal = int((verification["test"] == ROUNDING).sum())
    errors = smallest_errors(verification)
    means = verification.loc[verification["quantity"] == "mean", "smallest_error"]
    share = f"{100 * done / every:.3g} %"
    lines = [
        f"All comparisons agree. {done:,} of {every:,} measured means ({share}) were compared with "
        f"exact theory, and the smallest bias that would have been caught is "
        f"{_error(float(means.min()))} of KL.",
        f"A mean is that of one setting, backend, sampler, estimator and number of samples (a "
        f"cell). Its variance, standard error and coverage were compared as well: "
        f"{len(statistical):,} statistical comparisons, of which a correct study fails any with a "
        f"probability of about 1 in {1 / LEVEL:,.0f}. {equal:,} further numbers were computed in "
        f"two ways and are equal to rounding.",
        f"Smallest errors that would have been caught with a probability of {POWER:g}:",
    ]
    for quantity, error in errors.items():
        pooled, best, median = (_error(error[x]) for x in ("pooled", "best", "median"))
        lines.append(
            f"  {_SENTENCES[quantity].format(pooled)} over many cells at once; {best} in the best "
            f"and {median} in the median of {error['known']:,} cells with a known tail; "
            f"{error['gross']:,} other cells detect only gross errors"
        )
    for test, where in (
        (MEDIAN, "cells with heavy tails: a bias of {} of KL"),
        (NONNEGATIVE, "cells without a known variance: a mean too large by {} of KL"),
        (CORRELATION, "traces: a skewness that is off by {}"),
    ):
        rows = verification.loc[verification["test"] == test, "smallest_error"]
        rows = rows.dropna()
        if len(rows):
            text = where.format(_error(float(rows.median())))
            lines.append(f"  in the median of {len(rows):,} {text}")
    lines += _gradients(verification)
    lines += _off_policy(verification)
    if not ((statistical["quantity"] == "variance") & (statistical["samples"] > 0)).any():
        lines.append(
            "one replicate has no variance over replicates: no cell's variance was compared"
        )
    lines.append(_twice(verification))
    missing = "; ".join(f"{name} ({why})" for name, why in UNCHECKED.items())
    lines += [f"Not checked: {missing}.", "Every comparison is a row of verification.parquet."]
    return "\n".join(lines)


def _gradients(verification: pd.DataFrame) -> list[str]:
    mean, variance = (
        verification.loc[verification["quantity"] == quantity, "smallest_error"]
        for quantity in ("gradient_mean", "gradient_variance")
    )
    if mean.empty:
        return []
    return [
        f"  in the median cell of gradients a parameter's mean that is off by "
        f"{_error(float(mean.median()))} of the gradient's norm, and a total variance that is off "
        f"by {_error(float(variance.median()))}"
    ]


def _off_policy(verification: pd.DataFrame) -> list[str]:
    means = verification[verification["quantity"] == "off_policy_mean"]
    error = means["smallest_error"].dropna()
    if error.empty:
        return []
    return [
        f"  in the median of {len(error):,} cells with samples of another law than q a mean that "
        f"is off by {_error(float(error.median()))} of KL"
    ]


def _twice(verification: pd.DataFrame) -> str:
    """In how many settings each number of a setting was computed in a second way."""
    every = verification.loc[verification["quantity"] == "copied", "setting"].nunique()
    counts = verification["quantity"].astype(str).value_counts()
    told = ", ".join(f"{name} in {counts.get(key, 0)}" for key, name in _TWICE.items())
    return f"Computed a second time from its definition, of {every} settings: {told}."
