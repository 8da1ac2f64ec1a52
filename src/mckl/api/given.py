"""`from_log_probs` estimates KL from log-probabilities of samples of q."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.api.arguments import MOST, real
from mckl.api.arrays import as_numpy, numbers
from mckl.api.results import Result, aligned
from mckl.errors import UserError
from mckl.estimation.given.answer import Answer, Needed, answer
from mckl.estimation.given.verdict import Checks, Judged
from mckl.estimation.intervals import Request
from mckl.text import count, counted, listed

ASSUMED = "natural logarithms assumed"


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
        The estimate and its standard error; with sequences, the latter is clustered by sequence.
    interval
        The lower and the upper end of the interval; None if it is withheld.
    withheld
        Why the interval is withheld; None if it is not.
    tail_index, skewness
        The tail index and the skewness of the averaged values; NaN with too few samples.
    samples_needed
        The samples or sequences that the tolerance needs, with the lower and the upper end of an
        interval for this number; None if the interval is withheld.
    """

    estimator: str
    per: str
    estimate: float
    std_error: float
    interval: tuple[float, float] | None
    withheld: str | None
    tail_index: float
    skewness: float
    samples_needed: tuple[float, float, float] | None

    def lines(self) -> Iterator[str]:
        yield f"{self.estimator}: {_in_words(self)}"

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return _HEADER, [_cells(self)]


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
    rows, units
        The numbers of tokens and of sequences; without sequences, both are the number of samples.
    tolerance, relative, confidence
        The requested half-width of the interval, whether it is relative to KL or in nats, and the
        confidence.
    estimates
        The estimates of all estimators: per sample, or per sequence and per token.
    diagnostics
        The diagnostics by name: the mean of p/q with its standard error and effective sample size,
        drift, autocorrelation (docs/diagnostics.md).
    base
        The base of the logarithms, which is assumed and cannot be checked.
    """

    kl: float
    interval: tuple[float, float] | None
    trusted: str | None
    why: str
    rows: int
    units: int
    sequences: bool
    tolerance: float
    relative: bool
    confidence: float
    estimates: tuple[GivenEstimate, ...]
    diagnostics: Mapping[str, Any]
    base: str = ASSUMED

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
        for one in self.estimates:
            if one.estimator == estimator:
                return one
        known = ", ".join(dict.fromkeys(e.estimator for e in self.estimates))
        raise KeyError(f"{estimator}: expected one of {known}")

    def lines(self) -> Iterator[str]:
        best = None if self.trusted is None else self[self.trusted]
        if best is None:
            yield "KL(q||p): no estimate whose interval can be trusted"
            yield f"Because {self.why}."
        else:
            percent = f"{100 * self.confidence:g} %"
            yield f"KL(q||p) = {_in_words(best, percent)} ({best.estimator})"
            yield f"Trust {best.estimator}: {self.why}."
            if (token := self.per_token) is not None:
                yield f"Per token {_in_words(token, percent)}"
        what = (
            f"{counted(self.rows, 'token')} in {counted(self.units, 'sequence')}"
            if self.sequences
            else counted(self.units, "sample")
        )
        yield f"{what}; {self.base}"
        yield ""
        yield from aligned(*self.table())
        yield ""
        yield from _reasons(self.estimates)
        yield from _diagnostics_lines(self.diagnostics)

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return _HEADER, [_cells(one) for one in self.estimates]


_HEADER = ("estimator", "per", "estimate", "std error", "interval", "tail index", "samples needed")


def _in_words(one: GivenEstimate, percent: str = "") -> str:
    value = f"{one.estimate:.6g} nats per {one.per}"
    if one.interval is None:
        return f"{value}, without an interval"
    return f"{value}, {percent} interval {one.interval[0]:.6g} to {one.interval[1]:.6g}"


def _cells(one: GivenEstimate) -> list[str]:
    needed = "–"
    if one.samples_needed is not None:
        n, low, high = (count(math.ceil(v)) if v < 1e18 else "inf" for v in one.samples_needed)
        needed = f"{n} ({low} to {high})"
    interval = "withheld"
    if one.interval is not None:
        interval = f"{one.interval[0]:.6g} to {one.interval[1]:.6g}"
    index = "–" if math.isnan(one.tail_index) else f"{one.tail_index:z.2f}"
    return [
        one.estimator, one.per, f"{one.estimate:.6g}", f"{one.std_error:.2g}", interval, index,
        needed,
    ]  # fmt: skip


def _reasons(estimates: Sequence[GivenEstimate]) -> Iterator[str]:
    """Each reason for a withheld interval once, with the names of the estimators."""
    by_reason: dict[str, list[str]] = {}
    for one in estimates:
        if one.withheld is not None and one.per != "token":
            by_reason.setdefault(one.withheld, []).append(one.estimator)
    for reason, names in by_reason.items():
        yield f"{listed(names)} withheld: {reason}."


def _diagnostics_lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield "Diagnostics"
    for name, text in (
        ("mean_ratio", "mean of p/q"),
        ("mean_ratio_by_token", "the same by token"),
        ("mean_weight", "mean of q/s"),
    ):
        if name in found:
            error, effective = found[f"{name}_std_error"], found[f"{name}_effective_samples"]
            yield (
                f"  {text:19} {found[name]:.6g} ± {error:.2g}, expected 1; "
                f"effective samples {count(effective)}"
            )
    for name, text in (
        ("drift", "standard errors between the halves"),
        ("autocorrelation", "of neighbours"),
    ):
        if not math.isnan(found[name]):
            yield f"  {name:19} {found[name]:.2g} {text}"


def from_log_probs(
    log_q: Any,
    log_p: Any,
    *,
    sequence: Any = None,
    full_kl: Any = None,
    log_sampler: Any = None,
    mask: Any = None,
    tolerance: float = 0.01,
    absolute: float | None = None,
    confidence: float = 0.95,
    estimator: str | None = None,
) -> KLFromLogProbs:
    """Estimate KL(q||p) from log-probabilities of samples of q.

    Arrays may be of NumPy, torch, TensorFlow, JAX or pandas. Logarithms must be natural.

    Parameters
    ----------
    log_q, log_p
        The log-probabilities of the samples under q and under p, in nats, shape (samples,). For
        tokens of sequences, the shape is (tokens,) with `sequence`, or (sequences, tokens), with
        `mask` if sequences differ in length.
    sequence
        The id of each token's sequence, shape (tokens,). The tokens of a sequence must follow each
        other.
    full_kl
        KL(q(. | before) || p(. | before)) over the whole vocabulary at each token, in nats, in the
        shape of `log_q`. It adds the estimator `rb` and needs sequences.
    log_sampler
        The log-probabilities of the samples under the law s that drew them, if this was not q, in
        the shape of `log_q`. Samples then have the weights q/s.
    mask
        True for the tokens that count, in the shape of a two-dimensional `log_q`.
    tolerance, absolute
        The half-width of the interval, relative to KL or in nats, for which the answer says how
        many samples are needed.
    confidence
        The confidence of the intervals, between 0 and 1.
    estimator
        The name of the estimator to trust if it has an interval; by default, the estimator with
        the shortest interval is trusted.

    Returns
    -------
    KLFromLogProbs
        All estimates, in nats. An interval is withheld, with a reason, if the diagnostics find a
        fault (docs/diagnostics.md).

    Raises
    ------
    ValueError
        For arrays of different shapes, values that a sample of q cannot have, ids of sequences that
        return, and log-probabilities that seem to be swapped. The message is one line.

    Notes
    -----
    Samples of s are self-normalised, and standard errors of ratios follow from the delta method;
    see A. B. Owen, "Monte Carlo theory, methods and examples" (2013), chapter 9.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(1).normal(size=10_000)  # q is standard normal; p has mean 0.1
    >>> found = from_log_probs(-0.5 * z**2, -0.5 * (z - 0.1) ** 2)
    >>> found.trusted, bool(found.interval[0] < 0.005 < found.interval[1])
    ('cv', True)
    """
    columns = columns_of(
        log_q, log_p, sequence=sequence, full_kl=full_kl, log_sampler=log_sampler, mask=mask
    )
    request = request_of(tolerance, absolute, confidence)
    return result_of(answer([columns], columns, request, estimator))


def columns_of(
    log_q: Any,
    log_p: Any,
    *,
    sequence: Any = None,
    full_kl: Any = None,
    log_sampler: Any = None,
    mask: Any = None,
) -> dict[str, NDArray[Any]]:
    """The arrays of `from_log_probs` as columns of one length; raises `UserError` as it does."""
    given = {"log_q": log_q, "log_p": log_p, "full_kl": full_kl, "log_sampler": log_sampler}
    columns = {name: numbers(name, values) for name, values in given.items() if values is not None}
    for name in ("log_q", "log_p"):
        if name not in columns:
            raise UserError(f"{name}: missing")
    shape = columns["log_q"].shape
    for name, column in columns.items():
        if column.shape != shape:
            raise UserError(f"{name}: shape {column.shape}, expected {shape} as of log_q")
    if len(shape) not in (1, 2):
        raise UserError(f"log_q: shape {shape}, expected (samples,) or (sequences, tokens)")
    if not columns["log_q"].size:
        raise UserError("log_q: no values, expected at least one sample")
    ids = None if sequence is None else as_numpy("sequence", sequence)
    if ids is not None and ids.dtype.kind not in "biufSUOM":
        raise UserError(f"sequence: ids of type {str(ids.dtype)[:60]}, expected numbers or texts")
    if len(shape) == 2:
        columns, ids = _flattened(columns, ids, mask)
    elif mask is not None:
        raise UserError("mask: only with arrays of shape (sequences, tokens)")
    if ids is not None:
        if ids.shape != columns["log_q"].shape:
            raise UserError(
                f"sequence: shape {ids.shape}, expected {columns['log_q'].shape}: one id a row"
            )
        columns["sequence"] = ids
    elif full_kl is not None:
        raise UserError("full_kl: only with sequences, expected sequence as well")
    return columns


def request_of(tolerance: float, absolute: float | None, confidence: float) -> Request:
    """The precision requested; raises `UserError` for numbers outside of their range."""
    name, size = ("tolerance", tolerance) if absolute is None else ("absolute", absolute)
    size = real(name, size, "a number greater than 0", 0.0)
    confidence = real("confidence", confidence, "a number between 0 and 1", 0.0, 1.0)
    return Request(size, absolute is None, confidence, MOST)


def _flattened(
    columns: Mapping[str, NDArray[Any]], ids: NDArray[Any] | None, mask: Any
) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """The tokens of all rows in one column, and the row's number as the id of each sequence."""
    shape = columns["log_q"].shape
    if ids is not None:
        raise UserError("sequence: not with arrays of shape (sequences, tokens): each row is one")
    given = np.ones(shape, bool) if mask is None else as_numpy("mask", mask)
    if given.shape != shape:
        raise UserError(f"mask: shape {given.shape}, expected {shape} as of log_q")
    keep = given.astype(bool)
    if given.dtype.kind not in "biuf" or not (given == keep).all():
        raise UserError("mask: expected True or False, or 1 or 0")
    if not keep.any():
        raise UserError("mask: no token counts")
    rows = np.repeat(np.arange(shape[0]), keep.sum(axis=1))
    return {name: column[keep] for name, column in columns.items()}, rows


