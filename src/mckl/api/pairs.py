"""`kl`, `advise` and `estimate` for two distributions, given as objects or as mappings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, overload

from mckl.api.arguments import BUDGET, MOST_SEED, real, request_of, several, whole_number
from mckl.api.conversion import check_parameters
from mckl.api.draws import check_shapes
from mckl.api.members import members
from mckl.api.objects import described, held, library_of
from mckl.api.registered_formulas import registered
from mckl.api.sampled import estimate_of_objects
from mckl.errors import UserError
from mckl.estimation.advice import Advice
from mckl.estimation.choice import advice_of
from mckl.estimation.divergences import KL, divergences
from mckl.estimation.gradients.gradient_advice import GradientAdvice, gradient_advice
from mckl.estimation.kl_estimate import KLEstimate
from mckl.estimation.off_policy.off_policy_advice import OffPolicyAdvice, off_policy_advice
from mckl.estimation.offered import check_offered
from mckl.estimation.recommended import LEAST_BUDGET, estimate_of_pair
from mckl.exact.moments import Bounded
from mckl.families.base import OtherFamilyError, Pair
from mckl.families.policy.sampled_chain import SampledChain
from mckl.families.registry import case_pair, sampled_pair
from mckl.limits import SEED
from mckl.text import quoted

_REGISTERED_ERROR = 1e-8  # a library's KL is given only with at least 8 digits


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
        `reverse` is KL(p||q), where this is known, too. Its `relative_error` is a bound on its
        relative error; for a registered formula this is 1e-8, for rounding alone: samples confirm
        about three digits, and the others are the library's word.

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
    terms, why = _terms(q, p)
    if terms:
        return _sum(terms)
    value, doubt = registered(q, p)
    if value is None:
        why = why if library_of(q) == "scipy" else f"{why}; {doubt}"
        raise UserError(f"no exact KL is known ({why}): mckl.estimate draws samples")
    return KL(value, _REGISTERED_ERROR * abs(value))


@overload
def advise(
    q: Any, p: Any, *, tolerance: float | None = None, absolute: float | None = None,
    confidence: float | None = None, samplers: Sequence[str] = (), estimators: Sequence[str] = (),
    sampler_law: None = None,
) -> Advice: ...  # fmt: skip
@overload
def advise(
    q: Any, p: Any, *, tolerance: float | None = None, absolute: float | None = None,
    confidence: float | None = None, samplers: Sequence[str] = (), estimators: Sequence[str] = (),
    sampler_law: Any,
) -> OffPolicyAdvice: ...  # fmt: skip
def advise(
    q: Any,
    p: Any,
    *,
    tolerance: float | None = None,
    absolute: float | None = None,
    confidence: float | None = None,
    samplers: Sequence[str] = (),
    estimators: Sequence[str] = (),
    sampler_law: Any = None,
) -> Advice | OffPolicyAdvice:
    """The number of samples that each estimator and sampler needs to know KL(q||p).

    Nothing is drawn: the numbers follow from exact theory (theory.md, sections 3 to 6).

    Parameters
    ----------
    q, p
        As for `kl`.
    tolerance, absolute
        The largest RMSE allowed, relative to KL (1 % by default) or in nats.
    confidence
        If given, the tolerance limits the error of an estimate, instead of the RMSE, with this
        probability; estimates are treated as normal.
    samplers, estimators
        The names of those to choose from; all by default.
    sampler_law
        The law s that draws the samples, if it is not q: an inference engine or an older policy. A
        categorical or a policy as q is, or ``{"lag": 0.1}`` for q moved by a lag (theory.md,
        section 12).

    Returns
    -------
    Advice
        The samples needed for every estimator and sampler, and a recommendation.
    OffPolicyAdvice
        With `sampler_law`, the samples of s needed for every estimator and weight.

    Raises
    ------
    ValueError
        As for `kl`, for a tolerance or confidence outside of its range, and for what is no list of
        names that the pair has.

    Examples
    --------
    >>> found = advise({"mean": 0, "sd": 1}, {"mean": 1, "sd": 1}, tolerance=0.1)
    >>> found.recommendation.estimator, found.recommendation.samples_needed
    ('k1', 2)
    >>> laws = {"q": [2, 0, 1], "p": [0, 0, 0], "s": [1, 0, 1]}
    >>> q, p, s = ({"family": "categorical", "logits": x} for x in laws.values())
    >>> found = advise(q, p, sampler_law=s, tolerance=0.1)
    >>> found.recommendation[:3], found.options[0].verdict
    (('cv', 'sequence', 78), 'biased: never reaches it')
    """
    pair, why = _pair(q, p)
    if pair is None:
        raise UserError(f"no theory is known ({why}): mckl.estimate draws samples")
    request = request_of(tolerance, absolute, 0.95 if confidence is None else confidence)
    if sampler_law is not None:
        if samplers:
            raise UserError("samplers: not with sampler_law, whose samples are independent")
        estimators = several("estimators", estimators, "k1")
        chain = _sampled(pair, sampler_law)
        return off_policy_advice(pair, chain, request, confidence, estimators)
    request = request._replace(most=BUDGET)
    samplers = several("samplers", samplers, "iid")
    estimators = several("estimators", estimators, "k1")
    check_offered(pair, samplers, estimators)
    return advice_of(pair, request, confidence, samplers, estimators)


def advise_gradient(q: Any, p: Any, *, tolerance: float = 0.1) -> GradientAdvice:
    """Bias, variance and samples needed of every estimator of KL's gradient in the parameters of q.

    Nothing is drawn: the numbers follow from exact theory (theory.md, section 11).

    Parameters
    ----------
    q, p
        As for `kl`; normal laws with diagonal covariance, categoricals or policies.
    tolerance
        The largest relative RMSE of the gradient: the root mean squared Euclidean norm of its
        error, divided by the gradient's norm.

    Returns
    -------
    GradientAdvice
        What each gradient estimator gives, what each loss descends, and a recommendation.

    Raises
    ------
    ValueError
        As for `kl`, for a tolerance that is not positive, if the family has no gradients here, or
        if q has too many different parameters.

    Examples
    --------
    >>> advise_gradient({"mean": 0, "sd": 1}, {"mean": 1, "sd": 2}).recommendation.method
    'stl'
    """
    pair, why = _pair(q, p)
    if pair is None:
        raise UserError(f"no theory is known ({why})")
    return gradient_advice(pair, real("tolerance", tolerance, "a number greater than 0", 0.0))


def estimate(
    q: Any,
    p: Any,
    *,
    tolerance: float | None = None,
    absolute: float | None = None,
    confidence: float = 0.95,
    estimator: str | None = None,
    sampler: str | None = None,
    budget: int = BUDGET,
    seed: int = SEED,
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
        The half-width of the interval, relative to the estimate (1 % by default) or in nats.
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
    budget, seed = (
        whole_number("budget", budget, LEAST_BUDGET),
        whole_number("seed", seed, 0, MOST_SEED),
    )
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
        return estimate_of_objects(q, p, request, estimator, seed)
    return estimate_of_pair(pair, request, sampler, estimator, seed)


def _sampled(pair: Pair, s: Any) -> SampledChain:
    """The pair with samples of s; raises `UserError` if s does not fit."""
    check_parameters("sampler_law", s)
    side = s if isinstance(s, Mapping) else held("sampler_law", s)
    if side is None:
        raise UserError(f"sampler_law: no family for {described(s)}")
    try:
        ((law, *_),) = members(side, side)
        return sampled_pair(pair, law)
    except ValueError as error:
        raise UserError(f"sampler_law: {error}") from None


def _pair(q: Any, p: Any) -> tuple[Pair | None, str]:
    """The pair of q and p if mckl has their families; else None, and why not."""
    terms, why = _terms(q, p)
    if len(terms) > 1:
        return None, f"q and p are batches of {len(terms)} laws"
    if terms and terms[0].like:
        return None, f"only KL is known of {described(q)}"
    return (terms[0].pair, "") if terms else (None, why)


class Term(NamedTuple):
    """A pair whose KL, `times` over, is a term of KL(q||p); `like` is that of `objects.Held`."""

    pair: Pair
    times: float = 1.0
    like: tuple[Any, ...] = ()


def _sum(terms: Sequence[Term]) -> KL:
    """The sum of the terms; KL(p||q) is known if each is the KL of a pair of q and p itself."""
    kls = [divergences(term.pair) for term in terms]
    if terms[0].like:
        pairs = [*zip(kls, (term.times for term in terms), strict=True)]
        return KL(math.fsum(t * kl for kl, t in pairs), math.fsum(t * kl.error for kl, t in pairs))
    reverse, error = (math.fsum(column) for column in zip(*(kl.reverse for kl in kls), strict=True))
    return KL(
        math.fsum(kls),
        math.fsum(kl.error for kl in kls),
        Bounded(reverse, error),
        kls[0].family,
        sum(term.pair.dimension for term in terms),
    )


def _terms(q: Any, p: Any) -> tuple[list[Term], str]:
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
            Term(case_pair({"q": law, "p": other}), times, like)
            for law, other, times, like in members(*sides)
        ], ""
    except OtherFamilyError as error:
        # Objects of families without a common law can still be sampled, but mappings cannot.
        if isinstance(q, Mapping) or isinstance(p, Mapping):
            raise UserError(str(error)) from None
        return [], str(error)
    except ValueError as error:
        raise UserError(str(error)) from None
