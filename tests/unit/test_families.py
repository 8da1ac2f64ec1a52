"""One contract for every family: its law, draws and strata against independent computations.

A pair stands in `PAIRS` beside what SciPy says of it: for continuous laws a `Line` of scipy.stats
laws, integrated by Gauss-Legendre panels over the logit of the probability, for discrete ones a
list of all points. Neither shares a line with the code under test. Moments are those of (Q, L),
the even and the odd part of l about KL (docs/explanation/theory.md, section 2).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import special, stats

from mckl.estimation.values import ESTIMATORS
from mckl.exact import joint
from mckl.families import registry
from mckl.families.base import Family, Pair
from mckl.families.coordinates.gamma import GAMMA
from mckl.families.coordinates.gaussian import GAUSSIAN
from mckl.families.coordinates.independent import Independent
from mckl.families.coordinates.laplace import LAPLACE
from mckl.families.coordinates.log_gamma import LogGamma
from mckl.families.coordinates.logistic import LOGISTIC
from mckl.families.coordinates.student_t import STUDENT_T

# Normals by coordinate stand here for those of the registry, which have a form of their own.
FAMILIES: Mapping[str, Family] = {**registry.FAMILIES, GAUSSIAN.name: GAUSSIAN}


def side(given: Mapping[str, Any]) -> Any:
    family = FAMILIES[given.get("family", "normal")]
    return family.side(family.named({k: v for k, v in given.items() if k != "family"}))


def pair(q: Mapping[str, Any], p: Mapping[str, Any]) -> Pair:
    return side(q).against(side(p))


class Logit:
    """The law of log(x / (1 - x)) for a beta law of x, by SciPy."""

    def __init__(self, a: float, b: float) -> None:
        self._a, self._b = a, b
        self._x, self._rest = stats.beta(a, b), stats.beta(b, a)

    def logpdf(self, y: np.ndarray) -> np.ndarray:
        ones = special.log_expit(y), special.log_expit(-y)
        return self._a * ones[0] + self._b * ones[1] - special.betaln(self._a, self._b)

    def ppf(self, u: np.ndarray) -> np.ndarray:
        return np.log(self._x.ppf(u)) - np.log(self._rest.isf(u))

    def isf(self, u: np.ndarray) -> np.ndarray:
        return np.log(self._x.isf(u)) - np.log(self._rest.ppf(u))

    def cdf(self, y: np.ndarray) -> np.ndarray:
        return self._x.cdf(special.expit(y))


class Inside:
    """What a law says between two ends at which its density is not 0, in the same coordinate."""

    def __init__(self, law: Any, low: float, high: float) -> None:
        self._law, self._low, self._high = law, low, high

    def logpdf(self, y: np.ndarray) -> np.ndarray:
        width = self._high - self._low
        x = self._low + width * special.expit(y)
        # At the ends x is rounded, and the density is as good as that of a point nearby.
        x = np.clip(x, self._low + 1e-15 * width, self._high - 1e-15 * width)
        return self._law.logpdf(x) + special.log_expit(y) + special.log_expit(-y) + math.log(width)

    def cdf(self, x: float) -> float:
        return self._law.cdf(x)

    def _logit(self, u: np.ndarray, upper: bool) -> np.ndarray:
        x = self._law.isf(u) if upper else self._law.ppf(u)
        near, far = (self._high, self._low) if upper else (self._low, self._high)
        distance = np.where(u < 1e-12, u / self._law.pdf(near), np.abs(x - near))
        y = np.log(distance) - np.log(np.abs(far - x))
        return -y if upper else y

    def ppf(self, u: np.ndarray) -> np.ndarray:
        return self._logit(u, False)

    def isf(self, u: np.ndarray) -> np.ndarray:
        return self._logit(u, True)


class Triangle:
    """The triangular law on (0, 1), as a law of log(x / (1 - x))."""

    def __init__(self, mode: float) -> None:
        self._mode = mode

    def logpdf(self, y: np.ndarray) -> np.ndarray:
        log_x, log_rest = special.log_expit(y), special.log_expit(-y)
        m = self._mode
        rises = log_x < math.log(m)
        share = np.where(rises, log_x - math.log(m), log_rest - math.log(1 - m))
        return math.log(2) + share + log_x + log_rest

    def cdf(self, x: float) -> float:
        return x * x / self._mode if x < self._mode else 1 - (1 - x) ** 2 / (1 - self._mode)

    def ppf(self, u: np.ndarray) -> np.ndarray:
        m = self._mode
        with np.errstate(divide="ignore"):
            below = 0.5 * np.log(u * m)
            above = 0.5 * np.log((1 - u) * (1 - m))
        return np.where(u < m, below - np.log1p(-np.exp(np.minimum(below, -1e-9))),
                        np.log1p(-np.exp(np.minimum(above, -1e-9))) - above)  # fmt: skip

    def isf(self, u: np.ndarray) -> np.ndarray:
        return -Triangle(1 - self._mode).ppf(u)


class Negative:
    """The law of -x for a law of scipy.stats."""

    def __init__(self, law: Any) -> None:
        self._law = law

    def logpdf(self, x: np.ndarray) -> np.ndarray:
        return self._law.logpdf(-x)

    def ppf(self, u: np.ndarray) -> np.ndarray:
        return -self._law.isf(u)

    def isf(self, u: np.ndarray) -> np.ndarray:
        return -self._law.ppf(u)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return self._law.sf(-x)


class Blend:
    """A mixture of scipy.stats laws, its quantiles by bisection."""

    def __init__(self, weights: Sequence[float], laws: Sequence[Any]) -> None:
        self._parts = list(zip(weights, laws, strict=True))

    def _sum(self, name: str, x: np.ndarray) -> np.ndarray:
        return sum(w * getattr(law, name)(x) for w, law in self._parts)

    def logpdf(self, x: np.ndarray) -> np.ndarray:
        parts = [math.log(w) + law.logpdf(x) for w, law in self._parts]
        return special.logsumexp(parts, axis=0)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return self._sum("cdf", x)

    def ppf(self, u: np.ndarray) -> np.ndarray:
        return self._bisect(u, "cdf", "ppf", 1.0)

    def isf(self, u: np.ndarray) -> np.ndarray:
        return self._bisect(u, "sf", "isf", -1.0)

    def _bisect(self, u: np.ndarray, tail: str, inverse: str, sign: float) -> np.ndarray:
        ends = [sign * getattr(law, inverse)(u) for _, law in self._parts]
        low, high = np.min(ends, axis=0), np.max(ends, axis=0)
        for _ in range(90):
            middle = 0.5 * (low + high)
            below = self._sum(tail, sign * middle) < u
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return sign * 0.5 * (low + high)


class Points(NamedTuple):
    """The points of an independent quadrature or summation of one factor under q."""

    weight: np.ndarray  # of every point; they add up to 1
    ell: np.ndarray
    mirrored: np.ndarray | None


_REACH, _NODES = 110, np.polynomial.legendre.leggauss(16)


def continuous(q: Any, p: Any, *kinks: float) -> Callable[[], Points]:
    """Gauss-Legendre panels over t = logit u, up to u = e^-110; `kinks` of the densities."""

    def points() -> Points:
        u = np.array([float(q.cdf(x)) for x in kinks])
        at = np.concatenate((special.logit(u), -special.logit(u)))
        edges = np.unique(np.concatenate((np.arange(-_REACH, _REACH + 1.0), at)))
        half = 0.5 * np.diff(edges)[:, None]
        t = (edges[:-1, None] + half * (1.0 + _NODES[0])).ravel()
        weight = (half * _NODES[1]).ravel() * special.expit(t) * special.expit(-t)
        tail = special.expit(-np.abs(t))
        low, high = q.ppf(tail), q.isf(tail)
        with np.errstate(over="ignore"):
            ends = [q.logpdf(x) - p.logpdf(x) for x in (low, high)]
        ell, mirrored = np.where(t < 0, *ends), np.where(t < 0, *ends[::-1])
        return Points(weight, ell, mirrored)

    return points


def listed(log_q: np.ndarray, log_p: np.ndarray) -> Callable[[], Points]:
    """All points of a discrete law."""
    here = log_q > -700.0
    weight, ell = np.exp(log_q[here]), (log_q - log_p)[here]
    return lambda: Points(weight, ell, None)


def counts(rate: float, other: float) -> Callable[[], Points]:
    k = np.arange(400.0)
    log_q, log_p = (k * math.log(r) - r - special.gammaln(k + 1.0) for r in (rate, other))
    return listed(log_q, log_p)


def sequences(start: Any, q: Any, p: Any, tokens: int) -> Callable[[], Points]:
    """All sequences of tokens after a state, with the state."""
    paths = np.array([*itertools.product(range(len(start)), repeat=tokens + 1)])
    log_q, log_p = (
        np.log(np.array(start)[paths[:, 0]])
        + np.log(np.array(table)[paths[:, :-1], paths[:, 1:]]).sum(axis=1)
        for table in (q, p)
    )
    return listed(log_q, log_p)


def of_counts(q: Any, p: Any) -> Callable[[], Points]:
    """Two laws of scipy.stats on 0, 1, 2, ..."""
    k = np.arange(600.0)
    return listed(q.logpmf(k), p.logpmf(k))


class Entry(NamedTuple):
    """A pair of one factor, what SciPy says of it, and the exact border of E e^{s l}.

    mass  p's probability of the values that q takes
    """

    pair: Pair
    points: Callable[[], Points]
    lowest: float
    highest: float
    mass: float = 1.0


INF = math.inf
_MIXED = {
    "family": "mixture",
    "weights": [0.25, 0.75],
    "components": [{"mean": -1, "sd": 1}, {"family": "student-t", "df": 5, "location": 2}],
}
_TWO_GAMMAS = {
    "family": "mixture",
    "weights": [0.5, 0.5],
    "components": [
        {"family": "gamma", "shape": 2, "rate": 1},
        {"family": "gamma", "shape": 6, "rate": 2},
    ],
}
_TWO_LAPLACES = {
    "family": "mixture",
    "weights": [0.6, 0.4],
    "components": [{"family": "laplace", "location": -2}, {"family": "laplace", "scale": 0.5}],
}
_STEPS = ([[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.2, 0.8]])
_SPARSE = ([0.5, 0.5, 0.0], [0.3, 0.5, 0.2])

PAIRS: Mapping[str, Entry] = {
    "normal": Entry(
        pair({"mean": 1, "sd": 2}, {"mean": 0, "sd": 2.5}),
        continuous(stats.norm(1, 2), stats.norm(0, 2.5)),
        -1 / (1 - 0.64), INF,
    ),
    "student-t": Entry(
        STUDENT_T.sweep((5.0,), 1, 1.25, 0.5),
        continuous(stats.t(5, 0.5, 1), stats.t(5, 0, 1.25)),
        -INF, INF,
    ),
    "student-t, other df": Entry(
        pair({"family": "student-t", "df": 10}, {"family": "student-t", "df": 3}),
        continuous(stats.t(10), stats.t(3)),
        -10 / 7, INF,
    ),
    "laplace": Entry(
        LAPLACE.sweep((), 1, 1.25, 0.5),
        continuous(stats.laplace(0.5, 1), stats.laplace(0, 1.25), 0.0, 0.5),
        -5, INF,
    ),
    "logistic": Entry(
        LOGISTIC.sweep((), 1, 0.8, 1.0),
        continuous(stats.logistic(1, 1), stats.logistic(0, 0.8)),
        -INF, 4,
    ),
    "student-t against normal": Entry(
        pair({"family": "student-t", "df": 10}, {"sd": 1.5}),
        continuous(stats.t(10), stats.norm(0, 1.5)),
        -INF, 0,
    ),
    "normal against student-t": Entry(
        pair({"mean": 0.5}, {"family": "student-t", "df": 3}),
        continuous(stats.norm(0.5), stats.t(3)),
        -1, INF,
    ),
    "laplace against logistic": Entry(
        pair({"family": "laplace"}, {"family": "logistic", "scale": 1.5, "location": 0.25}),
        continuous(stats.laplace(), stats.logistic(0.25, 1.5), 0.0),
        -3, INF,
    ),
    "gamma": Entry(
        GAMMA.sweep((2.0,), 1, 1.25, 0.25),
        continuous(stats.gamma(2 * math.exp(0.25)), stats.gamma(2, scale=1.25)),
        -1 / (1 - math.exp(-0.25)), INF,
    ),
    "gamma, both parameters": Entry(
        pair({"family": "gamma", "shape": 2}, {"family": "gamma", "shape": 3, "rate": 0.5}),
        continuous(stats.gamma(2), stats.gamma(3, scale=2)),
        -2, 2,
    ),
    "gamma of tiny shapes": Entry(
        pair(
            {"family": "gamma", "shape": 0.05},
            {"family": "gamma", "shape": 0.06, "rate": 1.25},
        ),
        continuous(stats.loggamma(0.05), stats.loggamma(0.06, loc=-math.log(1.25))),
        -INF, 4,
    ),
    "beta": Entry(
        pair({"family": "beta", "a": 2, "b": 3}, {"family": "beta", "a": 1.5, "b": 2}),
        continuous(Logit(2, 3), Logit(1.5, 2)),
        -3, INF,
    ),
    "weibull": Entry(
        FAMILIES["weibull"].sweep((1.5,), 1, 1.25, 0.5),
        continuous(stats.gumbel_l(0.5, 1 / 1.5), stats.gumbel_l(0.0, 1.25 / 1.5)),
        -1, INF,
    ),
    "inverse gamma against lognormal": Entry(
        pair({"family": "inverse-gamma", "shape": 2}, {"family": "lognormal", "mean": 0, "sd": 2}),
        continuous(Negative(stats.loggamma(2)), stats.norm(0, 2)),
        -1, 0,
    ),
    "lognormal against half-cauchy": Entry(
        pair({"family": "lognormal", "mean": 0.5, "sd": 0.7}, {"family": "half-cauchy"}),
        continuous(stats.norm(0.5, 0.7), stats.hypsecant()),
        -1, INF,
    ),
    "logit-normal against beta": Entry(
        pair(
            {"family": "logit-normal", "mean": 0.5, "sd": 0.7}, {"family": "beta", "a": 2, "b": 3}
        ),
        continuous(stats.norm(0.5, 0.7), Logit(2, 3)),
        -1, INF,
    ),
    "mixture": Entry(
        pair(_MIXED, {"family": "student-t", "df": 5, "location": 1, "scale": 2}),
        continuous(Blend([0.25, 0.75], [stats.norm(-1), stats.t(5, 2)]), stats.t(5, 1, 2)),
        -INF, INF,
    ),
    "mixture of laplaces": Entry(
        pair({"family": "laplace", "scale": 0.8, "location": -0.5}, _TWO_LAPLACES),
        continuous(
            stats.laplace(-0.5, 0.8),
            Blend([0.6, 0.4], [stats.laplace(-2), stats.laplace(0, 0.5)]),
            -2.0, -0.5, 0.0,
        ),
        -5, INF,
    ),
    "mixture of gammas": Entry(
        pair(_TWO_GAMMAS, {"family": "gamma", "shape": 2.5, "rate": 0.8}),
        continuous(
            Blend([0.5, 0.5], [stats.gamma(2), stats.gamma(6, scale=0.5)]),
            stats.gamma(2.5, scale=1.25),
        ),
        -5, 4,
    ),
    "uniform against a wider triangular": Entry(
        pair(
            {"family": "uniform", "low": -1, "high": 2},
            {"family": "triangular", "low": -2, "mode": 0.5, "high": 4},
        ),
        continuous(
            Inside(stats.uniform(-1, 3), -1, 2), Inside(stats.triang(5 / 12, -2, 6), -1, 2), 0.5,
        ),
        -INF, INF, stats.triang(5 / 12, -2, 6).cdf(2) - stats.triang(5 / 12, -2, 6).cdf(-1),
    ),
    "triangular": Entry(
        pair(
            {"family": "triangular", "low": 0, "mode": 0.4, "high": 1},
            {"family": "triangular", "low": 0, "mode": 0.6, "high": 1},
        ),
        continuous(Triangle(0.4), Triangle(0.6), 0.4, 0.6),
        -INF, INF,
    ),
    "triangular against uniform": Entry(
        pair(
            {"family": "triangular", "low": 0, "mode": 0.4, "high": 1}, {"family": "uniform"},
        ),
        continuous(Triangle(0.4), Logit(1, 1), 0.4),
        -2, INF,
    ),
    "truncated normals": Entry(
        pair(
            {"family": "truncated-normal", "mean": 0.5, "low": -1, "high": 2},
            {"family": "truncated", "of": {"mean": 0, "sd": 1.5}, "low": -2},
        ),
        continuous(
            Inside(stats.truncnorm(-1.5, 1.5, 0.5, 1), -1, 2),
            Inside(stats.truncnorm(-4 / 3, INF, 0, 1.5), -1, 2),
        ),
        -INF, INF,
        stats.truncnorm(-4 / 3, INF, 0, 1.5).cdf(2) - stats.truncnorm(-4 / 3, INF, 0, 1.5).cdf(-1),
    ),
    "gamma against logistic": Entry(
        pair(
            {"family": "gamma", "shape": 2, "rate": 2},
            {"family": "logistic", "location": 1, "scale": 0.75},
        ),
        continuous(stats.gamma(2, scale=0.5), stats.logistic(1, 0.75)),
        -2, INF, stats.logistic(1, 0.75).sf(0),
    ),
    "beta against normal": Entry(
        pair({"family": "beta", "a": 2, "b": 3}, {"mean": 0.5, "sd": 0.5}),
        continuous(Logit(2, 3), Inside(stats.norm(0.5, 0.5), 0, 1)),
        -1.5, INF, stats.norm(0.5, 0.5).cdf(1) - stats.norm(0.5, 0.5).cdf(0),
    ),
    "lognormal against normal": Entry(
        pair({"family": "lognormal", "mean": 0.3, "sd": 0.5}, {"mean": 1, "sd": 2}),
        continuous(stats.lognorm(0.5, scale=math.exp(0.3)), stats.norm(1, 2)),
        -1, 0, stats.norm(1, 2).sf(0),
    ),
    "half-normal against logistic": Entry(
        pair(
            {"family": "half-normal", "scale": 1.2},
            {"family": "logistic", "location": 0.5, "scale": 0.75},
        ),
        continuous(stats.halfnorm(scale=1.2), stats.logistic(0.5, 0.75)),
        -1, INF, stats.logistic(0.5, 0.75).sf(0),
    ),
    "pareto of a larger least value": Entry(
        pair(
            {"family": "pareto", "shape": 4, "scale": 1.5},
            {"family": "pareto", "shape": 2, "scale": 1},
        ),
        continuous(stats.pareto(4, scale=1.5), stats.pareto(2)),
        -2, INF, 1.5**-2,
    ),
    "poisson": Entry(
        pair({"family": "poisson", "rate": 3}, {"family": "poisson", "rate": 4.5}),
        counts(3.0, 4.5),
        -INF, INF,
    ),
    "categorical": Entry(
        pair(
            {"family": "categorical", "probabilities": [0.7, 0.2, 0.1]},
            {"family": "categorical", "probabilities": [0.1, 0.3, 0.6]},
        ),
        listed(np.log([0.7, 0.2, 0.1]), np.log([0.1, 0.3, 0.6])),
        -INF, INF,
    ),
    "categorical, q = 0 in places": Entry(
        pair(*({"family": "categorical", "probabilities": p} for p in _SPARSE)),
        listed(np.log([0.5, 0.5]), np.log([0.3, 0.5])),
        -INF, INF, 0.8,
    ),
    "bernoulli": Entry(
        pair({"family": "bernoulli", "probability": 0.3}, {"family": "bernoulli", "logit": 0.5}),
        of_counts(stats.bernoulli(0.3), stats.bernoulli(special.expit(0.5))),
        -INF, INF,
    ),
    "bernoulli against categorical": Entry(
        pair(
            {"family": "bernoulli", "logit": -1},
            {"family": "categorical", "probabilities": [0.4, 0.6]},
        ),
        of_counts(stats.bernoulli(special.expit(-1)), stats.bernoulli(0.6)),
        -INF, INF,
    ),
    "binomial": Entry(
        pair({"family": "binomial", "n": 20, "p": 0.3}, {"family": "binomial", "n": 20, "p": 0.4}),
        of_counts(stats.binom(20, 0.3), stats.binom(20, 0.4)),
        -INF, INF,
    ),
    "binomial of fewer trials": Entry(
        pair({"family": "binomial", "n": 4, "p": 0.6}, {"family": "binomial", "n": 6, "p": 0.4}),
        of_counts(stats.binom(4, 0.6), stats.binom(6, 0.4)),
        -INF, INF, stats.binom(6, 0.4).cdf(4),
    ),
    "binomial against poisson": Entry(
        pair({"family": "binomial", "n": 9, "p": 0.4}, {"family": "poisson", "rate": 3}),
        of_counts(stats.binom(9, 0.4), stats.poisson(3)),
        -INF, INF, stats.poisson(3).cdf(9),
    ),
    "geometric": Entry(
        pair({"family": "geometric", "p": 0.5}, {"family": "geometric", "mean": 1.5}),
        of_counts(stats.geom(0.5, loc=-1), stats.geom(0.4, loc=-1)),
        1 / (math.log(0.6) / math.log(0.5) - 1), INF,
    ),
    "negative-binomial": Entry(
        pair(
            {"family": "negative-binomial", "r": 2.5, "probability": 0.4},
            {"family": "negative-binomial", "r": 4, "logit": 0.0},
        ),
        of_counts(stats.nbinom(2.5, 0.4), stats.nbinom(4, 0.5)),
        -INF, 1 / (math.log(0.5) / math.log(0.6) - 1),
    ),
    "negative-binomial against poisson": Entry(
        pair(
            {"family": "negative-binomial", "r": 8, "mean": 3}, {"family": "poisson", "rate": 2.5}
        ),
        of_counts(stats.nbinom(8, 8 / 11), stats.poisson(2.5)),
        -INF, 0,
    ),
    "poisson against negative-binomial": Entry(
        pair(
            {"family": "poisson", "rate": 2.5},
            {"family": "negative-binomial", "mean": 3, "dispersion": 0.125},
        ),
        of_counts(stats.poisson(2.5), stats.nbinom(8, 8 / 11)),
        -1, INF,
    ),
    "beta-binomial": Entry(
        pair(
            {"family": "beta-binomial", "n": 12, "a": 0.7, "b": 2},
            {"family": "beta-binomial", "n": 12, "a": 1.5, "b": 1.2},
        ),
        of_counts(stats.betabinom(12, 0.7, 2), stats.betabinom(12, 1.5, 1.2)),
        -INF, INF,
    ),
    "dirichlet": Entry(
        pair(
            {"family": "dirichlet", "concentration": [2, 3]},
            {"family": "dirichlet", "concentration": [1.5, 4]},
        ),
        continuous(Logit(2, 3), Logit(1.5, 4)),
        -4, 3,
    ),
    "policy": Entry(
        pair(
            {"family": "policy", "transitions": _STEPS[0], "initial": [0.2, 0.8], "dimension": 3},
            {"family": "policy", "transitions": _STEPS[1]},
        ),
        sequences([0.2, 0.8], *_STEPS, 3),
        -INF, INF,
    ),
}  # fmt: skip
ALL = pytest.mark.parametrize("name", PAIRS)
CONTINUOUS = [name for name in PAIRS if PAIRS[name].pair.additive]
_points: dict[str, Points] = {}


def points(name: str) -> Points:
    if name not in _points:
        _points[name] = PAIRS[name].points()
    return _points[name]


def test_points_are_a_probability() -> None:
    """The independent quadrature itself: weights add up to 1, and E r to p's mass."""
    for name, entry in PAIRS.items():
        x = points(name)
        assert x.weight.sum() == pytest.approx(1.0, abs=1e-13)
        if entry.lowest < -1.2:
            assert x.weight @ np.exp(-x.ell) == pytest.approx(entry.mass, rel=1e-12)


