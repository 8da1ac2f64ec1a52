"""Chooses the estimate to trust: by token if it can be, else k1 where r = p/q is in doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mckl.errors import UserError
from mckl.estimation.given.summary import Summary
from mckl.estimation.given.verdict import FEW_TOKENS, RARE, UNSEEN_ELL, Diagnostics, Judged
from mckl.estimation.values import K1, Estimator
from mckl.text import quoted

# An estimator that uses r is only worth its risk if its standard error is at most this share of
# k1's.
SHORTER = 0.6
DEPENDENCE = {"drift", "autocorrelation"}


class Trust(NamedTuple):
    """The estimate per unit to trust, None if there is none; and why."""

    best: Judged | None
    why: str


def trusted(
    judged: Sequence[Judged], summary: Summary, found: Diagnostics, estimator: str | None
) -> Trust:
    """The estimate to trust; raises `UserError` for an `estimator` that is not there."""
    per_unit = [one for one in judged if one.per == "unit" and estimator in (None, one.estimator)]
    if not per_unit:
        names = ", ".join(dict.fromkeys(one.estimator for one in judged))
        raise UserError(f"estimator: {quoted(estimator)}, expected one of {names} here")
    # Units that depend on each other for one estimator do so for all. So the first choice decides.
    sound = [o for o in per_unit if all(d.diagnostic in DEPENDENCE for d in o.doubts)]
    if not sound:
        return Trust(None, per_unit[0].withheld or "")
    best = min(sound, key=lambda one: _rank(summary.estimators[one.estimator]))
    k1 = next((one for one in sound if one.estimator == K1.name), best)
    why = "it was asked for" if estimator else _reason(best, summary, found)
    chosen = summary.estimators[best.estimator]
    if k1 is not best and chosen.uses_ratio:
        more = RARE * UNSEEN_ELL / summary.units
        by_token = chosen.sums and summary.rows >= FEW_TOKENS * summary.sequence_count
        if not best.std_error <= SHORTER * k1.std_error:
            best, why = k1, f"its interval is about as short as that of {best.estimator}"
        elif not by_token and more > best.half_width:
            why = (
                f"an event that did not occur may add {more:.2g} nats, which is more than the "
                f"half-width of {best.estimator}, {best.half_width:.2g}"
            )
            best = k1
    if best.withheld is not None:
        return Trust(None, best.withheld)
    return Trust(best, why)


def _rank(estimator: Estimator) -> int:
    """The place of an estimator in the order of preference."""
    if not estimator.uses_ratio:
        return 0 if estimator.sums else 4
    fitted = estimator.parameters > 1
    if estimator.sums:
        return 2 if fitted else 1
    return 3 if fitted else 5


def _reason(best: Judged, summary: Summary, found: Diagnostics) -> str:
    estimator = summary.estimators[best.estimator]
    if estimator.sums and not estimator.uses_ratio:
        return "it averages the KL of each token over the whole vocabulary"
    if estimator.sums:
        return f"the mean of p/q over tokens is {found.mean_ratio_by_token}, expected 1"
    if estimator.uses_ratio:
        return f"the mean of p/q is {found.mean_ratio}, expected 1, and its tail is light"
    ratio = found.mean_ratio_by_token or found.mean_ratio
    return f"it is unbiased, whatever p/q is; the mean of p/q is {ratio}"


def unseen(summary: Summary, best: Judged | None) -> str:
    """What an event that did not occur could add to KL."""
    token = best is not None and summary.sequences and summary.estimators[best.estimator].sums
    n, what = (summary.rows, "a token") if token else (summary.units, "an event")
    each = " per sequence" if summary.sequences else ""
    length = summary.rows / summary.sequence_count if token else 1.0
    more = RARE * UNSEEN_ELL * length / n if n else math.nan
    sees = "; full_kl sees it" if token and "rb" not in summary.estimators else ""
    return (
        f"{what} rarer than {RARE:g}/{n:,} with ℓ = {UNSEEN_ELL:g} would add up to {more:.2g} "
        f"nats{each}{sees}"
    )
