"""The beta law, in the coordinate log(x / (1 - x)), which keeps its digits near 0 and near 1.

With a location and a scale of this coordinate, it has those of the logarithms of beta prime, F and
half-Cauchy variates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact.ends import LINEAR, Tail
from mckl.exact.gamma_function import stirling_rest, stirling_rise
from mckl.exact.moments import EPS, Bounded
from mckl.exact.remainders import log_quotient, phi, x_minus_log1p
from mckl.families.base import About
from mckl.families.coordinates.image import facing
from mckl.families.coordinates.independent import Parameter, exp_of, independent_family
from mckl.families.coordinates.log_gamma import log_gammas
from mckl.families.coordinates.univariate import Coordinates, Terms, Univariate, chosen, rounding
from mckl.families.maps import LOGISTIC, Maps
from mckl.families.parameters import aliases

_SMALLEST = 1e-290
_TINY = -600.0  # logits below which all but the leading order is too small for float64
_SMALL = -40.0  # log x below which the leading order is that of x to rounding
_RARE = 1e-15  # probabilities below which SciPy's inverse may be wrong, by any amount
_MOST_STEPS = 50
_NEAR = 1.0  # how far apart logits may be under q and p, for terms that keep the digits of l


@dataclass(frozen=True)
class Beta(Univariate):
    """The beta law of x, as a law of log(x / (1 - x))."""

    a: float
    b: float
    location: Any = 0.0
    scale: Any = 1.0
    name = "beta"
    maps: ClassVar[Maps] = (LOGISTIC,)
    symmetric = False
    seconds: ClassVar[Seconds] = Seconds(45e-9, 3300e-9, 1360e-9, 30e-9)

    def affine(self, shift: float, scale: float) -> Univariate:
        turned = self if scale > 0.0 else Beta(self.b, self.a, -self.location, self.scale)
        return Univariate.affine(turned, shift, abs(scale))  # type: ignore[return-value]

    @property
    def tensorflow(self) -> Distribution | None:
        if np.any(np.not_equal(self.location, 0.0) | np.not_equal(self.scale, 1.0)):
            return None
        # The law is that of x itself. x rounds to 1 where log(x / (1 - x)) keeps all its digits.
        where = {"concentration1": self.a, "concentration0": self.b}
        sizes = np.array([self.a, self.b, self.a + self.b])
        terms = 1.0 + sizes[2] + float(np.abs(scipy.special.gammaln(sizes)).sum())
        return Distribution("Beta", where, points=False, terms=terms)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        return Tail({LINEAR: self.a / self.scale}), Tail({LINEAR: self.b / self.scale})

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.location + self.scale * self._log_odds),)

    @property
    def _log_odds(self) -> float:
        """log(x / (1 - x)) of the mean."""
        odds = self.a / self.b
        if not (0.0 < odds < math.inf and math.isfinite(self.a + self.b)):
            raise OverflowError("the odds of the mean, or the sum of the shapes, exceed float64")
        return math.log(odds)

    def _logit(self, y: Vector) -> Vector:
        """log(x / (1 - x))."""
        return np.asarray((y - self.location) / self.scale)

    def _bend(self, w: Vector) -> Vector:
        """log(1 - m + m e^w) - m w, which is never negative and about m (1 - m) w^2 / 2 near 0."""
        mean, rest = self.a / (self.a + self.b), self.b / (self.a + self.b)
        log_mean, log_rest = -math.log1p(self.b / self.a), -math.log1p(self.a / self.b)
        out = np.asarray(np.logaddexp(log_rest - mean * w, log_mean + rest * w))
        near = np.abs(w) < 1.0
        v = np.asarray(w)[near]
        out[near] = np.log1p(mean * phi(rest * v) + rest * phi(-mean * v))
        return out

    def _centred(self, x: Vector) -> tuple[Vector, Vector]:
        """The distance w of the coordinate from that of the mean, and a bound on its error."""
        mean, logit = self._log_odds, self._logit(x)
        return logit - mean, 2.0 * EPS * (1.0 + abs(mean) + np.abs(logit))

    def terms(self, x: Vector) -> Terms:
        n = self.a + self.b
        return (
            -n * self._bend(self._centred(x)[0]),
            np.asarray(0.5 * math.log(self.a * (self.b / n) / (2.0 * math.pi))),
            np.asarray(stirling_rest(n).value),
            np.asarray(-stirling_rest(self.a).value),
            np.asarray(-stirling_rest(self.b).value),
            -np.log(self.scale),
        )

    def terms_error(self, x: Vector) -> Vector:
        n = self.a + self.b
        share = np.abs(scipy.special.expit(self._logit(x)) - self.a / n)
        constants = math.fsum(stirling_rest(k).error for k in (n, self.a, self.b))
        return np.asarray(n * share * self._centred(x)[1] + constants)

    def _is_beside(self, p: Beta) -> bool:
        """Whether p has the same location and scale."""
        return bool(np.all(np.equal(self.location, p.location) & np.equal(self.scale, p.scale)))

    def _apart(self, p: Beta, x: Vector) -> tuple[Vector, Vector, Any]:
        """By how much the logit is larger under p, the size of its two terms, and log(scales)."""
        z, location, scale, excess, log_scale = self._relative(p, x)
        stretch, shift = -z * (excess / scale), -(location / scale)
        return stretch + shift, np.abs(stretch) + np.abs(shift), log_scale

    def ratio_terms(self, p: Univariate, x: Vector) -> Terms:
        if not isinstance(p, Beta):
            return super().ratio_terms(p, x)
        if self._is_beside(p):
            return self._shape_terms(p, x)
        apart, _, log_scale = self._apart(p, x)
        near = np.abs(apart) < _NEAR
        if not near.any():
            return super().ratio_terms(p, x)
        # The density of p's shapes at both logits.
        step = np.where(near, apart, 0.0)
        bend = np.log1p(scipy.special.expit(self._logit(x)) * np.expm1(step))
        terms = *self._shape_terms(p, x), (p.a + p.b) * bend, -p.a * step, log_scale
        return terms if near.all() else chosen(near, terms, super().ratio_terms(p, x))

    def _shape_terms(self, p: Beta, x: Vector) -> Terms:
        """Terms of log q - log p if p had this law's location and scale."""
        w, (a, b) = self._centred(x)[0], (p.a - self.a, p.b - self.b)
        turned = (a * self.b - self.a * b) / (self.a + self.b)
        return (*self._level(p)[0], (a + b) * self._bend(w), -turned * w)

    def log_ratio_error(self, p: Univariate, x: Vector) -> Vector:
        if not isinstance(p, Beta):
            return super().log_ratio_error(p, x)
        error = rounding(self.ratio_terms(p, x))
        if self._is_beside(p):
            return np.asarray(error + self._shape_error(p, x))
        apart, size, _ = self._apart(p, x)
        near, logit, n = np.abs(apart) < _NEAR, self._logit(x), p.a + p.b
        there = scipy.special.expit(logit + np.where(near, apart, 0.0))
        moved = n * np.abs(there - scipy.special.expit(logit)) * self._centred(x)[1]
        moved += 4.0 * EPS * size * np.abs(n * there - p.a)
        far = self.terms_error(x) + p.terms_error(x)
        return np.asarray(error + np.where(near, moved + self._shape_error(p, x), far))

    def _shape_error(self, p: Beta, x: Vector) -> Vector:
        """A bound on the error of `_shape_terms` beyond a few roundings of each."""
        w, moved = self._centred(x)
        n, a, b = self.a + self.b, p.a - self.a, p.b - self.b
        slope = (a + b) * scipy.special.expit(self._logit(x)) - a  # of log q - log p
        turned = (abs(a) * self.b + self.a * abs(b)) / n
        rest = 4.0 * EPS * turned * np.abs(w) + self._level(p)[1]
        return np.asarray(np.abs(slope) * moved + rest)

    def _level(self, p: Beta) -> tuple[Terms, float]:
        return _level(self.a, self.b, p.a, p.b)

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        x = self._logit(x)
        a, b, x = (self.b, self.a, -x) if upper else (self.a, self.b, x)
        # Integrated from the end that x is nearer to, where no digit is lost.
        out, near = np.empty(x.shape), x < 0.0
        out[near] = scipy.special.betainc(a, b, scipy.special.expit(x[near]))
        out[~near] = scipy.special.betaincc(b, a, scipy.special.expit(-x[~near]))
        tiny = x < _TINY  # there it is x^a / (a B(a, b)), even where x is too small for float64
        if tiny.any():
            out[tiny] = np.exp(a * x[tiny] - math.log(a) - scipy.special.betaln(a, b))
        return out

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        a, b = (self.b, self.a) if upper else (self.a, self.b)
        low = np.asarray(scipy.special.betaincinv(a, b, u))  # x, and then 1 - x
        far = low >= 0.5
        high = np.ones_like(low)
        high[far] = scipy.special.betainccinv(b, a, np.asarray(u)[far])
        y = np.where(
            low < 0.5,
            np.log(np.maximum(low, _SMALLEST)) - np.log1p(-np.minimum(low, 0.5)),
            np.log1p(-np.minimum(high, 0.5)) - np.log(np.maximum(high, _SMALLEST)),
        )
        # Where x is small, u = x^a / (a B(a, b)), and SciPy's inverse may be wrong.
        small = (np.log(u) + math.log(a) + scipy.special.betaln(a, b)) / a
        tiny = (low < _SMALLEST) | (small + math.log1p(b) < _SMALL)
        y = np.where(tiny, small, y)
        # Where 1 - x is too small, 1 - u = (1 - x)^b / (b B(a, b)).
        tiny = (high < _SMALLEST) & ~tiny
        rest = np.log1p(-np.where(tiny, u, 0.0)) + math.log(b) + scipy.special.betaln(a, b)
        y = np.where(tiny, -rest / b, y)
        rare = np.asarray(u) < _RARE
        if rare.any():
            y[rare] = Beta(a, b)._refined(y[rare], np.asarray(u)[rare])
        return np.asarray(self.location + self.scale * (-y if upper else y))

    def _refined(self, y: Vector, u: Vector) -> Vector:
        """The points below which the probability is u, by Newton's method from points near them.

        The logarithm of the probability is a concave function, so that the steps do not alternate.
        """
        for _ in range(_MOST_STEPS):
            p = self.probability(y)
            with np.errstate(all="ignore"):
                step = np.log(p / u) * p / np.exp(self.log_density(y))
            step = np.where(np.isfinite(step), step, 0.0)  # a density below the smallest float64
            y = y - step
            if (np.abs(step) <= 4.0 * EPS * np.abs(y)).all():
                break
        return y

    @property
    def tabled(self) -> bool:  # type: ignore[override]
        return 1.0 not in (self.a, self.b) and not self.a == self.b == 0.5

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        if 1.0 in (self.a, self.b):  # -log(1 - x), or -log x, is exponential
            power = generator.standard_exponential(shape)
            power /= self.b if self.a == 1.0 else self.a
            rest = -power
            np.log(-np.expm1(rest, out=rest), out=rest)
            rest += power
            return rest if self.a == 1.0 else -rest
        if self.a == self.b == 0.5:
            u = generator.random(shape)
            u += 2.0**-54  # the middle of an interval of width 2^-53, so that 0 is avoided
            u *= 0.5 * math.pi
            np.log(np.tan(u, out=u), out=u)
            u *= 2.0
            return u
        logs = log_gammas(generator, shape, np.array([self.a, self.b]))
        return np.asarray(logs[..., 0] - logs[..., 1])

    def sums(self, x: Vector, ps: Sequence[Univariate]) -> Vector:
        laws = [p for p in ps if isinstance(p, Beta) and self._is_beside(p)]
        if len(laws) < len(ps):
            return super().sums(x, ps)
        w = self._centred(x)[0]
        bend, w = self._bend(w).sum(axis=-1), w.sum(axis=-1)
        out = np.empty((len(ps), len(x)))
        for i, p in enumerate(laws):
            a, b = p.a - self.a, p.b - self.b
            turned = (a * self.b - self.a * b) / (self.a + self.b)
            out[i] = (a + b) * bend - turned * w + x.shape[-1] * float(sum(self._level(p)[0]))
        return out