@ALL
def test_identities(name: str) -> None:
    """E r is p's mass, E l is KL, and E r l is -KL(p||q)."""
    entry = PAIRS[name]
    law, mass = entry.pair.law, entry.mass
    assert law.missed_mass == pytest.approx(1.0 - mass, abs=1e-12)
    assert law.ell(2).value[1] == law.kl
    x = points(name)
    assert law.kl == pytest.approx(float(x.weight @ x.ell), rel=1e-11)
    reverse = entry.pair.reverse_kl
    if mass < 1.0:
        assert reverse == INF
    elif law.is_finite(-1, 1):
        terms = x.weight * np.exp(-x.ell) * x.ell
        if x.mirrored is None or np.abs(terms[[0, -1]]).max() < 1e-14 * reverse:
            assert terms.sum() == pytest.approx(-reverse, rel=1e-9)
        assert entry.pair.reversed().reversed().law.kl == pytest.approx(law.kl, rel=1e-12)


@ALL
def test_moments(name: str) -> None:
    """The cumulants of (Q, L) and of l, and the moments of (r - 1, k3), to the fourth order."""
    law, x = PAIRS[name].pair.law, points(name)
    mirrored = x.mirrored if law.mirrored and x.mirrored is not None else x.ell
    ends = [0, -1] if x.mirrored is not None else []  # of the panels
    ratio = np.expm1(-np.clip(x.ell, -700.0, None)) + law.missed_mass
    k3 = ratio + x.ell - law.kl
    even, odd = 0.5 * (x.ell + mirrored) - law.kl, 0.5 * (x.ell - mirrored)
    checked = 0
    pairs = [((ratio, k3), law.block(False, 4).value, True)]
    if law.mirrored:
        pairs.append(((even, odd), joint.central_moments(law.parts(4), 2).value, False))
    for variables, moments, mixed in pairs:
        for i, j in itertools.product(range(5), repeat=2):
            tilt = -float(i + j) if mixed else 0.0
            if not 2 <= i + j <= 4 or not law.is_finite(tilt, 0 if mixed else i + j):
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                parts = x.weight * variables[0] ** i * variables[1] ** j
            size = float(np.abs(parts).sum())
            # What lies beyond the panels must not count.
            if not math.isfinite(size) or (np.abs(parts[ends]) > 1e-14 * size).any():
                continue
            assert moments[i, j] == pytest.approx(parts.sum(), abs=1e-9 * size)
            checked += 1
    assert checked >= (12 if law.mirrored else 3) or not law.is_finite(-2.0)
    mu = [float(x.weight @ (x.ell - law.kl) ** m) for m in range(5)]
    if law.is_finite(0, 4) and (x.weight * x.ell**4)[ends].max(initial=0.0) < 1e-14 * mu[4]:
        expected = [mu[2], mu[3], mu[4] - 3 * mu[2] ** 2]
        assert law.ell(4).value[2:] == pytest.approx(expected, rel=1e-9, abs=1e-10 * mu[4])


