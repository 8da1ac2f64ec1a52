"""`kl`, `advise` and `estimate` for two distributions, given as objects or as mappings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mckl.api import sampled
from mckl.api.arguments import MOST_SEED, one_of, whole
from mckl.api.arrays import check_parameters
from mckl.api.draws import check_shapes
from mckl.api.given import request_of
from mckl.api.members import members
from mckl.api.objects import described, held, library_of
from mckl.api.registered import registered
from mckl.api.results import Result, aligned
from mckl.draw.points import SAMPLERS
from mckl.errors import NotFiniteError, UserError
from mckl.estimation.advice import Choice, choose, divergences
from mckl.estimation.advice import advise as advise_pair
from mckl.estimation.budget import Forecasts
from mckl.estimation.intervals import Request
from mckl.estimation.sequential import Estimate, plan
from mckl.estimation.sequential import estimate as estimate_pair
from mckl.estimation.shape import certain
from mckl.estimation.values import ESTIMATORS
from mckl.exact.moments import LARGEST_ERROR_OF_KL, Bounded
from mckl.families.base import OtherFamilyError, Pair
from mckl.families.registry import case_pair
from mckl.text import count, quoted

_REGISTERED_ERROR = 1e-8  # a library's KL is given only with at least 8 digits


@dataclass(frozen=True, repr=False)
class Advice(Result):
    """The number of samples that each estimator and sampler needs, from exact theory.

    Attributes
    ----------
    kl
        The exact KL(q||p), in nats, with a bound on its error (`KL`).
    recommendation
        The recommended estimator and sampler, the samples needed and the reason, as a dict; None
        if no estimator reaches the tolerance.
    request, regime, options, left_out, pair
        The same as in the output of ``mckl advise --json``.
    """

    kl: KL
    recommendation: Mapping[str, Any] | None
    request: Mapping[str, Any]
    regime: Mapping[str, Any]
    options: tuple[Mapping[str, Any], ...]
    left_out: tuple[str, ...]
    pair: Mapping[str, Any]

    def lines(self) -> Iterator[str]:
        known = self.kl.relative_error <= LARGEST_ERROR_OF_KL
        yield f"KL(q||p) = {f'{self.kl:.10g}' if known else self.kl} nats"
        if self.recommendation is None:
            yield "No estimator reaches the tolerance."
        else:
            best = self.recommendation
            yield (
                f"Use {best['estimator']} over {best['sampler']} samples: "
                f"n = {best['samples_needed']:,}."
            )
            yield f"Because {best['reason']}."
        yield ""
        yield from aligned(*self.table())

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        rows = [
            [
                option["estimator"], option["sampler"],
                "–" if option["samples_needed"] is None else count(option["samples_needed"]),
                "–" if option["expected_rmse"] is None else f"{option['expected_rmse']:.3g}",
                option["verdict"],
            ]
            for option in self.options
        ]  # fmt: skip
        return ("estimator", "sampler", "samples", "RMSE (nats)", "verdict"), rows


@dataclass(frozen=True, repr=False)
class KLEstimate(Result):
    """An estimate of KL(q||p) from samples drawn to a tolerance, in nats.

    Attributes
    ----------
    estimate, interval
        The estimate and the ends of its interval; the latter is None if it is withheld.
    withheld
        Why the interval is withheld; None if it is not.
    half_width, target
        The half-width of the interval, and the one that was requested.
    stopped
        ``tight`` if the tolerance is met, ``budget`` if the budget was spent before that, and
        ``withheld`` if there is no interval.
    samples, estimator, sampler, seed
        The number of samples drawn, the estimator, the sampler and the seed.
    confidence
        The confidence of the interval.
    exact
        The exact KL; None if it is not known.
    """

    estimate: float
    interval: tuple[float, float] | None
    half_width: float
    target: float
    confidence: float
    stopped: str
    withheld: str | None
    samples: int
    estimator: str
    sampler: str
    seed: int
    exact: float | None

    def lines(self) -> Iterator[str]:
        value = f"KL(q||p) = {self.estimate:.8g} nats"
        if self.interval is None:
            yield f"{value}, without an interval"
        else:
            low, high = self.interval
            yield f"{value}, {100 * self.confidence:g} % interval {low:.8g} to {high:.8g}"
        yield f"{self.estimator} over {self.samples:,} {self.sampler} samples"
        if self.withheld is not None:
            yield f"Interval withheld: {self.withheld}."
        if self.stopped == "budget":
            yield f"The budget is spent: half-width {self.half_width:.3g} of {self.target:.3g}."
        if self.exact is not None:
            yield f"Exact: {self.exact:.8g} nats."

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        interval = "withheld"
        if self.interval is not None:
            interval = f"{self.interval[0]:.8g} to {self.interval[1]:.8g}"
        return (
            ("estimator", "sampler", "samples", "estimate", "interval"),
            [[self.estimator, self.sampler, f"{self.samples:,}", f"{self.estimate:.8g}", interval]],
        )


class KL(float):
    """KL(q||p) in nats: a number that also says how well it is known.

    Attributes
    ----------
    relative_error
        A bound on its relative error. Where this exceeds 1e-8, the number is shown with the digits
        that are certain, as ``about 62.026 ± 0.004``.
    """

    relative_error: float

    def __new__(cls, number: Bounded) -> KL:
        self = super().__new__(cls, number.value)
        self.relative_error = number.relative
        return self

    def __repr__(self) -> str:
        if self.relative_error <= LARGEST_ERROR_OF_KL:
            return super().__repr__()
        return certain(Bounded(float(self), self.relative_error * float(self)))

    def __str__(self) -> str:
        return repr(self)


def kl(q: Any, p: Any) -> KL:
    """The exact KL(q||p), in nats.

    Parameters
    ----------
    q, p
        Mappings as in the cases of a study, such as ``{"family": "gamma", "shape": 2, "rate": 1}``,
        where the family is normal if it is not given; or distributions of scipy.stats (frozen),
        torch or TensorFlow Probability.

    Returns
    -------
    KL
        A float: KL(q||p) in nats, by a closed form, or by quadrature where there is none. For two
        distributions that mckl has no family for, by the formula that torch or TensorFlow
        Probability has registered, in float64, if samples agree with its number. Its
        `relative_error` is a bound on its relative error. For a registered formula it is 1e-8, for
        rounding alone: samples confirm about three digits, and the others are the library's word.

    Raises
    ------
    ValueError
        If q or p is not a distribution, KL is infinite, or no exact KL is known. The message is one
        line.

    Examples
    --------
    >>> round(kl({"mean": 0, "sd": 1}, {"mean": 1, "sd": 2}), 6)
    0.443147
    >>> import scipy.stats
    >>> round(kl(scipy.stats.gamma(2), scipy.stats.gamma(3, scale=2)), 6)
    1.349804
    """
    parts, why = _pairs(q, p)
    if parts:
        numbers = [(times * divergences(pair)["kl"], times * pair.law.kl_error)
                   for pair, times, _ in parts]  # fmt: skip
        return KL(Bounded(*(math.fsum(of) for of in zip(*numbers, strict=True))))
    found, doubt = registered(q, p)
    if found is None:
        why = why if library_of(q) == "scipy" else f"{why}; {doubt}"
        raise UserError(f"no exact KL is known ({why}): mckl.estimate draws samples")
    return KL(Bounded(found, _REGISTERED_ERROR * abs(found)))


def advise(
    q: Any,
    p: Any,
    *,
    tolerance: float = 0.01,
    absolute: float | None = None,
    confidence: float | None = None,
) -> Advice:
    """The number of samples that each estimator and sampler needs to know KL(q||p).

    Nothing is drawn: the numbers follow from exact theory (docs/theory.md, sections 3 to 6).

    Parameters
    ----------
    q, p
        As for `kl`.
    tolerance, absolute
        The largest RMSE allowed, relative to KL or in nats.
    confidence
        If given, the tolerance limits the error of an estimate, instead of the RMSE, with this
        probability.

    Returns
    -------
    Advice
        The samples needed for every estimator and sampler, and a recommendation.

    Raises
    ------
    ValueError
        As for `kl`, and for a tolerance or confidence outside of its range.

    Examples
    --------
    >>> found = advise({"mean": 0, "sd": 1}, {"mean": 1, "sd": 1}, tolerance=0.1)
    >>> found.recommendation["estimator"], found.recommendation["samples_needed"]
    ('k1', 2)
    """
    pair, why = _pair(q, p)
    if pair is None:
        raise UserError(f"no theory is known ({why}): mckl.estimate draws samples")
    request = request_of(tolerance, absolute, 0.5 if confidence is None else confidence)
    answer = advise_pair(
        pair, request.tolerance, request.relative, confidence, [*SAMPLERS], [*ESTIMATORS]
    )
    return Advice(
        kl=KL(Bounded(pair.law.kl, pair.law.kl_error)),
        recommendation=answer["recommendation"],
        request=answer["request"],
        regime=answer["regime"],
        options=tuple(answer["options"]),
        left_out=tuple(answer["left_out"]),
        pair=answer["pair"],
    )


def estimate(
    q: Any,
    p: Any,
    *,
    tolerance: float = 0.01,
    absolute: float | None = None,
    confidence: float = 0.95,
    estimator: str | None = None,
    sampler: str | None = None,
    budget: int = 10**7,
    seed: int = 20171127,
) -> KLEstimate:
    """Estimate KL(q||p) from samples, until the interval is as short as requested.

    For pairs with exact theory, theory chooses the estimator and the sampler, and decides whether
    there is an interval. For other objects a pilot chooses the estimator, samples are
    independent, and the diagnostics of `from_log_probs` decide. Independent samples are drawn in
    two stages (Stein, "A two-sample test for a linear hypothesis whose power is independent of the
    variance", 1945), so that stopping does not reduce the interval's coverage.

    Parameters
    ----------
    q
        As for `kl`; or a pair of callables ``(sample, log_prob)``, or an object with these two
        methods. ``sample(n, rng)`` returns n samples along the first axis, drawn with the NumPy
        generator ``rng``. ``log_prob(samples)`` returns log densities in nats, shape (n,).
    p
        As q, though only ``log_prob`` is used; or this callable alone.
    tolerance, absolute
        The half-width of the interval, relative to the estimate or in nats.
    confidence
        The confidence of the interval, between 0 and 1.
    estimator, sampler
        The names of an estimator and a sampler to use instead of those chosen.
    budget
        The most samples to draw, at least 16.
    seed
        The seed of the random numbers; equal seeds give equal answers.

    Returns
    -------
    KLEstimate
        The estimate in nats, with its interval or the reason why this is withheld.

    Raises
    ------
    ValueError
        If q or p is not a distribution, KL is infinite, a callable returns a wrong shape, or an
        argument is outside of its range. The message is one line.
    FloatingPointError
        If the log density ratio of a pair with exact theory overflows at a sample.

    Examples
    --------
    >>> import numpy as np
    >>> def sample(n, rng):
    ...     return rng.normal(size=n)
    >>> found = estimate(
    ...     (sample, lambda z: -0.5 * z**2), lambda z: -0.5 * (z - 1) ** 2, tolerance=0.05
    ... )
    >>> found.stopped, abs(found.estimate - 0.5) < 0.05
    ('tight', True)
    """
    budget, seed = whole("budget", budget, 16), whole("seed", seed, 0, MOST_SEED)
    request = request_of(tolerance, absolute, confidence)._replace(most=budget)
    pair, why = _pair(q, p)
    if pair is None:
        if isinstance(q, Mapping) or isinstance(p, Mapping):
            side, other = ("q", "p") if isinstance(q, Mapping) else ("p", "q")
            raise UserError(
                f"{side} is a mapping and {other} an object that mckl has no family for: expected "
                "objects on both sides"
            )
        if sampler not in (None, "iid"):
            raise UserError(f"sampler: {quoted(sampler)}, expected iid ({why})")
        check_shapes(q, p)
        drawn = sampled.estimate(q, p, request, estimator, seed)
        return _of_samples(drawn, request, seed)
    for name, value, known in (
        ("estimator", estimator, ESTIMATORS),
        ("sampler", sampler, [s for s in SAMPLERS if SAMPLERS[s].offered(pair)]),
    ):
        if value is not None:
            one_of(name, value, known)
    return _of_pair(run(pair, request, sampler, estimator, seed), request, seed)


class Run(NamedTuple):
    """An estimate of a pair, how it was drawn, and what to use instead if it has no interval."""

    done: Estimate
    forecasts: Forecasts
    used: Choice
    instead: Choice | None


def run(
    pair: Pair,
    request: Request,
    sampler: str | None,
    estimator: str | None,
    seed: int,
    check: Callable[[str], object] = lambda sampler: None,
    progress: Callable[[int], Any] | None = None,
) -> Run:
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
    check
        A function that is called with the sampler's name before anything is drawn, and raises if
        this sampler cannot be used.
    progress
        A function of the expected number of samples that returns a context manager. The latter's
        value is a function that is called with the number of samples that each step has drawn.

    Raises
    ------
    UserError
        If KL exceeds the largest float64, or l is not finite at a sample.
    """
    divergences(pair)
    forecasts = Forecasts(pair)
    best = choose(forecasts, request, [*SAMPLERS], [*ESTIMATORS])
    used = best
    if sampler or estimator:
        used = choose(
            forecasts, request, [sampler] if sampler else [*SAMPLERS],
            [estimator] if estimator else [*ESTIMATORS],
        )  # fmt: skip
    check(used.sampler)
    chosen = SAMPLERS[used.sampler], ESTIMATORS[used.estimator]
    planned = plan(forecasts, *chosen, request)
    try:
        if progress is None:
            done = estimate_pair(forecasts, *chosen, request, seed=seed, planned=planned)
        else:
            with progress(planned.expected) as advance:
                done = estimate_pair(
                    forecasts, *chosen, request, seed=seed, planned=planned, progress=advance
                )
    except NotFiniteError as error:
        raise UserError(str(error)) from None
    instead = None
    if done.withheld and best != used:
        other = plan(forecasts, SAMPLERS[best.sampler], ESTIMATORS[best.estimator], request)
        instead = best if other.withheld is None else None
    return Run(done, forecasts, used, instead)


def _of_pair(found: Run, request: Request, seed: int) -> KLEstimate:
    done = found.done
    return _result(
        done.estimate, done.half_width, done.target, request, done.stopped, done.withheld,
        done.samples, found.used.estimator, found.used.sampler, seed, found.forecasts.law.kl,
    )  # fmt: skip


def _of_samples(found: sampled.Drawn, request: Request, seed: int) -> KLEstimate:
    used = found.used
    return _result(
        used.estimate, found.half_width, found.target, request, found.stopped, used.withheld,
        found.samples, used.estimator, "iid", seed, None,
    )  # fmt: skip


def _result(
    value: float, half: float, target: float, request: Request, stopped: str,
    withheld: str | None, samples: int, estimator: str, sampler: str, seed: int,
    exact: float | None,
) -> KLEstimate:  # fmt: skip
    interval = None if math.isnan(half) else (value - half, value + half)
    return KLEstimate(
        value, interval, half, target, request.confidence, stopped, withheld, samples, estimator,
        sampler, seed, exact,
    )  # fmt: skip


def _pair(q: Any, p: Any) -> tuple[Pair | None, str]:
    """The pair of q and p if mckl has their families; else None, and why not."""
    found, why = _pairs(q, p)
    if len(found) > 1:
        return None, f"q and p are batches of {len(found)} laws"
    if found and found[0].like:
        return None, f"only KL is known of {described(q)}"
    return (found[0].pair, "") if found else (None, why)


class Part(NamedTuple):
    """A pair whose KL, `times` over, is a term of KL(q||p); `like` is that of `objects.Held`."""

    pair: Pair
    times: float = 1.0
    like: tuple[Any, ...] = ()


def _pairs(q: Any, p: Any) -> tuple[list[Part], str]:
    """The independent pairs of q and p if mckl has their families; else none, and why not."""
    sides = []
    for name, value in (("q", q), ("p", p)):
        check_parameters(name, value)
        side = value if isinstance(value, Mapping) else held(name, value)
        if side is None:
            return [], f"no family for {name}, {described(value)}"
        sides.append(side)
    try:
        return [
            Part(case_pair({"q": one, "p": other}), times, like)
            for one, other, times, like in members(*sides)
        ], ""
    except OtherFamilyError as error:
        # Objects of families without a common law can still be sampled, but mappings cannot.
        if isinstance(q, Mapping) or isinstance(p, Mapping):
            raise UserError(str(error)) from None
        return [], str(error)
    except ValueError as error:
        raise UserError(str(error)) from None
