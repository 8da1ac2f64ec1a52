"""`Watch`, an estimate of KL that may be looked at after every batch of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from mckl.api.arguments import one_of, real, whole_number
from mckl.api.log_probs import columns_of
from mckl.errors import UserError
from mckl.estimation.anytime import half_width
from mckl.estimation.given.blocks import blocks
from mckl.estimation.given.clusters import Clusters
from mckl.estimation.given.layout import Layout, explained
from mckl.estimation.given.signs import squared_spacings
from mckl.estimation.given.summary import Influence
from mckl.estimation.given.units import Units, UnitStream, joined_units
from mckl.estimation.given.verdict import below_0, evidence, rounding_bias
from mckl.estimation.results import DASH, Result, Table, ends
from mckl.estimation.running import RunningMoments
from mckl.estimation.values import ESTIMATORS
from mckl.estimation.values.integrands import Integrands
from mckl.exact.factor_sums import SUMS

# The error probability of the confidence sequences by which the mean of r is compared with 1, and
# drift and autocorrelation with 0.
_ERROR = 1e-4
_BY_SAMPLE, _BY_TOKEN = "k1", "k3-factor"
# What is added up over the run, with the power of the half-life's factor by which it fades: squared
# weights, log q - log p, and the squared spacings of 16-bit numbers. The last gives a mean, and an
# upper bound of a variance.
_TOTALS = {"squares": 2, "log_ratio_sum": 1, "squared_spacings": 1}


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
    estimator, confidence, half_life
        The options of the watch; `estimator` is None if it depends on the first batch to come.
    per_token
        The estimate per token; without sequences it is that per sample.
    effective
        The number of independent samples, sequences or clusters that count: all of them without a
        `half_life`.
    drift, autocorrelation
        The correlation of the averaged values with their place in the run, and with their
        predecessors; NaN if they do not vary.
    """

    estimate: float
    std_error: float
    interval: tuple[float, float] | None
    withheld: str | None
    samples: int
    estimator: str | None
    confidence: float
    half_life: float | None
    per_token: float
    effective: float
    drift: float
    autocorrelation: float

    def floats(self) -> dict[str, float]:
        """The numbers for a dashboard: always the same keys, NaN for what there is not."""
        low, high = self.interval or (math.nan, math.nan)
        return {
            "kl": self.estimate,
            "kl_low": low,
            "kl_high": high,
            "kl_std_error": self.std_error,
            "kl_per_token": self.per_token,
            "samples": float(self.samples),
            "effective": self.effective,
            "drift": self.drift,
            "autocorrelation": self.autocorrelation,
            "withheld": float(self.withheld is not None),
        }

    def lines(self) -> Iterator[str]:
        told = f"{self.estimator}, {self.samples:,} samples" if self.estimator else "no samples"
        text = f"KL(q||p) = {self.estimate:.6g} nats ({told})"
        if self.interval is not None:
            when = "at all times" if self.half_life is None else "now"
            text += f", {100 * self.confidence:g} % {when} {ends(self.interval)}"
        yield text
        if self.withheld:
            yield f"Interval withheld: {self.withheld}."

    def table(self) -> Table:
        row = [f"{self.samples:,}", f"{self.estimate:.6g}", ends(self.interval, missing=DASH)]
        when = "at all times" if self.half_life is None else "now"
        return Table(("samples", "estimate", f"interval {when}"), [row])


