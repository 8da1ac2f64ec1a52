"""`KLEstimate`, an estimate from samples drawn to a tolerance, and how it is made for a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from mckl.draw.points import SAMPLERS
from mckl.errors import NotFiniteError, UserError
from mckl.estimation.budget import Forecasts
from mckl.estimation.choice import Choice, choose
from mckl.estimation.divergences import KL, divergences
from mckl.estimation.intervals import Request
from mckl.estimation.offered import check_numbers, check_offered
from mckl.estimation.results import Result, Table, ends
from mckl.estimation.sequential import SPENT, TIGHT, Estimate, plan_stages
from mckl.estimation.sequential import estimate as estimate_pair
from mckl.estimation.values import ESTIMATORS
from mckl.families.base import Pair

Progress = Callable[[int], AbstractContextManager[Callable[[int], object]]]


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
    def of(
        cls,
        done: Estimate,
        request: Request,
        used: Choice,
        seed: int,
        instead: Choice | None = None,
        exact: KL | None = None,
        unseen: str | None = None,
        notes: tuple[str, ...] = (),
    ) -> KLEstimate:
        """The answer from an estimate, and what it was asked and made with."""
        interval = done.estimate - done.half_width, done.estimate + done.half_width
        return cls(
            **{**done._asdict(), "scrambles": done.scrambles or None},
            interval=None if done.withheld else interval,
            confidence=request.confidence,
            use_instead=instead,
            samples=done.samples,
            estimator=used.estimator,
            sampler=used.sampler,
            seed=seed,
            exact=exact,
            unseen=unseen,
            notes=notes,
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
        widths = f"half-width {self.half_width:.3g} nats, {self.target:.3g} requested"
        if self.stopped == TIGHT:
            yield f"Stopped: tight enough, {widths}."
        elif self.stopped == SPENT:
            yield f"Stopped: the budget is spent, {widths}."
        else:
            yield f"Interval withheld: {self.withheld}."
        if self.use_instead is not None:
            yield f"Use {self.use_instead} samples instead."
        if self.exact is not None:
            yield f"Exact: {self.exact.text(8)} nats."
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


def estimate_of_pair(
    pair: Pair,
    request: Request,
    sampler: str | None,
    estimator: str | None,
    seed: int,
    prefix: str = "",
    progress: Progress = lambda samples: nullcontext(lambda evaluations: None),
) -> KLEstimate:
    """Estimate a pair with exact theory by the recommended estimator and sampler, or by others.

    Parameters
    ----------
    pair
        q and p.
    request
        The tolerance, the confidence and the budget.
    sampler, estimator
        Names; None for the recommended ones.
    seed
        The seed of the random numbers.
    prefix
        What stands before the name of an argument in a message, as in ``--sampler``.
    progress
        A function of the expected number of samples that returns a context manager. The latter's
        value is a function that is called with the number of samples that each step has drawn.

    Raises
    ------
    UserError
        If the pair cannot be drawn by this sampler, or used with this estimator; if KL exceeds the
        largest float64, or l is not finite at a sample.
    """
    samplers = [] if sampler is None else [sampler]
    estimators = [] if estimator is None else [estimator]
    check_offered(pair, samplers, estimators, prefix)
    exact, forecasts = divergences(pair), Forecasts(pair)
    used = best = choose(forecasts, request, [*SAMPLERS], [*ESTIMATORS])
    if samplers or estimators:
        used = choose(forecasts, request, samplers or [*SAMPLERS], estimators or [*ESTIMATORS])
    chosen = SAMPLERS[used.sampler], ESTIMATORS[used.estimator]
    check_numbers(pair, chosen[0], f"{prefix}sampler", "the pair")
    planned = plan_stages(forecasts, *chosen, request)
    try:
        with progress(planned.expected) as advance:
            done = estimate_pair(
                forecasts, *chosen, request, seed=seed, planned=planned, progress=advance
            )
    except NotFiniteError as error:
        raise UserError(str(error)) from None
    instead = None
    if done.withheld and best != used:
        other = plan_stages(forecasts, SAMPLERS[best.sampler], ESTIMATORS[best.estimator], request)
        instead = best if other.withheld is None else None
    return KLEstimate.of(done, request, used, seed, instead, exact)