def result_of(found: Answer) -> KLFromLogProbs:
    """The answer as the object that `from_log_probs` returns."""
    estimates = tuple(
        _estimate(one, needed, found.sequences)
        for one, needed in zip(found.judged, found.needed, strict=True)
    )
    best = None if found.trusted is None else estimates[found.trusted]
    return KLFromLogProbs(
        kl=math.nan if best is None else best.estimate,
        interval=None if best is None else best.interval,
        trusted=None if best is None else best.estimator,
        why=found.why,
        rows=found.rows,
        units=found.units,
        sequences=found.sequences,
        tolerance=found.request.tolerance,
        relative=found.request.relative,
        confidence=found.request.confidence,
        estimates=estimates,
        diagnostics=_diagnostics(found.checks),
    )


def _estimate(one: Judged, needed: Needed | None, sequences: bool) -> GivenEstimate:
    interval = None
    if one.withheld is None:
        interval = one.estimate - one.half_width, one.estimate + one.half_width
    return GivenEstimate(
        estimator=one.estimator,
        per="token" if one.per == "token" else "sequence" if sequences else "sample",
        estimate=one.estimate,
        std_error=one.std_error,
        interval=interval,
        withheld=one.withheld,
        tail_index=one.shape.tail_index,
        skewness=one.shape.skewness,
        samples_needed=None if needed is None else (needed[0], needed[1], needed[2]),
    )


def _diagnostics(found: Checks) -> dict[str, float]:
    out: dict[str, float] = {}
    for name, mean in (
        ("mean_ratio", found.ratio),
        ("mean_ratio_by_token", found.by_token),
        ("mean_weight", found.weights),
    ):
        if mean is not None:
            out[name] = mean.mean
            out[f"{name}_std_error"] = mean.std_error
            out[f"{name}_effective_samples"] = mean.effective_samples
    if found.weights is not None:
        out["mean_weight_tail_index"] = found.weight_tail
    out["drift"] = found.dependence.drift
    out["autocorrelation"] = found.dependence.autocorrelation
    out["ratio_settles_from"] = found.from_ratio
    return out