@ALL
def test_border(name: str) -> None:
    """Expectations exist just inside the border and not just outside it."""
    entry = PAIRS[name]
    law = entry.pair.law
    assert law.lowest_tilt == pytest.approx(entry.lowest, rel=1e-12)
    for edge, sign in ((entry.lowest, -1.0), (entry.highest, 1.0)):
        if math.isinf(edge):
            assert law.is_finite(30.0 * sign)
            continue
        inside, outside = edge - sign * 1e-6, edge + sign * 1e-6
        assert law.is_finite(inside)
        assert not law.is_finite(outside)
    if name == "student-t against normal":  # E l^k is finite for 2 k < 10
        assert law.is_finite(0, 4)
        assert not law.is_finite(0, 5)


@pytest.mark.parametrize(
    ("family", "shapes", "scale"),
    [
        ("laplace", (), 2.0),
        ("logistic", (), 2.0),
        ("gamma", (2.0,), 2.0),
        ("student-t", (4.0,), INF),
    ],
)
def test_second_moment_of_the_ratio(family: str, shapes: tuple[float, ...], scale: float) -> None:
    """E r^2 is finite below scale 2, for student-t at every scale."""
    sweep = FAMILIES[family].sweep
    assert sweep is not None
    if math.isinf(scale):
        assert sweep(shapes, 3, 1e3, 0.5).law.is_finite(-2)
        return
    assert sweep(shapes, 3, scale * (1 - 1e-9), 0.0).law.is_finite(-2)
    assert not sweep(shapes, 3, scale, 0.0).law.is_finite(-2)


