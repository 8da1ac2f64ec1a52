"""The answer of `mckl advise`: the samples that each estimator and sampler needs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mckl.errors import one_line
from mckl.estimation.budget import NO_KL, UNKNOWN
from mckl.estimation.divergences import KL
from mckl.estimation.results import DASH, Result, Strong, Table, frame
from mckl.estimation.shape import in_nats
from mckl.text import counted, digits, duration, multiple, short_count

if TYPE_CHECKING:
    import pandas as pd

_LEADING = "* only by the leading order in 1/n. "
_COLUMNS = "P(<0): probability that the estimate is negative. CPU time: of one core."
_HEADER = ("estimator", "sampler", "samples", "P(<0)", "CPU time", "verdict")
_WIDTH = 80  # characters of a line of the table, and of the notes


class Precision(NamedTuple):
    """The error that is allowed.

    tolerance, relative  the largest error, in nats or as a multiple of KL
    limit                the same in nats; NaN where KL is not known
    confidence           None if the RMSE is limited; else the probability with which the error of
                         an estimate is within the limit
    """

    tolerance: float
    relative: bool
    limit: float
    confidence: float | None

    def __str__(self) -> str:
        allowed = f"{digits(self.tolerance, 6)} x KL = " if self.relative else ""
        limit = "not known" if math.isnan(self.limit) else f"{digits(self.limit, 4)} nats"
        most = f"of at most {allowed}{limit}"
        if self.confidence is None:
            return f"For an RMSE {most}:"
        return (
            f"For an error {most} with probability {self.confidence:g} (estimates treated as "
            "normal):"
        )


class Regime(NamedTuple):
    """How far p is from q, in nats; NaN stands for what is not known.

    log_ratio_variance, log_ratio_variance_relative_error, log_ratio_skewness,
    log_ratio_excess_kurtosis
                        the shape of l, and a bound on the relative error of its variance
    k3_variance_finite  whether the variance of k3 is finite
    tail_index          E (p/q)^s is finite for s below it
    missed_mass         the probability under p of what q never draws
    antithetic_variance_ratio
                        the variance of k1 with antithetic pairs divided by that with independent
                        samples, at equal numbers of samples; a pair is two samples
    radial_numbers      the random numbers that a radial sampler draws for a sample; None if the
                        pair has none
    """

    log_ratio_variance: float
    log_ratio_variance_relative_error: float
    log_ratio_skewness: float
    log_ratio_excess_kurtosis: float
    k3_variance_finite: bool
    tail_index: float
    missed_mass: float
    antithetic_variance_ratio: float
    radial_numbers: int | None

    def lines(self, dimension: int) -> Iterator[str]:
        """The regime in words, for a pair with this number of coordinates or tokens."""
        known = not math.isnan(self.log_ratio_variance)
        variance = f"{self.log_ratio_variance:.6g}" if known else "not known"
        text = f"log density ratio: variance {variance}"
        skewed = math.isfinite(self.log_ratio_skewness)
        yield f"{text}, skewness {self.log_ratio_skewness:.3g}" if skewed else text
        yield self._tails()
        if self.missed_mass:
            mean = f"{1.0 - self.missed_mass:.6g}"
            yield (
                f"q is 0 where p has a probability of {self.missed_mass:.6g}: E p/q is "
                f"{'less than' if mean == '1' else f'{mean} and not'} 1, which biases k3 and cv"
            )
        ratio = self.antithetic_variance_ratio
        if abs(ratio - 1) < 1e-9:
            yield "antithetic pairs change nothing for k1"
        elif ratio == 0:
            yield "antithetic pairs cancel the whole error of k1: l is odd about its mean"
        elif math.isfinite(ratio):
            effect = "hurt" if ratio > 1 else "help"
            times = f"{multiple(ratio)} times the variance"
            yield f"antithetic pairs {effect} k1: {times} at equal samples"
        if self.radial_numbers is None:
            return
        numbers = f"{counted(self.radial_numbers, 'number')} a sample"
        if self.radial_numbers < dimension:
            yield f"radial samplers draw {numbers} instead of {dimension:,}"
        else:
            coordinates = counted(dimension, "coordinate")
            yield f"radial samplers gain nothing: they draw {numbers} for {coordinates}"

    def _tails(self) -> str:
        if math.isinf(self.log_ratio_variance):
            return "no estimator's variance is finite: the tails of q are too heavy for p"
        if not self.k3_variance_finite:
            return (
                "k3's variance is infinite: the tails of p are too heavy for q (tail index of p/q "
                f"{self.tail_index:.3g} <= 2)"
            )
        if math.isinf(self.tail_index):
            return "k3's variance is finite: so is the mean of every power of p/q"
        return f"k3's variance is finite: the tail index of p/q is {self.tail_index:.3g}, above 2"


class Option(NamedTuple):
    """An estimator and a sampler, and what they need; NaN and None stand for what is not known.

    samples_needed      the fewest samples that reach the tolerance; None if no number does
    expected_rmse, expected_relative_rmse, expected_bias
                        the RMSE with these samples, in nats and relative to KL, and the bias
    probability_negative, probability_negative_method
                        the probability of a negative estimate, and how it was computed
    cpu_seconds         the time that the samples take to draw on one core
    has_std_error       whether the samples tell the standard error of the estimate
    interval_samples    about the samples that `mckl estimate` draws for an interval of the
                        tolerance; None if it would give none
    theory              ``exact``, ``asymptotic`` or ``none``
    relative_error      the bound on the relative errors of the exact numbers
    verdict             ``ok``, or why the tolerance is not reached
    """

    estimator: str
    sampler: str
    samples_needed: int | None
    expected_rmse: float
    expected_relative_rmse: float
    probability_negative: float | None
    probability_negative_method: str
    cpu_seconds: float
    expected_bias: float
    has_std_error: bool
    interval_samples: int | None
    theory: str
    relative_error: float
    verdict: str

    @property
    def samples(self) -> float:
        """The samples needed, inf where no number reaches the tolerance."""
        return math.inf if self.samples_needed is None else self.samples_needed

    def __str__(self) -> str:
        return f"{self.estimator} over {self.samples_needed:,} {self.sampler} samples"

    def cells(self) -> list[str]:
        """The texts of a row of the table."""
        row = [self.estimator, self.sampler]
        if self.samples_needed is None:
            return [*row, *[DASH] * 3, self.verdict]
        negative = self.probability_negative
        needed = short_count(self.samples_needed, digits_below=1e9)
        return [
            *row,
            f"{needed}*" if self.theory == "asymptotic" else needed,
            DASH if negative is None else f"{negative:.2g}",
            duration(self.cpu_seconds, finest="ms"),
            self.verdict,
        ]


class Recommendation(NamedTuple):
    """The estimator and the sampler to use, and why.

    samples_needed, cpu_seconds
                      the fewest samples that reach the tolerance, and the time to draw them
    interval_samples  about the samples that `mckl estimate` draws for an interval of the tolerance,
                      with this confidence; None if it would give none
    if_costly         what to use if a sample costs more than to draw it here, if this differs
    slower            what needs fewer samples and yet more time, and why; None if nothing does
    """

    estimator: str
    sampler: str
    samples_needed: int
    cpu_seconds: float
    reason: str
    interval_samples: int | None
    confidence: float
    if_costly: str | None
    slower: str | None


@dataclass(frozen=True, repr=False)
class Advice(Result):
    """The number of samples that each estimator and sampler needs, from exact theory.

    Attributes
    ----------
    pair
        KL(q||p), a float in nats with a bound on its error, which also has KL(p||q), the family and
        the dimension.
    request
        The error that is allowed.
    regime
        How far p is from q.
    left_out
        The samplers that the family lacks.
    options
        What each estimator needs with each sampler.
    recommendation
        The estimator and the sampler to use; None if no estimator reaches the tolerance.
    """

    pair: KL
    request: Precision
    regime: Regime
    left_out: tuple[str, ...]
    options: tuple[Option, ...]
    recommendation: Recommendation | None

    @property
    def kl(self) -> KL:
        """The exact KL(q||p), in nats."""
        return self.pair

    def to_frame(self) -> pd.DataFrame:
        """The options as a pandas data frame."""
        return frame(self.options)

    def lines(self, every: bool = False) -> Iterator[str]:
        """The answer as lines of text, with the sensible options or with every one."""
        best = self.recommendation
        if best is None:
            yield f"No estimator {self._not_reached()}."
        else:
            yield Strong(
                f"Use {best.estimator} over {best.sampler} samples: n = {best.samples_needed:,}."
            )
            yield f"Because {best.reason}."
        yield ""
        reverse = in_nats(self.pair.reverse, 10)
        yield f"KL(q||p) = {self.pair.in_nats(10)}, KL(p||q) = {reverse}"
        dimension = self.pair.dimension or 1
        yield f"{one_line(self.pair.family or '')}, dimension {dimension:,}"
        yield from (f"  {line}" for line in self.regime.lines(dimension))
        if self.left_out:
            yield f"  left out, since the family lacks them: {', '.join(self.left_out)}"
        yield ""
        yield str(self.request)
        yield ""
        options = self.options if every else self._sensible()
        yield from self._table(options).lines(("sampler", "verdict"), _WIDTH)
        yield ""
        for note in self._notes(options):
            yield from textwrap.wrap(note, _WIDTH)

    def _not_reached(self) -> str:
        """What is true of every estimator where none is recommended."""
        if all(option.verdict in (UNKNOWN, NO_KL) for option in self.options):
            return "is known to reach the tolerance: measure it"
        return "reaches the tolerance by theory: see the verdicts"

    def _sensible(self) -> list[Option]:
        """For each estimator the option over iid samples, the fastest, and the recommended one.

        Options that repeat the numbers of an earlier one are left out, and an estimator that never
        reaches the tolerance has one option.
        """
        sensible: list[Option] = []
        seen = set()
        for _, group in groupby(self.options, key=lambda option: option.estimator):
            options = [*group]
            reached = [o for o in options if o.samples_needed is not None]
            if not reached:
                sensible += [*options] if len({o.verdict for o in options}) == 1 else options[:1]
                continue
            fastest = min(reached, key=lambda option: option.cpu_seconds)
            for option in reached:
                numbers = option.sampler, option.samples_needed, option.expected_rmse
                chosen = self.recommendation and option[:2] == self.recommendation[:2]
                if chosen or (
                    (option is fastest or option.sampler == "iid") and numbers not in seen
                ):
                    sensible.append(option)
                seen.add(numbers)
        return sensible

    def _notes(self, options: Sequence[Option]) -> Iterator[str]:
        leading = any(option.theory == "asymptotic" for option in options)
        rest = ""
        if len(options) < len(self.options):
            rest = f" --all shows all {len(self.options)} options."
        yield f"{_LEADING if leading else ''}{_COLUMNS}{rest}"
        best = self.recommendation
        if best is not None and best.interval_samples is not None:
            yield (
                f"`mckl estimate` draws about {best.interval_samples:,} samples for a "
                f"{100 * best.confidence:g} % interval of the tolerance."
            )
        if best is not None and best.if_costly is not None:
            yield f"If a sample costs more than to draw it here, take {best.if_costly}."
        if best is not None and best.slower is not None:
            yield f"{best.slower}."

    def table(self) -> Table:
        return self._table(self.options)

    def _table(self, options: Sequence[Option]) -> Table:
        rows, chosen = [], None
        for name, group in groupby(options, key=lambda option: option.estimator):
            several = [*group]
            verdicts = {option.verdict for option in several}
            if len(several) > 1 and len(verdicts) == 1 and several[0].samples_needed is None:
                rows.append([name, "every one", *[DASH] * 3, *verdicts])
                continue
            for option in several:
                rows.append(option.cells())
                if self.recommendation and option[:2] == self.recommendation[:2]:
                    chosen = rows[-1]
        return Table(_HEADER, rows, chosen)
