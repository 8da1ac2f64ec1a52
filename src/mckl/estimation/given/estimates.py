"""The answer from given log-probabilities: estimates of KL, intervals, which of them to trust."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mckl.errors import UserError
from mckl.estimation.given.verdict import Diagnostics
from mckl.estimation.results import DASH, Result, Table, ends
from mckl.limits import MOST_SAMPLES
from mckl.text import counted, listed, short_count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from mckl.estimation.given.picture import Path

ASSUMED = "natural logarithms assumed"
_HEADER = ("estimator", "per", "estimate", "std error", "interval", "tail index", "samples needed")


class UnitsNeeded(NamedTuple):
    """The samples or sequences that the tolerance needs, by these data, with an interval."""

    samples: float
    low: float
    high: float


@dataclass(frozen=True, repr=False)
class GivenEstimate(Result):
    """One estimator's estimate, in nats.

    Attributes
    ----------
    estimator
        The estimator's name, such as ``k1``; ``k3-factor`` is k3 by token.
    per
        Whether the estimate is per ``sample``, ``sequence`` or ``token``.
    estimate, std_error
        The estimate and its standard error; with sequences, the latter is clustered by sequence,
        or by cluster if clusters are given.
    interval, half_width
        The lower and the upper end of the interval, None if it is withheld; and half its length.
        An interval is longer on the side to which the averaged values are skewed.
    withheld
        Why the interval is withheld; None if it is not.
    tail_index, skewness
        The tail index and the skewness of the averaged values; NaN with too few samples.
    largest_share
        The share of the largest value in the sum.
    samples_needed
        The samples or sequences that the tolerance needs, with the lower and the upper end of an
        interval for this number; None if the interval is withheld.
    """

    estimator: str
    per: str
    estimate: float
    std_error: float
    interval: tuple[float, float] | None
    half_width: float
    withheld: str | None
    tail_index: float
    skewness: float
    largest_share: float
    samples_needed: UnitsNeeded | None

    def lines(self) -> Iterator[str]:
        yield f"{self.estimator}: {self.in_words()}"

    def in_words(self, name: str = "interval") -> str:
        """The estimate and its interval, which is called by this name."""
        value = f"{self.estimate:.6g} nats per {self.per}"
        if self.interval is None:
            return f"{value}, without an interval"
        return f"{value}, {name} {ends(self.interval)}"

    def table(self) -> Table:
        return Table(_HEADER, [self.cells()])

    def cells(self) -> list[str]:
        """The texts of a row of the table."""
        needed = DASH
        if self.samples_needed is not None:
            n, low, high = (
                short_count(math.ceil(v)) if v < MOST_SAMPLES else "inf"
                for v in self.samples_needed
            )
            needed = f"{n} ({low} to {high})"
        index = DASH if math.isnan(self.tail_index) else f"{self.tail_index:z.2f}"
        return [
            self.estimator, self.per, f"{self.estimate:.6g}", f"{self.std_error:.2g}",
            ends(self.interval), index, needed,
        ]  # fmt: skip


@dataclass(frozen=True, repr=False)
class KLFromLogProbs(Result):
    """Estimates of KL(q||p) from log-probabilities of samples, in nats.

    Attributes
    ----------
    kl
        The estimate to trust, per sample or per sequence; NaN if there is none.
    interval
        The interval of that estimate; None if there is none.
    trusted, why
        The name of the estimator to trust, None if there is none; and the reason.
    unseen
        What an event that did not occur could add to KL.
    notes
        What else is worth knowing of the data, one sentence each.
    rows, units
        The numbers of tokens and of sequences; without sequences, both are the number of samples.
    clusters
        The number of clusters, which are independent; None if sequences, or samples, are.
    sequences
        Whether the rows are the tokens of sequences.
    tolerance, relative, confidence
        The requested half-width of the interval, whether it is relative to KL or in nats, and the
        confidence.
    estimates
        The estimates of all estimators: per sample, or per sequence and per token.
    diagnostics
        What the data show of the mean of p/q, drift and autocorrelation (diagnostics.md).
    base
        The base of the logarithms, which is assumed and cannot be checked.
    """

    kl: float
    interval: tuple[float, float] | None
    trusted: str | None
    why: str
    unseen: str
    notes: tuple[str, ...]
    rows: int
    units: int
    clusters: int | None
    sequences: bool
    tolerance: float
    relative: bool
    confidence: float
    estimates: tuple[GivenEstimate, ...]
    diagnostics: Diagnostics
    base: str = ASSUMED
    path: Path | None = field(default=None, repr=False, compare=False)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the running estimates and intervals, the trusted one in front, with Matplotlib.

        The vertical bar at the right is the answer's interval. `ax` are the axes to draw on; by
        default they are those of a new figure, which ``result.plot().figure`` is.
        """
        from mckl.estimation.given.picture import draw_path

        if self.path is None:
            raise UserError(
                "plot: no running estimates of fewer than 8 independent units or of one group, "
                "expected .plot() of all groups"
            )
        unit = "cluster" if self.clusters else "sequence" if self.sequences else "sample"
        per = "sequence" if self.sequences else "sample"
        name = f"KL(q‖p), nats per {per}, {100 * self.confidence:g} % intervals"
        intervals = {e.estimator: e.interval for e in self.estimates if e.per != "token"}
        return draw_path(self.path, self.trusted, intervals, (f"{unit}s", name), ax)

    @property
    def per_token(self) -> GivenEstimate | None:
        """The trusted estimator's KL per token; None without sequences or a trusted estimator."""
        return next(
            (e for e in self.estimates if (e.estimator, e.per) == (self.trusted, "token")), None
        )

    def __getitem__(self, estimator: str) -> GivenEstimate:
        """The estimate, per sample or per sequence, of the estimator with this name.

        Raises KeyError for any other name.
        """
        for estimate in self.estimates:
            if estimate.estimator == estimator:
                return estimate
        names = ", ".join(dict.fromkeys(e.estimator for e in self.estimates))
        raise KeyError(f"{estimator}: expected one of {names}")

    def to_frame(self) -> pd.DataFrame:
        """The estimates as a pandas data frame; `reason` says why an interval is withheld."""
        import pandas as pd

        rows = []
        for e in self.estimates:
            low, high = e.interval or (math.nan, math.nan)
            trusted = e.estimator == self.trusted
            rows.append(
                (e.estimator, e.per, e.estimate, e.std_error, low, high, trusted, e.withheld)
            )
        columns = "estimator", "per", "estimate", "std_error", "low", "high", "trusted", "reason"
        return pd.DataFrame(rows, columns=columns)

    def lines(self) -> Iterator[str]:
        best = None if self.trusted is None else self[self.trusted]
        if best is None:
            yield "KL(q||p): no estimate whose interval can be trusted"
            yield f"Because {self.why}."
        else:
            name = f"{100 * self.confidence:g} % interval"
            yield f"KL(q||p) = {best.in_words(name)} ({best.estimator})"
            yield f"Trust {best.estimator}: {self.why}."
            if (token := self.per_token) is not None:
                yield f"Per token {token.in_words(name)}"
        what = (
            f"{counted(self.rows, 'token')} in {counted(self.units, 'sequence')}"
            if self.sequences
            else counted(self.units, "sample")
        )
        if self.clusters is not None:
            what += f" of {counted(self.clusters, 'independent cluster')}"
        if self.diagnostics.mean_weight is not None:
            what += ", drawn from log_sampler's law s and weighted by q/s"
        yield f"{what}; {self.base}"
        yield f"Unseen: {self.unseen}."
        for note in self.notes:
            yield f"Note: {note}."
        yield ""
        yield from self.table().lines()
        yield ""
        yield from _reasons(self.estimates)
        yield "Diagnostics"
        yield from self.diagnostics.lines()

    def table(self) -> Table:
        return Table(_HEADER, [estimate.cells() for estimate in self.estimates])


def _reasons(estimates: Sequence[GivenEstimate]) -> Iterator[str]:
    """Each reason for a withheld interval once, with the names of the estimators."""
    by_reason: dict[str, list[str]] = {}
    for estimate in estimates:
        if estimate.withheld is not None and estimate.per != "token":
            by_reason.setdefault(estimate.withheld, []).append(estimate.estimator)
    for reason, names in by_reason.items():
        yield f"{listed(names)} withheld: {reason}."
