"""`Watch`, an estimate of KL that may be looked at after every batch of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mckl.api.arguments import one_of, real, whole_number
from mckl.api.log_probs import columns_of
from mckl.errors import UserError
from mckl.estimation.anytime import half_width
from mckl.estimation.given.blocks import blocks
from mckl.estimation.given.units import Units, units
from mckl.estimation.results import DASH, Result, Table, ends
from mckl.estimation.running import RunningMoments
from mckl.estimation.values import ESTIMATORS
from mckl.estimation.values.integrands import Integrands
from mckl.exact.factor_sums import SUMS

# The error probability of the confidence sequence by which the mean of r is compared with 1.
_RATIO_LEVEL = 1e-4


@dataclass(frozen=True, repr=False)
class Watched(Result):
    """The state of a `Watch`: its estimate and interval, in nats per sample or per sequence.

    Attributes
    ----------
    estimate, std_error
        The estimate, NaN without samples, and its standard error, NaN with fewer than two.
    interval
        The ends of the interval; None before `start` samples, and if it is withheld.
    withheld
        Why the interval is withheld; None if it is not.
    samples
        The number of samples, or of sequences, so far.
    estimator, confidence
        The options of the watch.
    """

    estimate: float
    std_error: float
    interval: tuple[float, float] | None
    withheld: str | None
    samples: int
    estimator: str
    confidence: float

    def lines(self) -> Iterator[str]:
        text = f"KL(q||p) = {self.estimate:.6g} nats ({self.estimator}, {self.samples:,} samples)"
        if self.interval is not None:
            text += f", {100 * self.confidence:g} % at all times {ends(self.interval)}"
        yield text
        if self.withheld:
            yield f"Interval withheld: {self.withheld}."

    def table(self) -> Table:
        row = [f"{self.samples:,}", f"{self.estimate:.6g}", ends(self.interval, missing=DASH)]
        return Table(("samples", "estimate", "interval at all times"), [row])


class Watch:
    """KL(q||p) of a run, with an interval that may be looked at after every batch.

    The interval is an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy &
    Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", 2024). With the
    given probability all intervals from `start` samples on contain KL, however often one looks and
    whenever one stops. An ordinary 95 % interval that is looked at after every batch misses KL at
    some time in more than half of the runs.

    Parameters
    ----------
    estimator
        The name of an unbiased estimator that is a mean: ``k1`` or ``k3``; with sequences also
        ``k3-factor``, which is k3 by token.
    confidence
        The probability that all intervals of a run contain KL.
    start
        The number of samples, or sequences, before which there is no interval.
    tightest
        The number of samples at which the interval is as short as it can be, which is 1.55 times
        the ordinary one. The default is ten times `start`.

    Raises
    ------
    ValueError
        For an unknown estimator, a confidence outside of 0 to 1, a `start` below 2, and a
        `tightest` below 1.

    Examples
    --------
    >>> import numpy as np
    >>> watch, rng = Watch(), np.random.default_rng(1)
    >>> for batch in range(20):
    ...     z = rng.normal(size=500)
    ...     seen = watch.update(-0.5 * z**2, -0.5 * (z - 0.5) ** 2)
    >>> seen.samples, bool(seen.interval[0] < 0.125 < seen.interval[1])
    (10000, True)
    """

    def __init__(
        self,
        *,
        estimator: str = "k1",
        confidence: float = 0.95,
        start: int = 100,
        tightest: int | None = None,
    ) -> None:
        known = [
            name for name, e in ESTIMATORS.items()
            if e.consistent and len(e.products) == 1 and {*SUMS}.issuperset(e.sums)
        ]  # fmt: skip
        self._chosen = ESTIMATORS[one_of("estimator", estimator, known)]
        self._confidence = real("confidence", confidence, "a number between 0 and 1", 0.0, 1.0)
        self._start = whole_number("start", start, 2)
        self._tightest = (
            10 * self._start if tightest is None else whole_number("tightest", tightest, 1)
        )
        ((self._name, _),) = self._chosen.products
        by_ratio = ("ratio",) if self._chosen.sums and self._chosen.uses_ratio else ()
        self._sums = dict.fromkeys((*self._chosen.sums, *by_ratio))
        self._ratio = self._chosen.ratio
        products = [(self._name, self._name)]
        if self._chosen.uses_ratio:
            products.append((self._ratio, self._ratio))
        self._values = Integrands(np.empty(0))
        self._moments = RunningMoments(products, lambda ell: self._values, 1)

    def update(self, log_q: Any, log_p: Any, *, sequence: Any = None, mask: Any = None) -> Watched:
        """Add a batch of samples of q and return the new estimate and interval.

        The arguments are those of `mckl.from_log_probs`, in nats. A batch must have whole
        sequences. Raises ValueError as `mckl.from_log_probs` does; the batch then has no effect.
        """
        columns = columns_of(log_q, log_p, sequence=sequence, mask=mask)
        if self._sums and "sequence" not in columns:
            raise UserError(f"{self._chosen.name}: sequence is missing, for it is by token")
        batch = [*units(blocks([columns]), "sequence" in columns)]
        for some in batch:
            self._take(some)
        return self.look()

    @np.errstate(over="ignore", invalid="ignore")
    def _take(self, some: Units) -> None:
        sums = {name: some[f"factor_{name}"][None, None] for name in self._sums}
        self._values = Integrands(some["ell"][None, None], self._chosen.integrands, sums)
        self._moments.update(self._values.ell)

    def look(self) -> Watched:
        """The current estimate and its interval."""
        n = self._moments.units
        mean, sd = self._mean_and_sd(self._name)
        interval, withheld = None, None
        if n >= self._start:
            withheld = self._reason(mean, sd)
            if withheld is None:
                half = half_width(n, sd, self._confidence, self._tightest)
                interval = mean - half, mean + half
        return Watched(
            mean, sd / math.sqrt(n) if n else math.nan, interval, withheld, n, self._chosen.name,
            self._confidence,
        )  # fmt: skip

    def _mean_and_sd(self, name: str) -> tuple[float, float]:
        n = self._moments.units
        mean = float(self._moments.mean(name)[0]) if n else math.nan
        square = float(self._moments.comoment(name, name)[0])
        return mean, math.sqrt(square / (n - 1)) if n > 1 and square >= 0 else math.nan

    def _reason(self, mean: float, sd: float) -> str | None:
        n = self._moments.units
        if not (math.isfinite(mean) and math.isfinite(sd)):
            return f"{self._chosen.name} overflows"
        if mean + half_width(n, sd, self._confidence, self._tightest) < 0:
            return (
                f"the mean of log q - log p is {mean:.4g} ± {sd / math.sqrt(n):.2g}, and KL is "
                "never negative: log_q and log_p are swapped, or the samples are not q's"
            )
        if not self._chosen.uses_ratio:
            return None
        excess, spread = self._mean_and_sd(self._ratio)
        half = half_width(n, spread, 1.0 - _RATIO_LEVEL, self._tightest)
        if abs(excess) <= half:
            return None
        error = spread / math.sqrt(n)
        return (
            f"the mean of p/q is {1 + excess:.4g} ± {error:.2g} and not 1: the samples miss "
            "where p has its mass, or are not q's"
        )

    def merge(self, other: Watch) -> None:
        """Add all samples of another watch, which must have the same options, else ValueError.

        So processes may each have a watch, which are merged in the end.
        """
        if not isinstance(other, Watch):
            raise UserError(f"merge: {type(other).__name__}, expected another watch")
        if other is self:
            raise UserError("merge: the watch itself, whose samples would count twice")
        if self._options() != other._options():
            raise UserError(
                f"merge: a watch of other options, {other._options()}, expected {self._options()}"
            )
        self._moments.merge(other._moments)

    def _options(self) -> dict[str, Any]:
        return {
            "estimator": self._chosen.name,
            "confidence": self._confidence,
            "start": self._start,
            "tightest": self._tightest,
        }

    def state(self) -> dict[str, Any]:
        """The options and the moments of all samples so far, as plain data for JSON."""
        return {**self._options(), "moments": self._moments.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Watch:
        """The watch that had this `state`. Raises ValueError for anything else."""
        try:
            options = {key: state[key] for key in ("estimator", "confidence", "start", "tightest")}
            made = cls(**options)
            made._moments.restore(_checked(state["moments"], made._moments.state()))
        except (KeyError, TypeError, IndexError) as error:
            raise UserError(f"state: not that of a watch ({error})") from None
        return made

    def __repr__(self) -> str:
        return repr(self.look())


def _checked(moments: Mapping[str, Any], empty: Mapping[str, Any]) -> dict[str, Any]:
    """The moments of a state, with the keys of `empty`, if samples can have them.

    Moments that overflowed are inf or NaN, and a sum of squares is never negative.
    """
    units = whole_number("state: units", moments["units"], 0)
    found: dict[str, Any] = {"units": units}
    for kind, alone in (("mean", 0), ("comoment", 1)):
        found[kind] = {}
        for name in empty[kind]:
            value = moments[kind][name]
            if not isinstance(value, float):
                value = real(f"state: {kind} of {name}", value, "a number")
            if (kind == "comoment" and value < 0) or (units <= alone and value != 0):
                raise UserError(
                    f"state: {kind} of {name} {value:g}, which {units} samples cannot have"
                )
            found[kind][name] = value
    return found
