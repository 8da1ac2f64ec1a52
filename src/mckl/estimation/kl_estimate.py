"""`KLEstimate`: an estimate from samples drawn to a tolerance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mckl.estimation.divergences import KL
from mckl.estimation.intervals import Request
from mckl.estimation.results import Result, Table, ends
from mckl.text import digits

TIGHT, SPENT, WITHHELD = "tight", "budget", "withheld"


class Choice(NamedTuple):
    """An estimator and a sampler, by name."""

    estimator: str
    sampler: str

    def __str__(self) -> str:
        return f"{self.estimator} over {self.sampler}"


class PassedOver(NamedTuple):
    """An estimator and a sampler that gave no interval, though theory had one; and why."""

    estimator: str
    sampler: str
    reason: str


@dataclass(frozen=True, repr=False)
class KLEstimate(Result):
    """An estimate of KL(q||p) from samples drawn to a tolerance, in nats.

    Attributes
    ----------
    estimate, interval
        The estimate and the ends of its interval; the latter is None if it is withheld.
    half_width, target
        The half-width of the interval, NaN if it is withheld, and the one that was requested.
    confidence
        The confidence of the interval.
    stopped
        ``tight`` if the tolerance is met, ``budget`` if the budget was spent before that, and
        ``withheld`` if there is no interval.
    withheld
        Why the interval is withheld; None if it is not.
    use_instead
        An estimator and a sampler that have an interval, if it is withheld and there are any.
    passed_over
        The choices that were tried before, and why their samples gave no interval. Their samples
        count, and are not used.
    std_error
        The standard error of the estimate, NaN if the interval is withheld.
    samples, stages
        The number of samples drawn, and that of each stage by name.
    scrambles
        The number of independent scrambles of Sobol' points; None for other samplers.
    estimator, sampler, seed
        What was averaged, and how the samples were drawn.
    exact
        The exact KL with a bound on its error; None if it is not known.
    unseen
        What an event that did not occur could add to KL; None if theory knows the pair.
    notes
        What else the samples say, one sentence each.
    """

    estimate: float
    interval: tuple[float, float] | None
    half_width: float
    target: float
    confidence: float
    stopped: str
    withheld: str | None
    use_instead: Choice | None
    passed_over: tuple[PassedOver, ...]
    std_error: float
    samples: int
    stages: Mapping[str, int]
    scrambles: int | None
    estimator: str
    sampler: str
    seed: int
    exact: KL | None
    unseen: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def made(
        cls,
        used: Choice,
        request: Request,
        seed: int,
        estimate: float,
        half_width: float,
        std_error: float,
        stages: Mapping[str, int],
        withheld: str | None = None,
        scrambles: int | None = None,
    ) -> KLEstimate:
        """The answer from an estimate, and what it was asked and made with."""
        stopped = TIGHT if request.met(estimate, half_width) else SPENT
        return cls(
            estimate=estimate,
            interval=None if withheld else (estimate - half_width, estimate + half_width),
            half_width=half_width,
            target=request.target(estimate),
            confidence=request.confidence,
            stopped=WITHHELD if withheld else stopped,
            withheld=withheld,
            use_instead=None,
            passed_over=(),
            std_error=std_error,
            samples=sum(stages.values()),
            stages=stages,
            scrambles=scrambles,
            estimator=used.estimator,
            sampler=used.sampler,
            seed=seed,
            exact=None,
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data for JSON, with None in place of NaN and inf."""
        exact = None if self.exact is None else self.exact.to_dict()
        return super().to_dict() | {
            "exact": exact and exact["kl"],
            "exact_relative_error": exact and exact["kl_relative_error"],
        }

    def lines(self) -> Iterator[str]:
        value = f"KL(q||p) = {self.estimate:.8g} nats"
        if self.interval is None:
            yield f"{value}, without an interval"
        else:
            yield f"{value}, {100 * self.confidence:g} % interval {ends(self.interval, 8)}"
        stages = ", ".join(f"{n:,} {stage}" for stage, n in self.stages.items())
        if self.scrambles:
            stages = f"{self.scrambles} independent scrambles"
        yield f"{self.estimator} over {self.samples:,} {self.sampler} samples ({stages})"
        widths = f"half-width {digits(self.half_width, 3)} nats, {digits(self.target, 3)} requested"
        if self.stopped == TIGHT:
            yield f"Stopped: tight enough, {widths}."
        elif self.stopped == SPENT:
            yield f"Stopped: the budget is spent, {widths}."
        else:
            yield f"Interval withheld: {self.withheld}."
        for estimator, sampler, reason in self.passed_over:
            yield f"{estimator} over {sampler} gave no interval: {reason}."
        if self.use_instead is not None:
            yield f"Use {self.use_instead} samples instead."
        if self.exact is not None:
            yield f"Exact: {self.exact.in_nats(8)}."
        if self.unseen is not None:
            yield f"Unseen: {self.unseen}."
        for note in self.notes:
            yield f"Note: {note}."

    def table(self) -> Table:
        interval = ends(self.interval, 8)
        return Table(
            ("estimator", "sampler", "samples", "estimate", "interval"),
            [[self.estimator, self.sampler, f"{self.samples:,}", f"{self.estimate:.8g}", interval]],
        )