class Watch:
    """KL(q||p) of a run, with an interval that may be looked at after every batch.

    The interval is an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy &
    Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", 2024). With the
    given probability all intervals from `start` samples on contain KL, however often one looks and
    whenever one stops, if the samples are independent and of one q and one p. An ordinary 95 %
    interval that is looked at after every batch misses KL at some time in more than half of the
    runs.

    A policy that is trained is not one q. For it give a `half_life`: then the estimate is of the
    latest samples, and the interval is an ordinary one, valid at each look alone.

    Parameters
    ----------
    estimator
        The name of an unbiased estimator that is a mean: ``k1`` or ``k3``; with sequences also
        ``k3-factor``, which is k3 by token. By default the first batch decides: ``k3-factor`` with
        sequences, and ``k1`` without.
    confidence
        The probability that all intervals of a run contain KL; with `half_life`, that one does.
    start
        The number of samples, or sequences, before which there is no interval.
    tightest
        The number of samples at which the interval is as short as it can be, which is 1.55 times
        the ordinary one. The default is ten times `start`.
    half_life
        The number of later samples, or sequences, after which a batch counts half. By default all
        count alike.

    Raises
    ------
    ValueError
        For an unknown estimator, a confidence outside of 0 to 1, a `start` below 2, a `tightest`
        below 1, and a `half_life` too short for `start` samples to count.

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
        estimator: str | None = None,
        confidence: float = 0.95,
        start: int = 100,
        tightest: int | None = None,
        half_life: float | None = None,
    ) -> None:
        self._confidence = real("confidence", confidence, "a number between 0 and 1", 0.0, 1.0)
        self._start = whole_number("start", start, 2)
        self._tightest = (
            10 * self._start if tightest is None else whole_number("tightest", tightest, 1)
        )
        self._half_life = half_life
        if half_life is not None:
            # So many samples count at most: the sum of weights squared, by that of their squares.
            least = self._start * math.log(2.0) / 2.0
            expected = f"at least {least:.3g}, so that {self._start} samples (start) ever count"
            self._half_life = real("half_life", half_life, expected, math.nextafter(least, 0.0))
        self._name: str | None = None
        self._samples, self._totals = 0, dict.fromkeys(_TOTALS, 0.0)
        self._last = math.nan
        if estimator is not None:
            self._choose(estimator)

    def _choose(self, estimator: str) -> None:
        names = [
            name for name, e in ESTIMATORS.items()
            if e.consistent and len(e.products) == 1 and {*SUMS}.issuperset(e.sums)
        ]  # fmt: skip
        if estimator == "rb":
            raise UserError(
                "estimator: rb needs full_kl, which a watch does not take, expected one of "
                + ", ".join(names)
            )
        self._chosen = ESTIMATORS[one_of("estimator", estimator, names)]
        self._name = self._chosen.name
        ((self._mean_of, _),) = self._chosen.products
        by_ratio = ("ratio",) if self._chosen.sums and self._chosen.uses_ratio else ()
        self._sums = dict.fromkeys((*self._chosen.sums, *by_ratio))
        averaged = [self._mean_of, *[self._chosen.ratio] * self._chosen.uses_ratio]
        # A unit is a cluster of `count` samples; so an estimate is a ratio of sums.
        self._kept = [*averaged, "count", "length"]
        products = [(a, b) for i, a in enumerate(self._kept) for b in self._kept[i:]]
        products += [("value", other) for other in ("value", "place", "before")]
        products += [("place", "place"), ("before", "before")]
        self._values = SimpleNamespace()
        self._moments = RunningMoments(products, lambda ell: self._values, 1)

    def update(
        self, log_q: Any, log_p: Any, *, sequence: Any = None, cluster: Any = None, mask: Any = None
    ) -> Watched:
        """Add a batch of samples of q and return the new estimate and interval.

        There is no `log_sampler`: `mckl.from_log_probs` takes samples of another law than q.
        The arguments are as in `mckl.from_log_probs`, in nats. A batch must have whole sequences
        and clusters, and may be empty. Raises ValueError as `mckl.from_log_probs` does; the batch
        then has no effect.
        """
        layout = Layout()
        given = {"log_q": log_q, "log_p": log_p, "sequence": sequence, "cluster": cluster}
        columns = columns_of(layout, **given, mask=mask)
        if not columns["log_q"].size:
            return self.look()
        by_token = "sequence" in columns
        if self._name is not None and self._sums and not by_token:
            raise UserError(f"{self._name}: sequence is missing, for it is by token")
        with explained(layout, slice(None)):
            stream = UnitStream(by_token)
            batch = [some for block in blocks([columns]) for some in stream.add(block)]
        if self._name is None:
            self._choose(_BY_TOKEN if by_token else _BY_SAMPLE)
        spacings = sum(squared_spacings(columns[name]) for name in ("log_q", "log_p"))
        self._take(joined_units([*batch, *stream.finish()]), spacings)
        return self.look()

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _take(self, batch: Units, spacings: float) -> None:
        """Add a batch of units, whose clusters are whole, and its numbers' squared spacings."""
        ell = batch["ell"]
        sums = {name: batch[f"factor_{name}"] for name in self._sums}
        integrands = Integrands(ell, self._chosen.integrands, sums)
        values = {name: getattr(integrands, name) for name in self._kept[:-2]}
        values["count"] = np.ones(ell.size)
        values["length"] = batch.get("length", values["count"])
        if "cluster" in batch:
            clusters = Clusters()
            clusters.update(batch["cluster"], values)
            values = dict(clusters.sums())
        values["value"] = values[self._mean_of] / values["count"]
        size = values["count"].size
        values["place"] = self._samples + np.arange(float(size))
        first = values["value"].mean() if math.isnan(self._last) else self._last
        values["before"] = np.append(first, values["value"][:-1])
        self._last = float(values["value"][-1])
        if self._half_life is not None:
            share = 0.5 ** (ell.size / self._half_life)
            self._moments.fade(share)
            for name, power in _TOTALS.items():
                self._totals[name] *= share**power
        self._samples += ell.size
        for name, more in zip(_TOTALS, (size, float(ell.sum()), spacings), strict=True):
            self._totals[name] += more
        self._values = SimpleNamespace(**{name: v[None, None] for name, v in values.items()})
        self._moments.update(self._values.count)

    def look(self) -> Watched:
        """The current estimate and its interval."""
        mean = error = length = drift = neighbours = math.nan
        interval, withheld, n = None, None, 0.0
        if self._samples:
            n = self._moments.units**2 / self._totals["squares"]
            mean, sd = self._mean_and_sd(self._mean_of)
            error = sd / math.sqrt(n)
            length = float(self._moments.mean("length")[0] / self._moments.mean("count")[0])
            drift, neighbours = (self._correlation(name) for name in ("place", "before"))
        if n >= self._start:
            withheld = self._reason(n, mean, sd, drift, neighbours)
            half = half_width(n, sd, self._confidence, self._tightest)
            if self._half_life is not None:
                half = float(stdtrit(n - 1.0, 0.5 + self._confidence / 2.0)) * error
            if withheld is None and self._chosen.uses_ratio:
                sequences = self._moments.units * float(self._moments.mean("count")[0])
                added = self._totals["squared_spacings"] / 24.0 / sequences
                withheld = rounding_bias(self._chosen.name, added, half)
            if withheld is None and mean + half < 0.0:
                withheld = below_0(self._chosen.name)
            interval = None if withheld else (mean - half, mean + half)
        return Watched(
            mean, error, interval, withheld, self._samples, self._name, self._confidence,
            self._half_life, mean / length, n, drift, neighbours,
        )  # fmt: skip

    def floats(self) -> dict[str, float]:
        """The current numbers for a dashboard, as `Watched.floats` gives them."""
        return self.look().floats()

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _mean_and_sd(self, name: str) -> tuple[float, float]:
        per_sample = Influence(self._moments, "count")
        square = float(per_sample.comoment(name, name)[0])
        weight = self._moments.units
        freedom = weight - self._totals["squares"] / weight
        sd = math.sqrt(square / freedom) if freedom > 0 and square >= 0 else math.nan
        return float(per_sample.mean(name)[0]), sd

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _correlation(self, other: str) -> float:
        own, its, both = (
            float(self._moments.comoment(*pair)[0])
            for pair in (("value", "value"), (other, other), ("value", other))
        )
        return both / math.sqrt(own * its) if own * its > 0 else math.nan

    def _reason(
        self, n: float, mean: float, sd: float, drift: float, neighbours: float
    ) -> str | None:
        if not (math.isfinite(mean) and math.isfinite(sd)):
            return f"{self._name} overflows"
        by_chance = half_width(n, 1.0, 1.0 - _ERROR, self._tightest)
        total, spacings = self._totals["log_ratio_sum"], self._totals["squared_spacings"]
        proof = evidence(total, spacings / 12.0)
        if proof and not abs(neighbours) > by_chance:
            return proof
        if abs(drift) > by_chance and self._half_life is None:
            return (
                f"{self._name} {'rises' if drift > 0 else 'falls'} along the run (correlation with "
                f"the place {drift:.2g}), so the samples are not of one q: half_life follows a q "
                "that moves"
            )
        if abs(neighbours) > by_chance:
            return (
                f"{self._name} depends on its predecessor (correlation {neighbours:.2g}): give "
                "cluster, such as the prompt or the episode"
            )
        if not self._chosen.uses_ratio:
            return None
        excess, spread = self._mean_and_sd(self._chosen.ratio)
        if abs(excess) <= by_chance * spread:
            return None
        return (
            f"the mean of p/q is {1 + excess:.4g} ± {spread / math.sqrt(n):.2g} and not 1: the "
            "samples miss where p has its mass, or are not q's"
        )

    def merge(self, other: Watch) -> None:
        """Add all samples of another watch, which must have the same options, else ValueError.

        So processes may each have a watch, which are merged in the end.
        """
        if not isinstance(other, Watch):
            raise UserError(f"merge: {type(other).__name__}, expected another watch")
        if other is self:
            raise UserError("merge: the watch itself, whose samples would count twice")
        own, its = self._options(), other._options()
        chosen = self._name or other._name
        if None in (self._name, other._name) and chosen in (None, _BY_SAMPLE, _BY_TOKEN):
            own["estimator"] = its["estimator"] = chosen  # one has no samples yet
        if own != its:
            raise UserError(f"merge: a watch of other options, {its}, expected {own}")
        if other._name is None:
            return
        if self._name is None:
            self._choose(other._name)
        self._moments.merge(other._moments)
        self._samples += other._samples
        for name, total in other._totals.items():
            self._totals[name] += total
        if math.isnan(self._last):
            self._last = other._last

    def _options(self) -> dict[str, Any]:
        return {
            "estimator": self._name,
            "confidence": self._confidence,
            "start": self._start,
            "tightest": self._tightest,
            "half_life": self._half_life,
        }

    def state(self) -> dict[str, Any]:
        """The options and the moments of all samples so far, as plain data for JSON."""
        return {
            **self._options(),
            "samples": self._samples,
            **self._totals,
            "last": None if math.isnan(self._last) else self._last,
            "moments": {} if self._name is None else self._moments.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Watch:
        """The watch that had this `state`. Raises ValueError for anything else."""
        try:
            options = ("estimator", "confidence", "start", "tightest", "half_life")
            made = cls(**{key: state[key] for key in options})
            made._samples = whole_number("state: samples", state["samples"], 0)
            for name in _TOTALS:
                least = -math.inf if name == "log_ratio_sum" else -1e-300
                made._totals[name] = real(f"state: {name}", state[name], "a number", least)
            last = state["last"]
            if last is not None and not isinstance(last, float):  # it may have overflowed
                last = real("state: last", last, "a number")
            made._last = math.nan if last is None else last
            if made._name is not None:
                made._moments.restore(_checked(state["moments"], made._moments.state(), made))
            elif made._samples or state["moments"] != {}:
                raise UserError("state: samples without an estimator")
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise UserError(f"state: not that of a watch ({error})") from None
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Watch.from_state, (self.state(),)

    def __repr__(self) -> str:
        return repr(self.look())


def _checked(moments: Mapping[str, Any], empty: Mapping[str, Any], made: Watch) -> dict[str, Any]:
    """The moments of a state, with the keys of `empty`, if samples can have them.

    Moments that overflowed are inf or NaN, and a sum of squares is never negative.
    """
    if made._half_life is None:
        units: float = whole_number("state: units", moments["units"], 0, made._samples)
    else:
        units = real("state: units", moments["units"], "a number of samples", -1e-300)
    if (units > 0) != (made._totals["squares"] > 0) or (units > 0) != (made._samples > 0):
        raise UserError(f"state: units {units:g} with {made._samples} samples")
    found: dict[str, Any] = {"units": units}
    for kind, alone in (("mean", 0), ("comoment", 1 if made._half_life is None else 0)):
        found[kind] = {}
        for name in empty[kind]:
            value = moments[kind][name]
            if not isinstance(value, float):
                value = real(f"state: {kind} of {name}", value, "a number")
            square = kind == "comoment" and len({*name.split()}) == 1
            if (
                kind == "mean"
                and name in ("count", "length")
                and units
                and not 0 < value < math.inf
            ):
                raise UserError(f"state: {kind} of {name} {value:g}, expected more than 0")
            if (square and value < 0) or (units <= alone and value != 0):
                raise UserError(
                    f"state: {kind} of {name} {value:g}, which {units:g} samples cannot have"
                )
            found[kind][name] = value
    return found
