"""Summarises units in one pass, for every estimator, its standard error and its diagnostics.

Every estimate theta is a ratio of sums over units, sum w x / sum w O. With O = 1 it is the KL of a
unit. With O = T, the length of a sequence, it is KL per token. Samples of another law s have the
weight w = q/s in both sums (self-normalised importance sampling), and samples of q have w = 1. By
the delta method, the error of such a ratio is to first order a mean of

    (w x - theta w O) / mean(w O).

So the moments of this quantity take the place of those of x (`Influence`), and an estimator's
formulas hold without change. Units are whole sequences, since tokens of one sequence depend on each
other; so standard errors are clustered by sequence. If sequences depend on each other in turn, such
as completions of one prompt, units are sums over a cluster of them, w x and w O alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations_with_replacement
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.given.clusters import Clusters
from mckl.estimation.given.copies import Copies
from mckl.estimation.given.order import UNKNOWN, Dependence, Order
from mckl.estimation.given.units import Units
from mckl.estimation.pareto import LEAST, MOST, Largest, pareto_index, tail_size
from mckl.estimation.running import RunningMoments, short_dot
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.estimation.values.integrands import Integrands
from mckl.exact.factor_sums import SUMS

WHOLE = ("ell", *SUMS)
# The key in `Summary.shapes` of r - 1 with r = p/q, with sequences of its sum over tokens.
RATIO = ("unit", "p/q")
FULL_KL_SUMS = ("rb", "rb_fit")  # the sums over tokens that full_kl adds
_LONG = 10  # tokens of a sequence, from which on an equal sum is rarely due to chance
# The first units, on which the coefficients of each estimator's summand are fitted.
_PILOT = 2**13
# From the first number of units on, one block of the second number is used for the skewness.
_MANY, _STRIDE = 2**20, 4
# Values further than this number of standard deviations from the mean count less for dependence.
_BOUND = 4.0


class Influence:
    """The moments of (w x - theta w O) / mean(w O), as `RunningMoments` has those of x."""

    def __init__(self, moments: RunningMoments, over: str | None) -> None:
        self._moments, self._over = moments, over
        self.units: int = moments.units

    def mean(self, name: str) -> Vector:
        mean = self._moments.mean(name)
        return mean if self._over is None else mean / self._moments.mean(self._over)

    def comoment(self, first: str, second: str) -> Vector:
        m, over = self._moments, self._over
        if over is None:
            return _comoment(m, first, second)
        a, b = self.mean(first), self.mean(second)
        plain = _comoment(m, first, second) + a * b * m.comoment(over, over)
        plain = plain - a * _comoment(m, second, over) - b * _comoment(m, first, over)
        return np.asarray(plain / m.mean(over) ** 2)


def _comoment(moments: RunningMoments, first: str, second: str) -> Vector:
    try:
        return moments.comoment(first, second)
    except KeyError:
        return moments.comoment(second, first)


class Shape(NamedTuple):
    """The shape of an estimator's summand; NaN where not known.

    `largest` is the largest value less the mean, or the smallest if r has a negative coefficient.
    """

    skewness: float
    excess_kurtosis: float
    tail_index: float
    largest: float = math.nan


class _Summand:
    """Moments up to the fourth, and one tail, of a linear combination of integrands.

    The tail is that of large values, or that of small values if r's coefficient `ratio_weight` is
    negative. The lower tail of l itself is light: as E e^-l <= 1, P(l < -x) <= e^-x.
    """

    def __init__(self, weights: Mapping[str, float], ratio_weight: float = 0.0) -> None:
        self._weights = {name: weight for name, weight in weights.items() if weight}
        self._sign = -1.0 if ratio_weight < 0 else 1.0
        self._largest = Largest(MOST + 1)
        self._powers = np.zeros(5)
        self._seen = 0

    def update(self, values: Mapping[str, Vector], moments: bool) -> Vector:
        """Add units, with `moments` also to the moments, and return their values."""
        s: Vector | None = None
        for name, weight in self._weights.items():
            of_name = values[name] if name else weight
            term = of_name if not name or weight == 1.0 else weight * of_name
            s = term if s is None else s + term  # type: ignore[assignment]
        assert s is not None
        self._seen += s.size
        self._largest.update(s if self._sign > 0 else -s)
        if moments:
            square = s * s
            self._powers += (
                s.size, s.sum(), square.sum(), short_dot(square, s), short_dot(square, square),
            )  # fmt: skip
        return s

    def shape(self) -> Shape:
        m1, m2, m3, m4 = self._powers[1:] / max(self._powers[0], 1.0)
        variance = m2 - m1 * m1
        skewness = kurtosis = math.nan
        if variance > 0 and math.isfinite(m4):
            third = m3 - 3 * m1 * m2 + 2 * m1**3
            fourth = m4 - 4 * m1 * m3 + 6 * m1 * m1 * m2 - 3 * m1**4
            skewness, kurtosis = float(third / variance**1.5), float(fourth / variance**2 - 3.0)
        index = math.nan
        largest = self._largest.values()
        if self._seen >= LEAST:
            tail = tail_size(self._seen)
            index = pareto_index(np.diff(largest[-tail - 1 :]).cumsum())
        top = self._sign * float(largest[-1]) if largest.size else math.nan
        return Shape(skewness, kurtosis, index, top)


class Summary:
    """The results of one pass over units, in memory that does not grow with their number.

    Attributes
    ----------
    estimators
        The estimators for which the data have all integrands, by name.
    path
        The moments at some numbers of units on the way, if they are `traced`.
    clustered
        Whether units are clusters of sequences, or of samples.
    overs
        For each kind of estimate, per ``unit`` and with sequences per ``token``, the name of the
        integrand w O of its denominator; None where this is 1.
    """

    weighted: bool
    sequences: bool
    clustered: bool
    copies: Copies
    long_copies: Copies
    log_ratio_sum: float
    log_weight_sum: float
    largest_ratio: float
    rows: int
    sequence_count: int

    def __init__(
        self,
        *,
        sequences: bool = False,
        weighted: bool = False,
        full_kl: bool = False,
        clustered: bool = False,
        traced: bool = False,
    ) -> None:
        self._sums = (*SUMS, *FULL_KL_SUMS * full_kl) if sequences else ()
        self.weighted, self.sequences, self.clustered = weighted, sequences, clustered
        self.estimators: dict[str, Estimator] = {
            n: e for n, e in ESTIMATORS.items() if {*self._sums}.issuperset(e.sums)
        }
        self._own = {n: f for e in self.estimators.values() for n, f in e.integrands.items()}
        self._names = (*WHOLE, *(f"factor_{name}" for name in self._sums), *self._own)
        self._clusters = Clusters() if clustered else None
        self.overs: dict[str, str | None] = {"unit": "weight" if weighted or clustered else None}
        if sequences:
            self.overs["token"] = "length"
        self.moments: RunningMoments = RunningMoments(
            self._products(), lambda ell: self._values, 1, short_dot
        )
        self._values = SimpleNamespace()
        self._waiting: list[Mapping[str, Vector]] = []
        self._summands: dict[tuple[str, str], _Summand] | None = None
        self._jackknife: dict[tuple[str, str], float] = {}
        self._orders: dict[str, Order] = {}
        self._rises, self._falls, self._length = True, True, math.nan
        # Of all units, and of those that are too long for equal sums by chance.
        self.copies, self.long_copies = Copies(), Copies()
        self.log_ratio_sum = self.log_weight_sum = self.largest_ratio = 0.0
        self.rows = self.sequence_count = 0
        self._blocks = 0
        # The moments after 8 units, and after every quarter of an octave from there.
        self.path: list[RunningMoments] = []
        self._next = 8 if traced else math.inf

    def _products(self) -> list[tuple[str, str]]:
        products = [product for e in self.estimators.values() for product in e.products]
        products += [("ratio", "ratio"), *[("factor_ratio", "factor_ratio")] * self.sequences]
        if "rb" in self._sums:
            products += combinations_with_replacement(("ell", "factor_k3", "factor_rb"), 2)
            products.append(("factor_rb_fit", "factor_rb_fit"))
        overs = [over for over in self.overs.values() if over]
        products += [(name, over) for name in self._names for over in overs]
        products += [(a, b) for i, a in enumerate(overs) for b in overs[i:]]
        known: dict[tuple[str, str], None] = {}
        for first, second in products:
            if (second, first) not in known:
                known[first, second] = None
        return [*known]

    @property
    def units(self) -> int:
        """The number of independent units so far."""
        return self.moments.units

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def update(self, units: Units) -> None:
        """Add units."""
        if not units["ell"].size:
            return
        sums = {name: units[f"factor_{name}"] for name in self._sums}
        integrands = Integrands(units["ell"], self._own, sums)
        values = {name: getattr(integrands, name) for name in self._names}
        if self.sequences:
            values["length"] = units["length"]
        self.rows += int(units["length"].sum()) if self.sequences else units["ell"].size
        self.sequence_count += units["ell"].size
        top = units["largest_ratio"] if self.sequences else values["ratio"]
        self.largest_ratio = max(self.largest_ratio, float(top.max()))
        self.log_ratio_sum += float(units["log_sampled" if self.weighted else "ell"].sum())
        if self.weighted:
            self.log_weight_sum += float(units["log_weight"].sum())
            weight = np.exp(units["log_weight"])
            values = {name: weight * value for name, value in values.items()} | {"weight": weight}
            if (zero := units["log_weight"] == -math.inf).any():  # also where values overflow
                values = {name: np.where(zero, 0.0, value) for name, value in values.items()}
        elif self.clustered:
            values["weight"] = np.ones(units["ell"].size)
        if self._clusters is None:
            self._add(values)
        else:
            self._clusters.update(units["cluster"], values)

    def finish(self) -> None:
        """Add the clusters, if units are clusters, after the last update."""
        if self._clusters is not None:
            self._add(self._clusters.sums())
            self._clusters = None

    def dependence(self, estimator: str) -> Dependence:
        """The dependence of units on earlier ones, by an estimator's summand.

        It is that of KL per token, since longer sequences have a larger KL. NaN for sequences that
        are sorted by length.
        """
        sorted_by_length = self.sequences and self._rises != self._falls
        return UNKNOWN if sorted_by_length else self._orders[estimator].dependence()

    def _add(self, values: Mapping[str, Vector]) -> None:
        ell, length = values["ell"], values.get("length")
        if self.weighted:
            # All samples of another law at which q is 0 have the value 0: they are not copies.
            drawn = values["weight"] > 0.0
            ell, length = ell[drawn], None if length is None else length[drawn]
        self.copies.update(ell)
        if length is not None:
            self.long_copies.update(ell[length >= _LONG])
        if self.sequences:
            steps = np.diff(values["length"], prepend=self._length)
            self._rises &= not (steps < 0).any()
            self._falls &= not (steps > 0).any()
            self._length = float(values["length"][-1])
        self._values = SimpleNamespace(**{name: v[None, None] for name, v in values.items()})
        block, before = self._values.ell, self.units
        stops = []
        while self._next <= before + block.shape[-1]:
            stops.append(int(self._next) - before)
            self._next = math.ceil(self._next * 2**0.25)
        for stop in self.moments.updates(block, sorted({*stops, block.shape[-1]})):
            if stop in stops:
                self.path.append(self.moments.so_far())
        if self._summands is not None:
            self._follow(values)
            return
        self._waiting.append(values)
        if self.units >= _PILOT:
            self._start()

    @property
    def unit(self) -> str:
        """What an independent unit is called."""
        return "cluster" if self.clustered else "sequence" if self.sequences else "sample"

    def influence(self, per: str) -> Influence:
        """The moments from which estimates per unit, or per token, follow."""
        return Influence(self.moments, self.overs[per])

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def shapes(self) -> dict[tuple[str, str], Shape]:
        """The shape of every estimator's summand, by (``unit`` or ``token``, estimator's name)."""
        self.finish()
        if self._summands is None:
            self._start()
        assert self._summands is not None
        return {key: summand.shape() for key, summand in self._summands.items()}

    def jackknife(self, per: str, estimator: str) -> float:
        """The variance of an estimate by leaving out one cluster at a time, as a multiple (CR3).

        It is that of the delta method times this. For a cluster whose share of the denominator is
        h, the residual is divided by 1 - h (MacKinnon, Nielsen & Webb, "Cluster-robust inference",
        2023). Without clusters it is 1.
        """
        return self._jackknife.get((per, estimator), 1.0)

    def _start(self) -> None:
        """Fit the coefficients of all summands on the first units, and add these units to them."""
        self._summands = {}
        for per, over in self.overs.items():
            view = self.influence(per)
            for name, estimator in self.estimators.items():
                weights = dict(estimator.summand(view))  # type: ignore[arg-type]
                theta = sum(w * float(view.mean(n)[0]) for n, w in weights.items())
                ratio_weight = estimator.ratio_weight(weights)
                weights[over or ""] = -theta
                self._summands[per, name] = _Summand(weights, ratio_weight)
                sd = math.sqrt(max(float(estimator.estimate(view)[1][0]), 0.0) * self.units)  # type: ignore[arg-type]
                self._orders[name] = Order(_BOUND * sd if sd < math.inf else math.inf)
        self._summands[RATIO] = _Summand({"factor_ratio" if self.sequences else "ratio": 1.0}, 1.0)
        for values in self._waiting:
            self._follow(values)
        self._waiting = []

    def _follow(self, values: Mapping[str, Vector]) -> None:
        assert self._summands is not None
        self._blocks += 1
        moments = self.units <= _MANY or self._blocks % _STRIDE == 0
        for (per, name), summand in self._summands.items():
            s = summand.update(values, moments)
            over = self.overs[per]
            if self.clustered and over:  # all clusters come at once
                square, left = short_dot(s, s), s / (1.0 - values[over] / values[over].sum())
                if square > 0.0:
                    ratio = float(short_dot(left, left) / square)
                    self._jackknife[per, name] = ratio * (1.0 - 1.0 / s.size) ** 2
            if per == [*self.overs][-1] and name in self._orders:
                self._orders[name].update(s)