def test_closed_forms() -> None:
    """K of a Dirichlet law from its log-partition function, also near the border."""
    q, p = np.array([0.3, 4.0, 50.0]), np.array([0.7, 1.0, 60.0])

    def of_dirichlet(t: float) -> float:
        alpha = q + t * (q - p)
        return special.gammaln(alpha).sum() - special.gammaln(alpha.sum())

    law = pair(
        {"family": "dirichlet", "concentration": q}, {"family": "dirichlet", "concentration": p}
    ).law
    slope = of_dirichlet(0) - of_dirichlet(-1)
    for s in (-1.3333, -1.2, -0.3, 0.7, 0.7499):
        expected = of_dirichlet(s) - of_dirichlet(0) - s * slope
        assert law.log_mgf(s) == pytest.approx(expected, rel=1e-11)
    assert law.is_finite(0.7499)
    assert not law.is_finite(0.75)  # 0.3 - 0.75 * 0.4 = 0


H = 2.0**-30
_NEAR_MIXTURES = [
    {
        "family": "mixture",
        "weights": [0.25 + h, 0.75 - h],
        "components": [
            {"mean": -1, "sd": 1 + h},
            {"family": "student-t", "df": 5, "location": 2 + h, "scale": 0.5},
        ],
    }
    for h in (0.0, H)
]
# What changes from q to p, KL and Var l, the numbers by mpmath with 50 digits.
NEAR: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any], float, float]] = [
    ("normal", {"mean": 1, "sd": 3}, {"mean": 1 + H, "sd": 3 + 3 * H},
     9.1554849977390407152e-19, 1.8310969972141822896e-18),
    ("student-t", {"df": 5, "location": 1, "scale": 3}, {"location": 1 + H, "scale": 3 + 3 * H},
     5.7824115797231116689e-19, 1.1564823153522403857e-18),
    ("student-t", {"df": 5, "location": 1, "scale": 3}, {"df": 5 + H},
     1.3108390149769521007e-21, 2.6216780302991320146e-21),
    ("laplace", {"location": 1, "scale": 3}, {"location": 1 + H, "scale": 3 + 3 * H},
     4.81867631627386904e-19, 9.6373526271624476449e-19),
    ("logistic", {"location": 1, "scale": 3}, {"location": 1 + H, "scale": 3 + 3 * H},
     6.3620683361640885501e-19, 1.2724136663170546602e-18),
    ("gamma", {"shape": 2, "rate": 0.25}, {"shape": 2 + H, "rate": 0.25 * (1 + H)},
     2.7969556636566444182e-19, 5.5939113310940691669e-19),
    ("beta", {"a": 2, "b": 3}, {"a": 2 + H, "b": 3 - H},
     4.5097091582719840802e-19, 9.0194183172171294659e-19),
    ("mixture", *({k: v for k, v in m.items() if k != "family"} for m in _NEAR_MIXTURES),
     2.5979722479750232025e-18, 5.1959444938391282933e-18),
    ("poisson", {"rate": 3}, {"rate": 3 + 3 * H},
     1.3010426061748117544e-18, 2.6020852115418299428e-18),
    ("categorical", {"probabilities": [0.5, 0.25, 0.25]},
     {"probabilities": [0.5 + H, 0.25 - H, 0.25]},
     2.6020852171963849229e-18, 5.2041704376239441295e-18),
    ("policy", {"transitions": [[0.5, 0.5], [0.25, 0.75]], "initial": [1, 0], "dimension": 3},
     {"transitions": [[0.5 + H, 0.5 - H], [0.25 + H, 0.75 - H]]},
     5.8546917271134916063e-18, 1.1709383452342131561e-17),
    ("dirichlet", {"concentration": [2, 3, 500]},
     {"concentration": [2 + H, 3 - H, 500 + 500 * H]},
     2.6021827742166751636e-18, 5.20436555116138341426e-18),
]  # fmt: skip


