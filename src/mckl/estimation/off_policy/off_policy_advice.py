"""Recommends an estimator and a weight for samples of a law s that is not q, from exact theory."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mckl.draw.points import SAMPLERS
from mckl.errors import UserError, one_line
from mckl.estimation.advice import Precision
from mckl.estimation.budget import BIASED, LEADING, Tolerance, need_of_units
from mckl.estimation.divergences import KL, divergences
from mckl.estimation.intervals import Request
from mckl.estimation.off_policy import WEIGHTS, SampleWeight
from mckl.estimation.off_policy.off_policy_theory import (
    SampledLaw,
    averaged,
    off_policy_theory,
    takes_weight,
)
from mckl.estimation.results import DASH, Result, Strong, Table, frame
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.families.base import Pair
from mckl.families.policy.sampled_chain import SampledChain
from mckl.text import listed, quoted, short_count, two_digits

if TYPE_CHECKING:
    import pandas as pd

_SAME_RATIO = 1.2  # numbers of samples within this factor count as equal
_NOTHING = 1e-150  # the error allowed where KL is 0: only what is exact meets it
_WIDTH = 80  # characters of a line of the table, and of the notes
_HEADER = ("estimator", "weight", "bias", "samples", "verdict")
_BIAS = "The bias is what no number of samples removes, relative to KL."
_WEIGHTS_OF_TOKENS = "w is q/s of a token, and W that of the sequence."
_WEIGHTS_OF_SAMPLES = "W is q/s of a sample, which is a sequence of one token."


class SamplerLaw(NamedTuple):
    """How far s is from q.

    effective_share  1 / E W^2: n samples with the weights W of sequences are worth about this share
                     of n
    outside          whether s draws what q never does
    """

    effective_share: float
    outside: bool


class WeightedOption(NamedTuple):
    """An estimator with a weight, and what it needs; NaN and None stand for what is not known.

    bias, relative_bias  the bias that no number of samples removes, in nats and relative to KL
    variance             n times the variance of n samples, in nats squared
    samples_needed       the fewest samples that reach the tolerance; None if no number does
    expected_rmse        the RMSE with these samples, in nats
    theory               ``exact``, ``asymptotic`` or ``none``
    reason               why it is not known
    relative_error       the bound on the relative errors of the exact numbers
    verdict              ``ok``, or why the tolerance is not reached
    """

    estimator: str
    weight: str
    bias: float
    relative_bias: float
    variance: float
    samples_needed: int | None
    expected_rmse: float
    theory: str
    reason: str | None
    relative_error: float
    verdict: str

    @property
    def samples(self) -> float:
        """The samples needed, inf where no number reaches the tolerance."""
        return math.inf if self.samples_needed is None else self.samples_needed

    @property
    def rank(self) -> tuple[float, float]:
        """What the best option has least of."""
        return self.samples, math.inf if math.isnan(self.bias) else abs(self.bias)

    def __str__(self) -> str:
        weight = "no weight" if WEIGHTS[self.weight].level is None else f"the weight {self.weight}"
        return f"{self.estimator} with {weight}"

    def cells(self) -> list[str]:
        """The texts of a row of the table."""
        needed = DASH
        if self.samples_needed is not None:
            needed = short_count(self.samples_needed, digits_below=1e9)
            needed += "*" if self.theory == "asymptotic" else ""
        return [self.estimator, self.weight, self.bias_text, needed, self.verdict]

    @property
    def bias_text(self) -> str:
        """The bias as text, relative to KL where this is not 0."""
        if math.isnan(self.bias):
            return DASH
        if math.isnan(self.relative_bias):
            return f"{two_digits(self.bias)} nats" if self.bias else "0"
        return signed_percent(self.relative_bias)


class WeightedRecommendation(NamedTuple):
    """The estimator and the weight to use, the samples they need, and why."""

    estimator: str
    weight: str
    samples_needed: int
    reason: str


@dataclass(frozen=True, repr=False)
class OffPolicyAdvice(Result):
    """The number of samples of s that each estimator needs with each weight, from exact theory.

    Attributes
    ----------
    pair
        KL(q||p), a float in nats with a bound on its error, which also has KL(p||q), the family and
        the dimension.
    sampler
        How far s is from q.
    request
        The error that is allowed.
    options
        What each estimator needs with each weight.
    recommendation
        The estimator and the weight to use; None if none reaches the tolerance.
    """

    pair: KL
    sampler: SamplerLaw
    request: Precision
    options: tuple[WeightedOption, ...]
    recommendation: WeightedRecommendation | None

    @property
    def kl(self) -> KL:
        """The exact KL(q||p), in nats."""
        return self.pair

    def to_frame(self) -> pd.DataFrame:
        """The options as a pandas data frame."""
        return frame(self.options)

    def lines(self, every: bool = False) -> Iterator[str]:
        """The answer as lines of text, with the best options or with every one."""
        best = self.recommendation
        if best is None:
            yield "No estimator reaches the tolerance with samples of s: see the verdicts."
        else:
            chosen = next(option for option in self.options if option[:2] == best[:2])
            yield Strong(f"Use {chosen}: n = {best.samples_needed:,}.")
            yield from textwrap.wrap(f"Because {best.reason}.", _WIDTH, break_on_hyphens=False)
            if WEIGHTS[best.weight].level is not None:
                yield f"The weight {best.weight} is {WEIGHTS[best.weight].label}."
        yield ""
        yield f"KL(q||p) = {self.pair.in_nats(10)}"
        yield f"{one_line(self.pair.family or '')}, dimension {self.pair.dimension or 1:,}"
        share = self.sampler.effective_share
        if math.isfinite(share):
            yield f"  with the weights W, n samples of s are worth {two_digits(share)} n of q"
        if self.sampler.outside:
            yield "  s draws what q never does: without a weight, log q is -inf there"
        yield ""
        yield str(self.request)
        yield ""
        options = self.options if every else self._best()
        yield from self._table(options).lines(("weight", "verdict"), _WIDTH)
        yield ""
        leading = any(o.theory == "asymptotic" and o.samples_needed is not None for o in options)
        rest = ""
        if len(options) < len(self.options):
            rest = f" --all shows all {len(self.options)} options."
        star = "* only by the leading order in 1/n. " if leading else ""
        weights = _WEIGHTS_OF_SAMPLES if self.pair.dimension == 1 else _WEIGHTS_OF_TOKENS
        yield from textwrap.wrap(f"{star}{_BIAS} {weights}{rest}", _WIDTH)

    def table(self) -> Table:
        return self._table(self.options)

    def _best(self) -> list[WeightedOption]:
        """All options without a weight, and the best one with each weight."""
        by_weight = sorted(self.options, key=lambda option: [*WEIGHTS].index(option.weight))
        shown = []
        for name, group in groupby(by_weight, key=lambda option: option.weight):
            options = [*group]
            if WEIGHTS[name].level is None:
                shown += options
            else:
                shown.append(min(options, key=lambda option: option.rank))
        return shown

    def _table(self, options: Sequence[WeightedOption]) -> Table:
        rows, chosen = [], None
        for option in options:
            rows.append(option.cells())
            if self.recommendation and option[:2] == self.recommendation[:2]:
                chosen = rows[-1]
        return Table(_HEADER, rows, chosen)


def off_policy_advice(
    pair: Pair, chain: SampledChain, request: Request, confidence: float | None = None,
    estimators: Sequence[str] = (), prefix: str = "",
) -> OffPolicyAdvice:  # fmt: skip
    """What `mckl.advise` answers for samples of s.

    `prefix` stands before the name of an argument in the message of a `UserError`.
    """
    law, kl = SampledLaw(chain, pair.law), divergences(pair)
    offers = [
        (estimator, weight)
        for estimator in ESTIMATORS.values()
        for weight in WEIGHTS.values()
        if takes_weight(chain, estimator, weight)
    ]
    able = list(dict.fromkeys(estimator.name for estimator, _ in offers))
    for name in estimators:
        if name not in able:
            raise UserError(
                f"{prefix}estimator: samples of another law do not have {quoted(name)}, expected "
                f"{listed(able, 'or')}"
            )
    limit = request.target(kl)
    options = tuple(
        _option(law, estimator, weight, Tolerance(limit or _NOTHING, confidence))
        for estimator, weight in offers
        if not estimators or estimator.name in estimators
    )
    return OffPolicyAdvice(
        pair=kl,
        sampler=SamplerLaw(law.effective_share, chain.outside),
        request=Precision(request.tolerance, request.relative, limit, confidence),
        options=options,
        recommendation=_recommended(options),
    )


def _option(
    law: SampledLaw, estimator: Estimator, weight: SampleWeight, tolerance: Tolerance
) -> WeightedOption:
    unit, kl = off_policy_theory(law, estimator, weight), law.kl.value
    need = need_of_units(unit, SAMPLERS["iid"], tolerance)
    verdict = need.verdict
    if need.samples is None and abs(unit.bias) >= tolerance.limit:
        verdict = BIASED  # also by the leading order in 1/n, whose limit is exact
    return WeightedOption(
        estimator=estimator.name,
        weight=weight.name,
        bias=unit.bias,
        relative_bias=unit.bias / kl if kl > 0.0 else math.nan,
        variance=unit.variance,
        samples_needed=need.samples,
        expected_rmse=need.rmse,
        theory=unit.kind,
        reason=unit.reason,
        relative_error=unit.relative_error,
        verdict=verdict,
    )


def _recommended(options: Sequence[WeightedOption]) -> WeightedRecommendation | None:
    """The simplest of the options that need about the fewest samples.

    k2 is biased on samples of q too. So it is left out, for there its bias is within the tolerance
    only because the one that comes from s happens to have the other sign.
    """
    reached = [
        option for option in options
        if option.samples_needed is not None and ESTIMATORS[option.estimator].consistent
    ]  # fmt: skip
    if not reached:
        return None
    best = _simplest(reached)
    parts = []
    unbiased = [option for option in reached if option.bias == 0.0]
    if best.bias:
        parts.append(f"its bias of {best.bias_text} leaves room within the tolerance")
        if unbiased:
            other = _simplest(unbiased)
            parts.append(f"without a bias, {other} needs {_samples(other)}")
        else:
            parts.append("no option without a bias reaches the tolerance")
    else:
        parts.append("it has no bias that remains")
    if WEIGHTS[best.weight].level is not None and (plain := _without_weight(options, best)):
        name = "it" if plain.estimator == best.estimator else plain.estimator
        comma = "" if name == "it" else ","
        needs = plain.samples_needed is not None
        what = f"needs {_samples(plain)}" if needs else f"has a bias of {plain.bias_text}"
        parts.append(f"without a weight{comma} {name} {what}")
    drawn = [option for option in reached if not _needs_vocabulary(option)]
    if _needs_vocabulary(best):
        parts.append(f"{best.estimator} needs the probability of every token")
        if drawn:
            other = _simplest(drawn)
            parts[-1] += f": from drawn tokens alone, {other} needs {_samples(other)}"
    if best.verdict == LEADING:
        parts.append("only a leading order says how many samples it takes: check the number")
    assert best.samples_needed is not None
    return WeightedRecommendation(
        best.estimator, best.weight, best.samples_needed, "; ".join(parts)
    )


def _without_weight(
    options: Sequence[WeightedOption], best: WeightedOption
) -> WeightedOption | None:
    """The best option without a weight that needs no more than drawn tokens, or what best needs."""
    plain = [
        option for option in options
        if WEIGHTS[option.weight].level is None
        and ESTIMATORS[option.estimator].consistent
        and not (option.samples_needed is None and math.isnan(option.bias))
        and (_needs_vocabulary(best) or not _needs_vocabulary(option))
    ]  # fmt: skip
    return min(plain, key=lambda option: option.rank, default=None)


def _simplest(options: Sequence[WeightedOption]) -> WeightedOption:
    """Of the options with about the fewest samples, one with an exact theory, and no weight."""
    fewest = min(option.samples for option in options)
    near = [option for option in options if option.samples <= _SAME_RATIO * fewest]
    order = [*WEIGHTS]
    return min(near, key=lambda o: (o.theory != "exact", order.index(o.weight), o.samples))


def _needs_vocabulary(option: WeightedOption) -> bool:
    function = averaged(ESTIMATORS[option.estimator])
    return function is not None and function.name == "rb"


def _samples(option: WeightedOption) -> str:
    return f"{option.samples_needed:,} samples"


def signed_percent(share: float) -> str:
    """A relative bias as a percentage with its sign.

    >>> signed_percent(-0.00123), signed_percent(1.2345)
    ('-0.12 %', '+123 %')
    """
    share *= 100.0
    return "0" if share == 0.0 else f"{share:+.2g} %" if abs(share) < 99.5 else f"{share:+,.0f} %"
