"""Estimates KL from given log-probabilities, and decides which estimate to trust."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scipy.special import ndtri

from mckl.errors import UserError
from mckl.estimation.given.blocks import blocks
from mckl.estimation.given.estimates import GivenEstimate, KLFromLogProbs, UnitsNeeded
from mckl.estimation.given.groups import KLByGroup, parts_by_group
from mckl.estimation.given.layout import Layout, explained
from mckl.estimation.given.picture import running_path
from mckl.estimation.given.signs import Signs
from mckl.estimation.given.summary import Summary
from mckl.estimation.given.trust import trusted, unseen
from mckl.estimation.given.units import UnitStream
from mckl.estimation.given.verdict import FAR_WEIGHT, Diagnostics, Judged, judge
from mckl.estimation.intervals import Request
from mckl.estimation.pareto import limit
from mckl.estimation.values.base import normal_from_moments

_COPIED = 0.01  # a share of equal sums over many tokens that is worth a note


def answer(
    columns: Iterable[Mapping[str, Any]],
    names: Iterable[str],
    request: Request,
    estimator: str | None = None,
    layout: Layout | None = None,
) -> KLFromLogProbs | KLByGroup:
    """Estimate KL from columns of log-probabilities, in one pass and constant memory.

    Parameters
    ----------
    columns
        Consecutive pieces of the data, each a mapping of columns by name, as
        `mckl.estimation.given.blocks.blocks` takes them. Each id in a column ``group`` has an
        answer of its own.
    names
        The names of the columns that every piece has.
    request
        The confidence of intervals, and the tolerance.
    estimator
        The estimator to trust if it has an interval, instead of the one that is chosen.
    layout
        What made the latest piece and knows where its rows were given, for messages.

    Raises
    ------
    UserError
        If there are no rows, for values that a sample of q cannot have, and ids of sequences that
        return after another sequence.
    """
    names = {*names}
    grouped = "group" in names
    passes: dict[Any, Pass] = {}
    for piece in columns:
        with explained(layout, slice(None)):
            parts = [*parts_by_group(piece)] if grouped else [(None, piece, slice(None))]
        for group, part, rows in parts:
            if group not in passes:
                passes[group] = Pass(names, traced=not grouped)
            with explained(layout, rows):
                passes[group].add(part)
    passes = passes or {None: Pass(names, traced=False)}
    answers = {group: one.answer(request, estimator) for group, one in passes.items()}
    return KLByGroup(answers) if grouped else answers[None]


class Pass:
    """A pass over rows, which come as pieces with columns of these names, and its answer."""

    def __init__(self, names: Iterable[str], *, traced: bool) -> None:
        names = {*names}
        self._summary = Summary(
            sequences="sequence" in names,
            weighted="log_sampler" in names,
            full_kl="full_kl" in names,
            clustered="cluster" in names,
            traced=traced,
        )
        self._units = UnitStream(self._summary.sequences)
        self._signs = Signs()

    def add(self, piece: Mapping[str, Any]) -> None:
        """Add rows; raises `UserError` as `answer` does."""
        for block in blocks([piece]):
            for some in self._units.add(block):
                self._summary.update(some)
        self._signs.add(piece)

    def answer(self, request: Request, estimator: str | None = None) -> KLFromLogProbs:
        """The answer from all rows; raises `UserError` as `answer` does."""
        summary = self._summary
        for some in self._units.finish():
            summary.update(some)
        summary.finish()
        if not summary.units:
            raise UserError("no rows: expected at least one sample")
        return of_summary(summary, request, estimator, self._signs)


def of_summary(
    summary: Summary,
    request: Request,
    estimator: str | None = None,
    signs: Signs | None = None,
) -> KLFromLogProbs:
    """The answer from the summary of a pass over the data, and what its rows look like."""
    signs = signs or Signs()
    found, judged = judge(summary, request.confidence, signs)
    best, why = trusted(judged, summary, found, estimator)
    estimates = tuple(_given(one, summary, request) for one in judged)
    if best is not None:
        found = found._replace(**best.dependence._asdict())
    return KLFromLogProbs(
        kl=math.nan if best is None else best.estimate,
        interval=None if best is None else best.interval,
        trusted=None if best is None else best.estimator,
        why=why,
        unseen=unseen(summary, best),
        notes=tuple(note for note in _notes(summary, found, signs, judged, best) if note != why),
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
    total = one.estimate * summary.units
    return GivenEstimate(
        estimator=one.estimator,
        per="token" if one.per == "token" else "sequence" if summary.sequences else "sample",
        estimate=one.estimate,
        std_error=one.std_error,
        interval=None if one.withheld else one.interval,
        half_width=math.nan if one.withheld else 0.5 * (one.interval[1] - one.interval[0]),
        withheld=one.withheld,
        tail_index=one.shape.tail_index,
        skewness=one.shape.skewness,
        largest_share=(one.shape.largest + one.estimate) / total if total else math.nan,
        samples_needed=_needed(one, summary, request),
    )


def _notes(
    summary: Summary,
    found: Diagnostics,
    signs: Signs,
    judged: Iterable[Judged],
    best: Judged | None,
) -> Iterator[str]:
    """What the user should know of the data that is no reason against an interval."""
    if best is not None and best.shape.tail_index > limit(summary.units):
        yield (
            f"the tail index of {best.estimator} is {best.shape.tail_index:.2f}, above "
            f"{limit(summary.units):.2f}: intervals of such data contain KL too rarely"
        )
    moments = summary.moments
    weightless = found.mean_weight is not None and found.mean_weight.mean == 0.0
    equal = float(moments.mean("ell")[0]) == 0.0 == float(moments.comoment("ell", "ell")[0])
    if equal and not weightless:
        yield (
            "log q equals log p in every row, as before the first update, or one of them is given "
            "twice"
        )
    if summary.sequences and signs.positive:
        yield (
            "most log_q are above 0, as densities may be and the probabilities of tokens may not: "
            "expected log q, neither -log q nor q"
        )
    ratio = found.mean_ratio_by_token or found.mean_ratio
    skewness = 0.0 if math.isnan(found.ratio_skewness) else found.ratio_skewness
    settled = normal_from_moments(skewness, 0.0) <= summary.units
    if ratio.z < -FAR_WEIGHT and settled:
        yield (
            f"the mean of p/q is {ratio}, below 1, as it is where q is 0 and p is not (after top-p "
            "sampling): if q has no such zeros, check that p is normalised, and that the samples "
            "are q's"
        )
    some = summary.long_copies.share() > _COPIED and summary.copies.number() == 1
    if some and not signs.rounding_variance() and not equal:
        yield (
            f"{summary.long_copies.share():.0%} of the {summary.unit}s have the same ℓ as another "
            "one: rows that were logged twice count twice"
        )
    if padding := signs.padding():
        yield padding
    if best is not None and any(d.diagnostic == "rounding" for one in judged for d in one.doubts):
        yield (
            "log_q and log_p have 16 bits: rounding averages out only if the numbers before it "
            "differ, as the probabilities of a large model do and those of a small table do not"
        )


def _needed(one: Judged, summary: Summary, request: Request) -> UnitsNeeded | None:
    """The samples or sequences needed, n (half-width / target)^2, with an interval."""
    if one.withheld is not None or not one.estimate:
        return None
    target, n = request.target(one.estimate), summary.units
    need = summary.sequence_count * (one.half_width / target) ** 2
    skewness, kurtosis = (0.0 if math.isnan(v) else v for v in one.shape[:2])
    variance = (max(kurtosis, -2.0) + 2.0) / n  # of the logarithm of a sample variance
    if request.relative:
        step = one.std_error / one.estimate
        variance += 4.0 * step * step - 4.0 * skewness * step / math.sqrt(n)
    spread = float(ndtri(0.5 + request.confidence / 2)) * math.sqrt(max(variance, 0.0))
    spread = min(spread, 700.0)
    return UnitsNeeded(need, need * math.exp(-spread), need * math.exp(spread))