# KL and Var l by mpmath with 50 digits from the log-partition functions.
SHAPES: Sequence[tuple[str, Sequence[float], float, float]] = [
    ("gamma", (0.002, 0.002, 0.003, 0.003), 0.094319316238647187, 0.24950164013879401),
    ("gamma", (0.001, 1, 1e12, 1), 1027206593047718.0, 1.0000016425331938e30),
    ("gamma", (1, 1, 0.001, 0.001), 5.3384481914262045, 0.64364484364859683),
    ("gamma", (1e12, 1, 1.00001e12, 1), 49.999833334191662, 100.00000000005),
    ("gamma", (1e12, 2, 1e12, 2.000002), 0.49999966658465011, 0.99999999983546672),
    ("gamma", (1e8, 1, 1.0001e8, 1.0001), 2.4998333541648335e-9, 5.0000000166666667e-9),
    (
        "gamma",
        (0.05, 1, 0.05 * (1 + 1e-9), 1 + 1e-9),
        4.769155252729251e-19,
        9.5383105119593819e-19,
    ),
    ("beta", (1e12, 2, 1.1e12, 2), 0.009379640391341189, 0.01999999999998),
    ("beta", (2, 1e12, 2, 1.1e12), 0.009379640391341189, 0.01999999999998),
    ("beta", (1e6, 1e6, 1.01e6, 1e6), 24.875743116561866, 50.000037500014583),
    ("beta", (1e8, 1e3, 1.0001e8, 1e3), 4.9996167471583461e-6, 9.9999001009984905e-6),
    ("beta", (1e-3, 1e12, 2e-3, 1e12), 0.30685364030731658, 1.0000016425331959),
]  # fmt: skip


@pytest.mark.parametrize(("family", "numbers", "kl", "variance"), SHAPES)
def test_small_and_large_shapes_keep_their_digits(
    family: str, numbers: Sequence[float], kl: float, variance: float
) -> None:
    names = ("shape", "rate") if family == "gamma" else ("a", "b")
    q, p = (
        {"family": family, **dict(zip(names, two, strict=True))}
        for two in (numbers[:2], numbers[2:])
    )
    law = pair(q, p).law
    assert law.kl == pytest.approx(kl, rel=1e-10, abs=0)
    assert law.variance == pytest.approx(variance, rel=1e-9, abs=0)


@pytest.mark.parametrize("upper", [False, True])
def test_quantiles_of_tiny_gamma_shapes(upper: bool) -> None:
    """The probability below e^y is that of SciPy's gammainc, or x^a / Gamma(a + 1) below 1e-290."""
    u = np.concatenate((10.0 ** -np.arange(1.0, 300.0, 7.0), np.linspace(0.01, 0.99, 41)))
    for shape in (1e-3, 0.05):
        law = LogGamma(shape, -math.log(2.0))
        y = law.quantile(u, upper)
        assert law.probability(y, upper) == pytest.approx(u, rel=1e-12)
        below = np.where(
            y < -600.0,
            np.exp(shape * (y + math.log(2.0)) - special.gammaln(shape + 1.0)),
            special.gammainc(shape, 2.0 * np.exp(y)),
        )
        assert below == pytest.approx(1.0 - u if upper else u, rel=1e-11, abs=1e-14 if upper else 0)


def test_logits_do_not_underflow() -> None:
    """q is even, so KL is (0 + 750) / 2 + log(1 + e^-750) - log 2."""
    even = {"family": "categorical", "logits": [0, 0]}
    law = pair(even, {"family": "categorical", "logits": [0, 750]}).law
    assert law.kl == pytest.approx(375.0 - math.log(2.0), rel=1e-13)
    assert law.variance == pytest.approx(375.0**2, rel=1e-13)
    q = side({"family": "categorical", "logits": [0, -800, -math.inf]})
    assert q.log_probabilities.tolist() == [0.0, -800.0, -math.inf]
    with pytest.raises(ValueError, match="p is 0 in category 1, counted from 0, where q is not"):
        pair(even, {"family": "categorical", "logits": [0, -math.inf]})


@pytest.mark.parametrize(("family", "q", "change", "kl", "variance"), NEAR)
def test_near_equal_pairs_keep_every_digit(
    family: str, q: Mapping[str, Any], change: Mapping[str, Any], kl: float, variance: float
) -> None:
    law = pair({"family": family, **q}, {"family": family, **q, **change}).law
    assert law.kl == pytest.approx(kl, rel=1e-12, abs=0)
    assert law.variance == pytest.approx(variance, rel=1e-12, abs=0)
    # Var r is Var l to leading order
    assert law.block(False, 2).value[2, 0] == pytest.approx(variance, rel=1e-8, abs=0)


def simulate(entry: Pair, samples: int, signs: int, *others: Pair) -> tuple[Any, np.ndarray]:
    """Draws of one stream, and l of shape (signs, pairs, samples)."""
    forms = [one.form() for one in (entry, *others)]
    assert len({form.shape for form in forms}) == 1
    draw = forms[0].draw(Stream(7), samples)
    kept = np.copy(draw[0]) if isinstance(draw, list) else np.empty(0)
    evaluator = forms[0].evaluator(forms, signs)
    evaluator.resize(1, samples)
    evaluator.add(draw, 0, 0, samples)
    out = np.empty((1, signs, len(forms), 1, samples))
    evaluator.finish(out)
    return kept, out[0, :, :, 0]