@lru_cache(maxsize=64)
def _level(q_a: float, q_b: float, p_a: float, p_b: float) -> tuple[Terms, float]:
    """Terms of log q - log p at the mean of q, without the large ones that both share.

    The second number bounds the errors that do not come from the terms' own rounding.
    """
    a, b = p_a - q_a, p_b - q_b
    n, n_p = q_a + q_b, p_a + p_b
    turned = (a * q_b - q_a * b) / n_p  # the means' difference, times n
    lost = 4.0 * EPS * (abs(a) * q_b + q_a * abs(b)) / n_p
    terms: list[float] = []
    error = 0.0
    for shape, of_p, share in ((q_a, p_a, turned / q_a), (q_b, p_b, -turned / q_b)):
        # p's shape times log(1 + share) - share / (1 + share), 1 + share being the ratio of the
        # means of x, or of 1 - x.
        if abs(share) < 0.5:
            terms.append(of_p * float(x_minus_log1p(-share / (1.0 + share))))
            error += of_p * abs(share) / (1.0 + share) ** 2 * lost / shape
        else:
            ratios = log_quotient(of_p, shape), log_quotient(n, n_p)
            terms += [*(of_p * float(ratio) for ratio in ratios), -of_p, shape * (n_p / n)]
    rises = _rise(q_a, p_a, a), _rise(q_b, p_b, b), _rise(n, n_p, a + b)
    terms += [rises[0].value, rises[1].value, -rises[2].value]
    return tuple(map(np.asarray, terms)), error + math.fsum(rise.error for rise in rises)


def _rise(a: float, b: float, h: float) -> Bounded:
    """How much log Gamma less (x log x - x) rises from a to b = a + h."""
    value, error = stirling_rise(a, b, h)
    step = float(log_quotient(b, a, h))
    return Bounded(value - 0.5 * step, error + 4.0 * EPS * abs(step))


def _sweep(shapes: Sequence[float], dimension: int, scale: float, offset: float) -> Coordinates:
    """The pair whose q has the powers (a e^offset, b), and whose p has (a, b) / scale."""
    a, b = shapes
    factor = facing(Beta(a * exp_of(offset), b), Beta(a / scale, b / scale))
    return Coordinates([factor], [dimension])


BETA = independent_family(
    "beta",
    Beta,
    {
        "a": Parameter("power of x, plus 1", above=0.0),
        "b": Parameter("power of 1 - x, plus 1", above=0.0),
    },
    ("a", "b"),
    _sweep,
    aliases=aliases(a="alpha concentration1", b="beta concentration0"),
    about=About(
        "numbers between 0 and 1",
        "E r² if 2 a_p > a_q and 2 b_p > b_q",
        "exponential family; as scipy.stats.beta",
    ),
)
