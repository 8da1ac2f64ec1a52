"""What given log-probabilities say of KL: estimates, intervals, which to trust, samples needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from scipy.special import ndtri, stdtrit

from mckl.errors import UserError
from mckl.estimation.given.blocks import blocks
from mckl.estimation.given.summary import Summary
from mckl.estimation.given.units import units
from mckl.estimation.given.verdict import FAR, Checks, Judged, judge
from mckl.estimation.intervals import Request
from mckl.text import listed

# A mean of l below 0 that happens once in a million by chance.
_SWAPPED = 1e-6


class Needed(NamedTuple):
    """Samples (or sequences) for the tolerance asked, as the data forecast it, and its interval."""

    samples: float
    low: float
    high: float


class Answer(NamedTuple):
    """Everything that the data say.

    rows, units  tokens and sequences, or samples and samples
    judged       every estimate
    needed       for each of them what the tolerance takes; None where it has no interval
    trusted      the position in `judged` of the estimate to trust; None where there is none
    why          why that one, or none
    """

    rows: int
    units: int
    sequences: bool
    request: Request
    checks: Checks
    judged: Sequence[Judged]
    needed: Sequence[Needed | None]
    trusted: int | None
    why: str


def answer(
    columns: Iterable[Mapping[str, Any]],
    names: Iterable[str],
    request: Request,
    estimator: str | None = None,
) -> Answer:
    """Estimate KL from columns of log-probabilities, in one pass and constant memory.

    Parameters
    ----------
    columns
        Pieces of columns by name, as `mckl.estimation.given.blocks.blocks` takes them.
    names
        The names that every piece has.
    estimator
        The one to trust if its interval is given, instead of that with the shortest interval.

    Raises
    ------
    UserError
        For values that no sample of q has, ids of sequences that return, and log-probabilities
        that seem to be swapped.
    """
    names = {*names}
    summary = Summary(
        sequences="sequence" in names,
        weighted="log_sampler" in names,
        full_kl="full_kl" in names,
    )
    for some in units(blocks(columns), summary.sequences):
        summary.update(some)
    if not summary.units:
        raise UserError("no rows: expected at least one sample")
    return of_summary(summary, request, estimator)


def of_summary(summary: Summary, request: Request, estimator: str | None = None) -> Answer:
    """The answer from what a pass has kept."""
    found, judged = judge(summary, request.confidence)
    _check_sign(summary, judged)
    needed = [_needed(one, summary.units, request) for one in judged]
    trusted, why = _trusted(judged, estimator)
    if trusted is not None and found.ratio.z < -FAR and found.from_ratio <= summary.units:
        why += (
            f" (but the mean of p/q is {found.ratio.mean:.4g} where it should be 1: q is 0 where p "
            "is not, as with top-p sampling, or the samples are not q's)"
        )
    return Answer(
        summary.rows, summary.units, summary.sequences, request, found, judged, needed, trusted, why
    )


def _check_sign(summary: Summary, judged: Sequence[Judged]) -> None:
    k1 = next(one for one in judged if one.estimator == "k1")
    if summary.units < 2 or not k1.estimate < 0 or not k1.std_error >= 0:
        return
    low = float(stdtrit(summary.units - 1, _SWAPPED)) * k1.std_error
    if k1.estimate < low:
        raise UserError(
            f"the mean of log q - log p is {k1.estimate:.4g} with a standard error of "
            f"{k1.std_error:.2g}, and KL is never negative: log_q and log_p are swapped, or the "
            "samples are not q's (then give log_sampler)"
        )


def _trusted(judged: Sequence[Judged], estimator: str | None) -> tuple[int | None, str]:
    """The shortest interval per unit, and why it."""
    per_unit = [
        (i, one) for i, one in enumerate(judged)
        if one.per == "unit" and estimator in (None, one.estimator)
    ]  # fmt: skip
    if not per_unit:
        known = dict.fromkeys(one.estimator for one in judged)
        raise UserError(f"estimator: '{estimator}', expected one of {', '.join(known)} here")
    given = [(i, one) for i, one in per_unit if one.withheld is None]
    if not given:
        reasons = {one.withheld for _, one in per_unit}
        one = len(reasons) == 1
        return None, (reasons.pop() or "") if one else "no interval passes the checks"
    best, _ = min(given, key=lambda pair: pair[1].half_width)
    if estimator is not None:
        return best, "it was asked for, and its interval passes the checks"
    if len(given) == 1:
        return best, "the only one whose interval passes the checks"
    others = [one.estimator for i, one in given if i != best]
    return best, f"its interval is the shortest; that of {listed(others)} passes the checks too"


def _needed(one: Judged, n: int, request: Request) -> Needed | None:
    """n (half-width / target)^2, with the error that the spread and the estimate leave in it."""
    if one.withheld is not None or not one.estimate:
        return None
    target = request.target(one.estimate)
    need = n * (one.half_width / target) ** 2
    skewness, kurtosis = (0.0 if math.isnan(v) else v for v in one.shape[:2])
    variance = (max(kurtosis, -2.0) + 2.0) / n
    if request.relative:
        step = one.std_error / one.estimate
        variance += 4.0 * step * step - 4.0 * skewness * step / math.sqrt(n)
    spread = float(ndtri(0.5 + request.confidence / 2)) * math.sqrt(max(variance, 0.0))
    spread = min(spread, 700.0)
    return Needed(need, need * math.exp(-spread), need * math.exp(spread))