class Stream:
    """Random numbers as a backend gives them."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.SFC64(seed))

    def sample(self, law: Any, rows: int, columns: int) -> np.ndarray:
        return law.draw(self._generator, (rows, columns))

    def generator(self, kind: str) -> np.random.Generator:
        return self._generator

    def quantiles(self, law: Any, u: np.ndarray) -> np.ndarray:
        return law.quantile(u)


SAMPLES = 20_000


@ALL
def test_draws_follow_the_law(name: str) -> None:
    """Kolmogorov's distance below its bound; l by its definition, with the law's moments."""
    entry = PAIRS[name]
    law = entry.pair.law
    drawn, ell = simulate(entry.pair, SAMPLES, 1)
    if isinstance(side_q := getattr(entry.pair, "factors", None), tuple):
        q = side_q[0].q
        first = q.location + q.scale * np.asarray(drawn, dtype=float)[:, 0]
        # P is uniform; sqrt(n) times its distance exceeds 2.7 with probability 1e-6.
        u = np.sort(q.probability(first))
        assert np.abs(u - (np.arange(SAMPLES) + 0.5) / SAMPLES).max() < 2.7 / math.sqrt(SAMPLES)
        expected = q.log_density(first) - side_q[0].p.log_density(first)
        assert ell[0, 0] == pytest.approx(expected, abs=1e-11)
    # Every value's share, or every bin's, against the independent points.
    x = points(name)
    order = np.argsort(x.ell, kind="stable")
    values, below = x.ell[order], np.cumsum(x.weight[order])
    at = np.quantile(ell[0, 0], np.linspace(0.05, 0.95, 19)) + 1e-9
    share = (ell[0, 0][:, None] <= at).mean(axis=0)
    exact = below[np.searchsorted(values, at, side="right") - 1]
    slack = 0.01 if x.mirrored is not None else 0.0  # a point of the quadrature stands for a bin
    assert np.abs(share - exact).max() < 2.7 / math.sqrt(SAMPLES) + slack
    if law.is_finite(0, 4):
        kappa = law.ell(4).value[1:]
        error = math.sqrt(kappa[1] / SAMPLES)
        assert ell.mean() == pytest.approx(law.kl, abs=5 * error)
        # 0 for two equally likely values, where rounding may be left.
        of_variance = math.sqrt(max(kappa[3] + 2 * kappa[1] ** 2, 0.0) / SAMPLES)
        assert ell.var() == pytest.approx(kappa[1], abs=5 * of_variance + 25 * kappa[1] / SAMPLES)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_antithetic_pairs(name: str) -> None:
    """The mirrored l at its mirrored points, and the variance of a pair's mean."""
    entry = PAIRS[name]
    drawn, ell = simulate(entry.pair, SAMPLES, 2)
    (factor,) = entry.pair.factors
    q = factor.q
    there = q.mirror(q.location + q.scale * drawn[:, 0])
    assert q.probability(there, True) == pytest.approx(
        q.probability(q.mirror(there), False), rel=1e-9
    )
    expected = q.log_density(there) - factor.p.log_density(there)
    assert ell[1, 0] == pytest.approx(expected, abs=1e-9)
    law = entry.pair.law
    if not law.is_finite(0, 4):
        return
    parts = law.parts(4).value
    variance, fourth = parts[2, 0], parts[4, 0]
    error = math.sqrt((fourth + 2 * variance**2) / SAMPLES)
    assert ell[:, 0].mean(axis=0).var() == pytest.approx(variance, abs=5 * error)
    odd = 0.5 * (ell[0, 0] - ell[1, 0])
    assert odd.var() == pytest.approx(
        parts[0, 2], abs=5 * math.sqrt((parts[0, 4] + 2 * parts[0, 2] ** 2) / SAMPLES)
    )


@pytest.mark.parametrize("name", CONTINUOUS)
def test_strata(name: str) -> None:
    """The variance and the third moment of a mean over 16 strata, one point in each."""
    entry, n, replicates = PAIRS[name].pair, 16, 4000
    if not entry.law.is_finite(0, 4):
        return
    u = np.random.default_rng(11).random((replicates, n)) + np.arange(n)
    form = entry.form()
    draw = form.at(Stream(3), u.reshape(-1, 1) / n)
    evaluator = form.evaluator([form], 1)
    evaluator.resize(1, u.size)
    evaluator.add(draw, 0, 0, u.size)
    out = np.empty((1, 1, 1, 1, u.size))
    evaluator.finish(out)
    means = out.reshape(replicates, n).mean(axis=1)
    exact = form.stratified(n)
    variances = (means - entry.law.kl) ** 2
    error = float(variances.std()) / math.sqrt(replicates)
    assert variances.mean() == pytest.approx(exact.variance, abs=5 * error)
    assert form.balanced_variance(n) == pytest.approx(exact.variance, rel=1e-12)
    error = math.sqrt(exact.variance / replicates)
    assert means.mean() == pytest.approx(entry.law.kl, abs=5 * error)
    # One stratum is the whole law.
    whole = form.stratified(1)
    kappa = entry.law.ell(4).value[1:]
    assert whole.variance == pytest.approx(kappa[1], rel=1e-8)
    assert whole.skewness == pytest.approx(kappa[2] / kappa[1] ** 1.5, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("q", "ps"),
    [
        ({"family": "gamma", "shape": 2}, [
            {"family": "gamma", "shape": 2, "rate": [0.5, 2, 1.5]},
            {"family": "gamma", "shape": [3, 1, 1.5], "rate": 0.7},
        ]),
        ({"family": "beta", "a": 0.3, "b": 2}, [
            {"family": "beta", "a": [1, 2, 0.2], "b": [0.5, 2, 3]},
            {"family": "beta", "a": 1, "b": [3, 3, 3]},
        ]),
        ({"family": "student-t", "df": 4, "location": [1, 2, 3], "scale": 2}, [
            {"mean": 0, "sd": [3, 4, 5]}, {"family": "logistic", "scale": 2},
            {"family": "student-t", "df": [3, 4, 4], "location": 1},
        ]),
        (_MIXED, [{**_MIXED, "weights": [0.5, 0.5]}, {"family": "student-t", "df": 3}]),
        ({"family": "gamma", "shape": 2, "rate": [1, 2]}, [
            {"family": "truncated-normal", "low": 0}, {"mean": [1, 2], "sd": 2},
        ]),
        ({"family": "lognormal", "mean": [0, 1, 1], "sd": [1, 0.5, 0.5]}, [
            {"mean": [1, 2, 3], "sd": 4}, {"family": "student-t", "df": 3, "location": [0, 1, 2]},
        ]),
        ({"family": "pareto", "shape": 4, "scale": [2, 3]}, [
            {"family": "pareto", "shape": 3, "scale": 1}, {"mean": [1, 3], "sd": 5},
            {"family": "pareto", "shape": [3, 2], "scale": [2, 3]},
        ]),
        ({"family": "poisson", "rate": [2, 3, 40]}, [
            {"family": "poisson", "rate": 1}, {"family": "poisson", "rate": [0.1, 5, 42]},
        ]),
        ({"family": "dirichlet", "concentration": [0.02, 3, 5]}, [
            {"family": "dirichlet", "concentration": [0.04, 3, 2]},
            {"family": "dirichlet", "concentration": [1, 1, 1]},
        ]),
        ({"family": "categorical", "logits": [0, 1, -2]}, [
            {"family": "categorical", "logits": [2, 2, 0]},
            {"family": "categorical", "probabilities": [0.2, 0.3, 0.5]},
        ]),
    ],
)  # fmt: skip
def test_settings_share_draws(q: Mapping[str, Any], ps: Sequence[Mapping[str, Any]]) -> None:
    """Several p over the same draws: each l has its law's mean and variance, and E r = 1."""
    pairs = [pair(q, p) for p in ps]
    _, together = simulate(pairs[0], 4000, 1, *pairs[1:])
    for j, one in enumerate(pairs):
        _, alone = simulate(one, 4000, 1)
        assert together[0, j] == pytest.approx(alone[0, 0], rel=1e-11, abs=1e-11)
        law = one.law
        if law.is_finite(0, 2):
            error = math.sqrt(law.variance / 4000)
            assert alone.mean() == pytest.approx(law.kl, abs=5 * error)


def test_draws_do_not_depend_on_how_many_are_drawn_at_a_time() -> None:
    for name in PAIRS:
        if PAIRS[name].pair.form().block > 1:  # the kernel asks for whole blocks
            continue
        form = PAIRS[name].pair.form()
        whole, split = Stream(5), Stream(5)
        parts = [form.draw(split, rows) for rows in (3, 1, 4)]
        block = form.draw(whole, 8)
        if isinstance(block, list):
            block, parts = block[0], [part[0] for part in parts]
        np.testing.assert_array_equal(block, np.concatenate(parts))


def test_coordinates_add_up() -> None:
    """Cumulants of a vector are the sums over its coordinates, whatever their families."""
    q = {"family": "gamma", "shape": [2, 3, 2], "rate": [1, 2, 1]}
    p = {"family": "gamma", "shape": 2.5, "rate": 1.5}
    law = pair(q, p).law
    parts = [
        pair(
            {"family": "gamma", "shape": a, "rate": b},
            {"family": "gamma", "shape": 2.5, "rate": 1.5},
        ).law
        for a, b in ((2, 1), (3, 2), (2, 1))
    ]
    for m, kappa in enumerate(law.ell(4).value):
        assert kappa == pytest.approx(sum(part.ell(4).value[m] for part in parts), rel=1e-13)
    rates = pair({"family": "poisson", "rate": [2, 3]}, {"family": "poisson", "rate": 4}).law
    assert rates.kl == pytest.approx(
        sum(r * math.log(r / 4) - r + 4 for r in (2.0, 3.0)), rel=1e-13
    )


