"""Estimates a pair by what is recommended, or by the next choice where that gives no interval."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from mckl.draw.points import SAMPLERS
from mckl.errors import NotFiniteError, UserError
from mckl.estimation.budget import Forecasts
from mckl.estimation.choice import choices
from mckl.estimation.divergences import divergences
from mckl.estimation.intervals import Request
from mckl.estimation.kl_estimate import Choice, KLEstimate, PassedOver
from mckl.estimation.offered import check_numbers, check_offered
from mckl.estimation.sequential import estimate, plan_stages
from mckl.estimation.values import ESTIMATORS
from mckl.families.base import Pair

LEAST_BUDGET = 16  # samples; enough for the smallest pilot and main stage of every estimator

Progress = Callable[[int], AbstractContextManager[Callable[[int], object]]]


def estimate_of_pair(
    pair: Pair,
    request: Request,
    sampler: str | None,
    estimator: str | None,
    seed: int,
    prefix: str = "",
    progress: Progress = lambda samples: nullcontext(lambda evaluations: None),
) -> KLEstimate:
    """What `mckl.estimate` answers for a pair with exact theory.

    If the samples of a choice that theory allows show a fault, its interval is withheld, and the
    next choice draws new samples. `prefix` stands before the name of an argument in a message, as
    in ``--sampler``. `progress` is a function of the expected number of samples; the value of its
    context manager is called with the number that each step has drawn.
    """
    samplers = [] if sampler is None else [sampler]
    estimators = [] if estimator is None else [estimator]
    check_offered(pair, samplers, estimators, prefix)
    exact, forecasts = divergences(pair), Forecasts(pair)
    left = choices(forecasts, request, samplers or [*SAMPLERS], estimators or [*ESTIMATORS])
    passed_over: list[PassedOver] = []
    first, spent = None, 0
    while True:
        used = left.pop(0)
        chosen = SAMPLERS[used.sampler], ESTIMATORS[used.estimator]
        check_numbers(pair, chosen[0], f"{prefix}sampler", "the pair")
        asked = request._replace(most=request.most - spent)
        planned = plan_stages(forecasts, *chosen, asked)
        attempt = f"-{len(passed_over)}" if passed_over else ""
        try:
            with progress(planned.expected) as advance:
                answer = estimate(
                    forecasts, *chosen, asked,
                    seed=seed, planned=planned, attempt=attempt, progress=advance,
                )  # fmt: skip
        except NotFiniteError as error:
            raise UserError(str(error)) from None
        spent += answer.samples
        first = first or answer
        # Samples show faults of what r enters, so a further choice does without r.
        left = [c for c in left if not ESTIMATORS[c.estimator].uses_ratio]
        if answer.withheld is None or not left or spent + LEAST_BUDGET > request.most:
            break
        passed_over.append(PassedOver(*used, answer.withheld))
    if answer.withheld is not None:
        answer, passed_over = first, []
    if spent > answer.samples:
        earlier = {"passed over": spent - answer.samples}
        answer = replace(answer, samples=spent, stages={**earlier, **answer.stages})
    instead = None
    if answer.withheld is not None and (samplers or estimators):
        instead = _instead(forecasts, request, Choice(answer.estimator, answer.sampler))
    return replace(answer, exact=exact, use_instead=instead, passed_over=tuple(passed_over))


def _instead(forecasts: Forecasts, request: Request, used: Choice) -> Choice | None:
    """The recommended choice, if theory has an interval for it and it is another one."""
    best = choices(forecasts, request, [*SAMPLERS], [*ESTIMATORS])[0]
    planned = plan_stages(forecasts, SAMPLERS[best.sampler], ESTIMATORS[best.estimator], request)
    return best if planned.withheld is None and best != used else None
