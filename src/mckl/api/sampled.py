"""Estimates KL for any q that can be sampled and any two log densities that can be evaluated.

The law of l is not known. So a pilot decides which estimator is used and how many new samples the
main stage draws (Stein 1945, as in `mckl.estimation.sequential`), and the diagnostics for given
samples decide whether there is an interval.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.api.arguments import one_of
from mckl.api.conversion import as_numpy
from mckl.api.draws import LogProb, Sampled
from mckl.errors import UserError
from mckl.estimation.given.answer import Pass
from mckl.estimation.given.estimates import GivenEstimate, KLFromLogProbs
from mckl.estimation.given.verdict import RARE, UNSEEN_ELL
from mckl.estimation.intervals import Request, units_needed
from mckl.estimation.kl_estimate import Choice, KLEstimate
from mckl.estimation.values import ESTIMATORS
from mckl.limits import MOST_SAMPLES

PILOT = 4096
_AT_ONCE = 2**16
_COMPARED = 1024  # samples at the beginning of a batch
_MAINS = 4  # the most main stages; a further one is drawn if the estimate is lower than expected


def estimate_of_objects(
    q: Any, p: Any, request: Request, estimator: str | None, seed: int
) -> KLEstimate:
    """Estimate KL(q||p) from samples of q; raises `UserError` for objects that have none."""
    draw, log_q, log_p = Sampled("q", q), LogProb("q", q), LogProb("p", p)
    first: list[Any] = []  # samples with which the first batch begins

    def draw_stage(stage: int, n: int) -> KLFromLogProbs:
        rng = np.random.default_rng([seed, stage])

        batches = Pass(("log_q", "log_p"), traced=False)
        for start in range(0, n, _AT_ONCE):
            count = min(_AT_ONCE, n - start)
            samples = draw.draw(count, rng)
            head = np.array(as_numpy("q.sample", samples[:_COMPARED]))
            if first and _repeats(head, first[0]):
                raise UserError(
                    "q: sample(n, rng) begins two batches with the same samples: expected "
                    "draws from rng, which is not to be seeded anew"
                )
            if not first:
                first.append(head)
            batches.add({"log_q": log_q(_copied(samples), count), "log_p": log_p(samples, count)})
        return batches.answer(request)

    def result(used: GivenEstimate, half: float = math.nan, error: float = math.nan) -> KLEstimate:
        stages = {"pilot": pilots} | ({"main": spent - pilots} if spent > pilots else {})
        choice = Choice(used.estimator, "iid")
        made = KLEstimate.made(
            choice, request, seed, used.estimate, half, error, stages, used.withheld
        )
        return replace(made, unseen=found.unseen, notes=found.notes)

    n, spent, stage = min(PILOT, max(request.most // 4, 2)), 0, 0
    while True:
        found = draw_stage(stage, n)
        spent, stage = spent + n, stage + 1
        chosen = _cheapest(found, request) if estimator is None else _chosen(found, estimator)
        if chosen.withheld is None or 5 * n > request.most - spent:
            break
        n *= 4
    pilots = spent
    if chosen.withheld is not None:
        return result(chosen)
    half_of_one = chosen.half_width * math.sqrt(n)
    aim = request.aim(chosen.estimate)
    least = max(float(n), _least(chosen, aim))
    for _ in range(_MAINS):
        left = request.most - spent
        need = max(units_needed(half_of_one, aim), least)
        units = int(min(math.ceil(min(need, MOST_SAMPLES)), left))
        if units < 2:
            break
        found = draw_stage(stage, units)
        done = _chosen(found, chosen.estimator)
        spent, stage = spent + units, stage + 1
        if done.withheld is not None and estimator is None and found.trusted is not None:
            # The pilot had not seen what speaks against its choice, so this stage is the new pilot.
            chosen = done = found[found.trusted]
            n, half, error = units, done.half_width, done.std_error
            if request.met(done.estimate, half):
                break
            half_of_one, aim, least = half * math.sqrt(n), request.aim(done.estimate), float(n)
            continue
        if done.withheld is not None:
            return result(done)
        half = half_of_one / math.sqrt(units)
        error = chosen.std_error * math.sqrt(n / units)
        if request.met(done.estimate, half) or units < need:
            break
        aim = request.aim(done.estimate)
    return result(done, half, error)


def _chosen(found: KLFromLogProbs, estimator: str) -> GivenEstimate:
    one_of("estimator", estimator, [e.estimator for e in found.estimates])
    return found[estimator]


def _cheapest(found: KLFromLogProbs, request: Request) -> GivenEstimate:
    """The estimate that needs the fewest samples for the tolerance; that of k1 if there is none."""

    def need(one: GivenEstimate) -> float:
        target = request.target(one.estimate)
        return max(units_needed(one.half_width, target), _least(one, target) / found.units)

    return min((e for e in found.estimates if not e.withheld), key=need, default=found["k1"])


def _least(one: GivenEstimate, half_width: float) -> float:
    """The fewest samples with which an unseen event adds at most this half-width, if r enters."""
    enters = ESTIMATORS[one.estimator].uses_ratio and half_width
    return RARE * UNSEEN_ELL / half_width if enters else 0.0


def _repeats(head: NDArray[Any], first: NDArray[Any]) -> bool:
    """Whether a batch begins as the first one does, which is not due to chance.

    Let m of K independent samples have another value than the most frequent one. Then another K
    samples are the same with a probability of about e^-m at most. Here m >= 32, since a sample with
    another value makes at most two neighbours differ.
    """
    both = min(len(head), len(first))
    head, first = head[:both], first[:both]
    changes = (head[1:] != head[:-1]).reshape(both - 1, -1).any(axis=1)
    return int(changes.sum()) >= 64 and np.array_equal(head, first)


def _copied(samples: Any) -> Any:
    """The samples for a callable that may overwrite them."""
    for copy in ("clone", "copy"):  # torch; NumPy and lists
        if hasattr(samples, copy):
            return getattr(samples, copy)()
    return samples
