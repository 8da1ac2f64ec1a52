"""Estimates KL from given log-probabilities, and decides which estimate to trust."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from mckl.errors import UserError
from mckl.estimation.given.blocks import blocks
from mckl.estimation.given.estimates import GivenEstimate, KLFromLogProbs, UnitsNeeded
from mckl.estimation.given.groups import KLByGroup, parts_by_group
from mckl.estimation.given.layout import Layout, explained
from mckl.estimation.given.picture import running_path
from mckl.estimation.given.summary import Summary
from mckl.estimation.given.units import UnitStream
from mckl.estimation.given.verdict import FAR, Judged, judge
from mckl.estimation.intervals import Request
from mckl.estimation.values import K1
from mckl.text import listed, quoted

# The probability with which a mean of l may seem negative by chance before it is refused.
_SWAPPED = 1e-6


def answer(
    columns: Iterable[Mapping[str, Any]],
    names: Iterable[str],
    request: Request,
    estimator: str | None = None,
    layout: Layout | None = None,
) -> KLFromLogProbs:
    """Estimate KL from columns of log-probabilities, in one pass and constant memory.

    Parameters
    ----------
    columns
        Consecutive pieces of the data, each a mapping of columns by name, as
        `mckl.estimation.given.blocks.blocks` takes them.
    names
        The names of the columns that every piece has.
    request
        The confidence of intervals, and the tolerance.
    estimator
        The estimator to trust if it has an interval, instead of the one with the shortest interval.
    layout
        What made the latest piece and knows where its rows were given, for messages.

    Raises
    ------
    UserError
        If there are no rows, for values that a sample of q cannot have, ids of sequences that
        return after another sequence, and log-probabilities that seem to be swapped.
    """
    one = Pass(names)
    for piece in columns:
        with explained(layout, slice(None)):
            one.add(piece)
    return one.answer(request, estimator)


def answer_by_group(
    columns: Iterable[Mapping[str, Any]],
    names: Iterable[str],
    request: Request,
    estimator: str | None,
    layout: Layout,
) -> KLByGroup:
    """As `answer`, for each group of rows with one id in the column ``group``."""
    names = [*names]
    passes: dict[Any, Pass] = {}
    for piece in columns:
        with explained(layout, slice(None)):
            parts = [*parts_by_group(piece)]
        for group, part, rows in parts:
            if group not in passes:
                passes[group] = Pass(names, traced=False)
            with explained(layout, rows):
                passes[group].add(part)
    if not passes:
        raise UserError("no rows: expected at least one sample")
    return KLByGroup({group: one.answer(request, estimator) for group, one in passes.items()})


class Pass:
    """A pass over rows, which come as pieces with columns of these names, and its answer."""

    def __init__(self, names: Iterable[str], *, traced: bool = True) -> None:
        names = {*names}
        self._summary = Summary(
            sequences="sequence" in names,
            weighted="log_sampler" in names,
            full_kl="full_kl" in names,
            clustered="cluster" in names,
            traced=traced,
        )
        self._units = UnitStream(self._summary.sequences)
        self._first: Mapping[str, Any] | None = None

    def add(self, piece: Mapping[str, Any]) -> None:
        """Add rows; raises `UserError` as `answer` does."""
        self._first = self._first or piece
        for block in blocks([piece]):
            for some in self._units.add(block):
                self._summary.update(some)

    def answer(self, request: Request, estimator: str | None = None) -> KLFromLogProbs:
        """The answer from all rows; raises `UserError` as `answer` does."""
        summary = self._summary
        for some in self._units.finish():
            summary.update(some)
        summary.finish()
        if not summary.units:
            raise UserError("no rows: expected at least one sample")
        assert self._first is not None
        found = of_summary(summary, request, estimator)
        notes = "".join(f" ({note})" for note in _notes(summary, self._first))
        return replace(found, why=found.why + notes)


def _notes(summary: Summary, first: Mapping[str, Any]) -> Iterator[str]:
    """Signs in the data, of which `first` is a piece, that they are not what was meant."""
    moments = summary.moments
    if float(moments.mean("ell")[0]) == 0.0 == float(moments.comoment("ell", "ell")[0]):
        yield "but log q equals log p in every row: is one of them given twice?"
    if summary.sequences and "log_q" in first and np.median(first["log_q"]) > 0.0:
        yield (
            "but most log_q are above 0, as densities may be and the probabilities of tokens may "
            "not: expected log q, neither -log q nor q"
        )


def of_summary(summary: Summary, request: Request, estimator: str | None = None) -> KLFromLogProbs:
    """The answer from the summary of a pass over the data. Raises `UserError` as `answer` does."""
    found, judged = judge(summary, request.confidence)
    _check_sign(summary, judged)
    estimates = tuple(_given(one, summary, request) for one in judged)
    best, why = _trusted(estimates, estimator)
    ratio, settled = found.mean_ratio, found.ratio_settles_from <= summary.units
    if best is not None and ratio.z < -FAR and settled:
        why += (
            f" (but the mean of p/q is {ratio.mean:.4g} where it should be 1: q is 0 where p is "
            "not, as with top-p sampling, or the samples are not q's)"
        )
    return KLFromLogProbs(
        kl=math.nan if best is None else best.estimate,
        interval=None if best is None else best.interval,
        trusted=None if best is None else best.estimator,
        why=why,
        rows=summary.rows,
        units=summary.sequence_count,
        clusters=summary.units if summary.clustered else None,
        sequences=summary.sequences,
        tolerance=request.tolerance,
        relative=request.relative,
        confidence=request.confidence,
        estimates=estimates,
        diagnostics=found,
        path=running_path(summary, request.confidence) if summary.path else None,
    )


def _given(one: Judged, summary: Summary, request: Request) -> GivenEstimate:
    interval = one.estimate - one.half_width, one.estimate + one.half_width
    return GivenEstimate(
        estimator=one.estimator,
        per="token" if one.per == "token" else "sequence" if summary.sequences else "sample",
        estimate=one.estimate,
        std_error=one.std_error,
        interval=None if one.withheld else interval,
        half_width=one.half_width,
        withheld=one.withheld,
        tail_index=one.shape.tail_index,
        skewness=one.shape.skewness,
        samples_needed=_needed(one, summary, request),
    )


def _check_sign(summary: Summary, judged: Sequence[Judged]) -> None:
    k1 = next(one for one in judged if one.estimator == K1.name)
    if summary.units < 2 or not k1.estimate < 0 or not k1.std_error >= 0:
        return
    # A sum of l below -t has a probability of at most e^-t under q, since E e^-l is at most 1. So
    # samples with the same l may prove nothing, however small their standard error is.
    if not summary.weighted and summary.units * k1.estimate > math.log(_SWAPPED):
        return
    low = float(stdtrit(summary.units - 1, _SWAPPED)) * k1.std_error
    if k1.estimate < low:
        raise UserError(
            f"the mean of log q - log p is {k1.estimate:.4g} with a standard error of "
            f"{k1.std_error:.2g}, and KL is never negative: log_q and log_p are swapped or have "
            "the wrong sign, or the samples are not q's (then give log_sampler)"
        )


def _trusted(
    estimates: Sequence[GivenEstimate], estimator: str | None
) -> tuple[GivenEstimate | None, str]:
    """The estimate per unit with the shortest interval, or None, and why."""
    per_unit = [e for e in estimates if e.per != "token" and estimator in (None, e.estimator)]
    if not per_unit:
        names = ", ".join(dict.fromkeys(e.estimator for e in estimates))
        raise UserError(f"estimator: {quoted(estimator)}, expected one of {names} here")
    given = [e for e in per_unit if e.withheld is None]
    if not given:
        reasons = {e.withheld for e in per_unit}
        alone = len(reasons) == 1
        return None, (reasons.pop() or "") if alone else "no interval passes the checks"
    best = min(given, key=lambda e: e.half_width)
    if estimator is not None:
        return best, "it was asked for, and its interval passes the checks"
    if len(given) == 1:
        return best, "the only one whose interval passes the checks"
    others = listed(e.estimator for e in given if e is not best)
    return best, f"its interval is the shortest; that of {others} passes the checks too"


def _needed(one: Judged, summary: Summary, request: Request) -> UnitsNeeded | None:
    """The samples or sequences needed, n (half-width / target)^2, with an interval."""
    if one.withheld is not None or not one.estimate:
        return None
    target, n = request.target(one.estimate), summary.units
    need = summary.sequence_count * (one.half_width / target) ** 2
    skewness, kurtosis = (0.0 if math.isnan(v) else v for v in one.shape[:2])
    variance = (max(kurtosis, -2.0) + 2.0) / n
    if request.relative:
        step = one.std_error / one.estimate
        variance += 4.0 * step * step - 4.0 * skewness * step / math.sqrt(n)
    spread = float(ndtri(0.5 + request.confidence / 2)) * math.sqrt(max(variance, 0.0))
    spread = min(spread, 700.0)
    return UnitsNeeded(need, need * math.exp(-spread), need * math.exp(spread))