def test_quantiles_of_mixtures() -> None:
    """Quantiles and probabilities of either tail are inverse to each other, to rounding."""
    for given in (_MIXED, _TWO_GAMMAS, _TWO_LAPLACES):
        (law,) = side(given).laws
        u = np.concatenate((10.0 ** -np.arange(1.0, 200.0, 7.0), np.linspace(0.01, 0.99, 41)))
        for upper in (False, True):
            back = law.probability(law.quantile(u, upper), upper)
            assert back == pytest.approx(u, rel=1e-12)


G = {"family": "gamma", "shape": 2}
C = {"family": "categorical", "probabilities": [0.5, 0.5]}
U = {"family": "uniform"}
CUT = {"family": "truncated", "of": {"mean": 0}}
_LOGITS = {"family": "categorical"}


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        ({**G, "rate": 0}, G, "gamma: rate 0, expected a number above 0"),
        ({"family": "gamma"}, G, "gamma: shape is missing"),
        ({**G, "shape": [1, 0]}, G, r"gamma: shape 0 \(number 2 of 2\), expected a number above 0"),
        ({**G, "rat": 1}, G, "gamma: unknown parameter rat, .*; did you mean rate?"),
        ({**G, "rate": "fast"}, G, "gamma: rate 'fast', expected a number"),
        ({**G, "shape": [2, 3], "rate": [1, 1, 1]}, G, "gamma: 2 numbers of shape and 3 numbers"),
        ({**G, "shape": [2, 3]}, {**G, "shape": [2, 3, 4]}, "q has 2 coordinates and p has 3"),
        ({"family": "student-t", "df": -1}, {}, "student-t: df -1, expected a number above 0"),
        (
            {"family": "student-t", "df": math.nan},
            {},
            "df nan, expected a finite number",
        ),
        (
            {},
            G,
            r"KL is infinite, since p = 0 and q > 0 between -inf and 0: q is normal on .*, p is g",
        ),
        (
            U,
            {**U, "low": 0.25},
            r"p = 0 and q > 0 between 0 and 0.25: q is uniform on \(0, 1\), p is u",
        ),
        (U, {**U, "high": 0.5}, "p = 0 and q > 0 between 0.5 and 1"),
        ({}, U, "p = 0 and q > 0 between -inf and 0"),
        (U, {**U, "low": 2, "high": 3}, "p = 0 and q > 0 between 0 and 1"),
        ({**U, "low": 1}, U, "uniform: low 1 and high 1, expected low < high"),
        ({**U, "low": -math.inf}, U, "uniform: low -inf, expected a finite number"),
        ({**U, "low": [0, 2]}, U, "uniform: low 2 and high 1, expected low < high"),
        ({"family": "triangular"}, U, "triangular: mode is missing"),
        ({"family": "triangular", "mode": 2}, U, "mode 2 and high 1, expected low <= mode <= high"),
        ({"family": "truncated", "low": 0}, {}, "truncated: of is missing"),
        ({"family": "truncated", "of": "normal"}, {}, "truncated: of normal, expected a law with"),
        ({"family": "truncated", "of": C}, {}, "truncated: of family 'categorical': "),
        (
            {"family": "truncated", "of": CUT},
            {},
            "which cannot be truncated again: give its low and",
        ),
        ({**CUT, "low": 3, "high": 2}, {}, "truncated: low 3 and high 2, expected low < high"),
        ({**CUT, "low": math.nan}, {}, "truncated: low nan, expected a number, or an infinite"),
        ({**CUT, "low": 40, "high": 41}, {}, "normal has no probability between 40 and 41 that"),
        (
            {**CUT, "of": G, "low": -2, "high": -1},
            {},
            r"gamma\(2\) has no probability between -2 and",
        ),
        (
            {"family": "truncated-normal", "sd": 0, "low": 0},
            {},
            "truncated-normal: sd 0, expected a number above 0",
        ),
        ({"family": "student-t", "df": 1}, {}, "KL is infinite.*too heavy"),
        ({"family": "student-t", "df": 2}, {}, "KL is infinite"),
        ({"family": "student-t", "df": 1}, {"family": "laplace"}, "KL is infinite"),
        (C, G, "q is categorical, p is gamma"),
        (C, {**C, "probabilities": [0.5, 0.4]}, "add up to 0.9, expected 1"),
        (
            C,
            {**C, "probabilities": [1.5, -0.5]},
            r"-0.5 \(number 2 of 2\), .* of at least 0",
        ),
        (C, {**C, "probabilities": [1, 0]}, "in category 1, counted from 0, where q is not: KL"),
        (C, {**C, "probabilities": [0.2, 0.3, 0.5]}, "q has 2 categories and p has 3"),
        (C, {**C, "logits": [0, 0]}, "either probabilities or logits"),
        (
            {"family": "poisson", "rate": [1, -2]},
            {},
            r"rate -2 \(number 2 of 2\), .* above 0",
        ),
        (
            {"family": "dirichlet", "concentration": [1, 0]},
            {},
            "concentration 0 .* above 0",
        ),
        ({"family": "dirichlet", "concentration": 1}, {}, "expected two numbers or more"),
        ({**_MIXED, "weights": [0.5, 0.4]}, {}, "weights add up to 0.9, expected 1"),
        ({**_MIXED, "weights": [1]}, {}, "1 weights for 2 components"),
        ({**_MIXED, "weights": [0, 1]}, {}, "mixture: weights 0 .*, expected a number above 0"),
        (
            {**_MIXED, "components": [{"family": "poisson", "rate": 1}, {}]},
            {},
            "'poisson': expected",
        ),
        ({**_MIXED, "components": [{"mean": [1, 2]}, {}]}, {}, "more than one dimension"),
        ({**_MIXED, "components": [G, {}]}, {}, "expected one support for all"),
        ({**_LOGITS, "logits": [0, math.nan]}, C, r"logits nan \(number 2 of 2\), expected a"),
        ({**_LOGITS, "logits": [0, math.inf]}, C, r"logits inf .*, expected a finite number"),
        ({**_LOGITS, "logits": [[1], [1, 2]]}, C, "logits .*, expected a number or a list"),
        ({**_LOGITS, "logits": ["a", "b"]}, C, "logits .*, expected a number or a list"),
    ],
)
def test_bad_input(q: Mapping[str, Any], p: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        pair(q, p)
    assert "\n" not in str(error.value)


def test_finite_kl_is_accepted() -> None:
    """Just above two degrees of freedom KL to a normal exists, and its variance does not."""
    law = pair({"family": "student-t", "df": 3}, {}).law
    assert math.isfinite(law.kl)
    assert law.variance == INF


def test_scalars_stand_for_every_coordinate() -> None:
    many = pair({"family": "laplace", "scale": 2}, {"family": "laplace", "location": [1, 1, 2]})
    assert many.dimension == 3
    assert isinstance(side({"family": "laplace"}), Independent)
    assert len(many.factors) == 2  # equal coordinates are counted


# q, p, and log q - log p at x for values x of q, whose maps or supports are not p's.
_LOGNORMAL = {"family": "lognormal", "mean": 0.3, "sd": 0.5}
_CUT_LOGNORMAL = {"family": "truncated", "of": _LOGNORMAL, "low": 1, "high": 5}
_OF_LOGNORMAL = stats.lognorm(0.5, scale=math.exp(0.3))
_CUT = math.log(_OF_LOGNORMAL.cdf(5) - _OF_LOGNORMAL.cdf(1))
OF_OTHER_MAPS = [
    (_CUT_LOGNORMAL, {"family": "uniform", "high": 10}, (1, 5),
     lambda x: _OF_LOGNORMAL.logpdf(x) - _CUT, stats.uniform(0, 10).logpdf),
    (_CUT_LOGNORMAL, _LOGNORMAL, (1, 5),
     lambda x: _OF_LOGNORMAL.logpdf(x) - _CUT, _OF_LOGNORMAL.logpdf),
    ({**_CUT_LOGNORMAL, "high": INF}, {"mean": 1, "sd": 2}, (1, 1000),
     lambda x: _OF_LOGNORMAL.logpdf(x) - _OF_LOGNORMAL.logsf(1), stats.norm(1, 2).logpdf),
    ({"family": "uniform", "low": 1, "high": 2}, _LOGNORMAL, (1, 2),
     stats.uniform(1, 1).logpdf, _OF_LOGNORMAL.logpdf),
    ({"family": "uniform", "low": 1, "high": 2}, {"family": "weibull", "shape": 1.5}, (1, 2),
     stats.uniform(1, 1).logpdf, stats.weibull_min(1.5).logpdf),
    ({"transform": {"affine": {"shift": 3}}, "of": {"family": "gamma", "shape": 2}},
     {"family": "gamma", "shape": 3}, (3, 60), stats.gamma(2, 3).logpdf, stats.gamma(3).logpdf),
    ({"transform": {"affine": {"shift": 3, "scale": -1}}, "of": {"family": "gamma", "shape": 2}},
     {"mean": 0, "sd": 3}, (-60, 3), lambda x: stats.gamma(2).logpdf(3 - x),
     stats.norm(0, 3).logpdf),
    ({"family": "pareto", "shape": 5, "scale": 2}, _LOGNORMAL, (2, 1e5),
     stats.pareto(5, scale=2).logpdf, _OF_LOGNORMAL.logpdf),
    ({"transform": {"affine": {"scale": 2}}, "of": {"family": "beta", "a": 2, "b": 2}},
     {"mean": 0, "sd": 1}, (0, 2), stats.beta(2, 2, 0, 2).logpdf, stats.norm().logpdf),
]  # fmt: skip


@pytest.mark.parametrize(("q", "p", "ends", "log_q", "log_p"), OF_OTHER_MAPS)
def test_p_is_pulled_back_through_the_map_of_q(
    q: Any, p: Any, ends: tuple[float, float], log_q: Any, log_p: Any
) -> None:
    """KL and the variance of l by a quadrature of SciPy's densities in x."""
    edges = np.linspace(-37.0, 37.0, 500)
    half = 0.5 * np.diff(edges)[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(16)
    t = (edges[:-1, None] + half * (1.0 + nodes)).ravel()
    width = ends[1] - ends[0]
    x = np.where(t < 0, ends[0] + width * special.expit(t), ends[1] - width * special.expit(-t))
    dx = width * special.expit(t) * special.expit(-t)
    weight = (half * weights).ravel() * dx * np.exp(log_q(x))
    ell = log_q(x) - log_p(x)
    law = registry.case_pair({"q": q, "p": p}).law
    assert law.kl == pytest.approx(weight @ ell, rel=1e-9)
    assert law.variance == pytest.approx(weight @ (ell - law.kl) ** 2, rel=1e-8)
    assert law.kl_error <= 1e-12 * law.kl


def test_a_gamma_variate_too_small_for_float64_against_a_normal() -> None:
    """The closed form, where x is below 10^-300 with a probability of 0.1 %."""
    k = 0.01
    expected = (k - 1) * special.digamma(k) - k - special.gammaln(k)
    expected += 0.5 * math.log(2 * math.pi) + 0.5 * k * (k + 1)
    law = pair({"family": "gamma", "shape": k}, {}).law
    assert law.kl == pytest.approx(expected, rel=1e-12)


# (q, p, the mass of p outside of q's support to 15 digits, by mpmath)
MISSED = [
    ({"family": "uniform"}, {"family": "uniform", "high": 1 + 2.0**-40}, 2.0**-40 / (1 + 2.0**-40)),
    ({"family": "uniform", "low": 8, "high": 9}, {}, 1 - 6.219831985634e-16),
    (
        {"family": "truncated-normal", "low": -7, "high": 7}, {},
        2.559625087771670e-12,
    ),
    ({"family": "uniform", "low": -1e6, "high": 1e6}, {"family": "student-t", "df": 1},
     6.366197723673692e-7),
]  # fmt: skip


@pytest.mark.parametrize(("q", "p", "missed"), MISSED)
def test_a_missed_mass_has_its_digits(q: Any, p: Any, missed: float) -> None:
    law = pair(q, p).law
    assert law.missed_mass == pytest.approx(missed, rel=1e-13, abs=0)
    assert law.missed_error <= 1e-13 * missed
    assert law.kept_mass == pytest.approx(1.0 - missed, rel=1e-9)


def test_missed_masses_of_coordinates_multiply() -> None:
    """Every moment of three different coordinates, by a sum over all triples of points."""
    q = {"family": "uniform", "low": [0, 1, -1], "high": [1, 3, 1]}
    p = {"family": "triangular", "low": [-1, 0, -2], "mode": [0.5, 2, 0.25], "high": [2, 3.5, 4]}
    law = pair(q, p).law
    nodes, weights = np.polynomial.legendre.leggauss(40)
    each = []
    for low, high, a, m, b in zip(*q_and_p(q, p), strict=True):
        edges = sorted({low, high, *(x for x in (m,) if low < x < high)})
        x, w = [], []
        for start, stop in itertools.pairwise(edges):
            x.append(start + 0.5 * (stop - start) * (1.0 + nodes))
            w.append(0.5 * (stop - start) / (high - low) * weights)
        of_p = stats.triang((m - a) / (b - a), a, b - a)
        each.append((np.concatenate(w), -math.log(high - low) - of_p.logpdf(np.concatenate(x))))
    weight = np.einsum("i,j,k->ijk", *(w for w, _ in each)).ravel()
    ell = sum(np.ix_(*(one for _, one in each))).ravel()
    by_factor = sum(np.ix_(*(np.exp(-one) - 1.0 + one for _, one in each))).ravel()
    assert law.kl == pytest.approx(weight @ ell, rel=1e-12)
    assert law.kept_mass == pytest.approx(weight @ np.exp(-ell), rel=1e-12)
    for name, x in (
        ("k1", ell), ("k2", 0.5 * ell**2), ("k3", np.expm1(-ell) + ell), ("k3-factor", by_factor),
    ):  # fmt: skip
        unit = ESTIMATORS[name].theory(law, False)
        mean = float(weight @ x)
        second, third, fourth = (float(weight @ (x - mean) ** k) for k in (2, 3, 4))
        assert unit.bias == pytest.approx(mean - float(weight @ ell), rel=1e-10, abs=1e-12)
        assert unit.variance == pytest.approx(second, rel=1e-10)
        assert unit.skewness == pytest.approx(third / second**1.5, rel=1e-8)
        assert unit.excess_kurtosis == pytest.approx(fourth / second**2 - 3.0, rel=1e-8, abs=1e-8)
        assert unit.relative_error <= 1e-6
    assert ESTIMATORS["cv"].theory(law, False).kind == "none"
    assert ESTIMATORS["cv-factor"].theory(law, True).kind == "none"


def q_and_p(q: Mapping[str, Any], p: Mapping[str, Any]) -> list[Sequence[float]]:
    return [q["low"], q["high"], p["low"], p["mode"], p["high"]]


def test_a_constant_ratio_has_no_variance() -> None:
    law = pair({"family": "uniform"}, {"family": "uniform", "low": -1}).law
    for name in ("k1", "k2", "k3", "cv", "k2-factor", "k3-factor", "cv-factor"):
        unit = ESTIMATORS[name].theory(law, False)
        assert (unit.variance, unit.kind) == (0.0, "exact")
    assert ESTIMATORS["k3"].theory(law, False).bias == pytest.approx(-0.5, rel=1e-14)
