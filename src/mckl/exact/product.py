"""The law of l for a product of one-dimensional continuous factors, by quadrature.

Each distinct factor is integrated once for each tilt, on the pieces between its breakpoints, by the
double exponential rule of Takahasi & Mori, "Double exponential formulas for numerical integration"
(1974). The rule converges for every tail, from a Gaussian one to a power, and for every integrable
singularity at an end. Whether an expectation is finite is decided from the tails, never by the
rule. The cumulants of the factors add up.

Nothing cancels near q = p, as KL is the integral of r - 1 + l >= 0. Let E be the even part of l and
L its odd part, whose mean is 0. With x = T E + S L,

    K(T, S) = log(1 + T KL + E[e^x - 1 - x]).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.integrands import k3, ratio
from mckl.exact.law import Law, Tilt
from mckl.exact.phi import phi

_COARSEST, _FINEST = 16, 128  # nodes per unit of the double exponential rule's own variable
_SPAN = math.asinh(300.0 * 2.0 / math.pi)  # nodes are e^-300 to e^300 away from a breakpoint
_BORDER = 1e-12  # a tilt within this relative distance of the border counts as the border
_FAR = -1e3  # below it log densities are added up themselves, and not their differences
_DEEP = -50.0  # r exceeds 1e21 where l is below this
_SETTLED = 1e-8  # the largest change by halving the step; the error left is about its square


class Tail(NamedTuple):
    """How a log density falls at an end: like -quadratic x^2 - linear |x| - power log |x|.

    At a finite end x is the inverse of the distance from it, and `power` includes the change of
    variable: a density like distance^(a - 1) has the power a + 1.
    """

    quadratic: float = 0.0
    linear: float = 0.0
    power: float = 0.0


class End(NamedTuple):
    """How l grows at one end, in terms of w = -log(probability under q beyond x).

    growth  the limit of l / w, at least -1 and possibly inf
    moment  |l|^k grows like e^(k moment w), so moments of order 1 / moment and above diverge
    """

    growth: float
    moment: float


def end(q: Tail, p: Tail) -> End:
    """How l = log q - log p grows at an end where q and p have these tails."""
    q_leads, p_leads = _leading(q), _leading(p)
    if p_leads > q_leads:  # the tail of p is the heavier one
        return End(-1.0, 0.0)
    if p_leads < q_leads:
        degree = 2 if p_leads == 0 else 1
        return End(math.inf, degree / (q.power - 1.0) if q_leads == 2 else 0.0)
    if q_leads == 2:
        return End((p.power - q.power) / (q.power - 1.0), 0.0)
    return End(p[p_leads] / q[q_leads] - 1.0, 0.0)


def _leading(tail: Tail) -> int:
    return 0 if tail.quadratic > 0 else 1 if tail.linear > 0 else 2


class Factor(Protocol, Hashable):
    """A pair (q, p) of one-dimensional laws with densities. Equal factors compare equal."""

    @property
    def support(self) -> tuple[float, float]:
        """The interval in which q has its mass, which is also that of p."""

    @property
    def breakpoints(self) -> Iterable[float]:
        """The points within the support at which a density peaks or has a kink."""

    @property
    def tails(self) -> tuple[tuple[Tail, Tail], tuple[Tail, Tail]]:
        """The tails of (q, p) at the lower end, then at the upper end."""

    def log_q(self, x: Vector) -> Vector:
        """The log density of q."""

    def log_p(self, x: Vector) -> Vector:
        """The log density of p."""

    def log_ratio(self, x: Vector) -> Vector:
        """The log density ratio l, to full relative accuracy even where q is close to p."""

    def mirror(self, x: Vector) -> Vector:
        """The mirror image of x: q has as much probability above it as below x."""


def _nodes(low: float, high: float, per_unit: int) -> tuple[Vector, Vector]:
    """The nodes x of the double exponential rule between low and high, and the logs of dx/dt.

    Those at even positions are the nodes of the rule with twice the step.
    """
    count = 2 * math.ceil(_SPAN * per_unit / 2)
    t = np.arange(-count, count + 1) / per_unit
    s = 0.5 * math.pi * np.sinh(t)
    log_slope = np.log(0.5 * math.pi * np.cosh(t))
    if math.isfinite(low) and math.isfinite(high):
        # x = low + (high - low) / (1 + e^(-2 s)), computed from the nearer end
        part = np.exp(-2.0 * np.abs(s))
        part = (high - low) * part / (1.0 + part)
        x = np.where(s < 0, low + part, high - part)
        log_dx = math.log(high - low) + math.log(2.0) - 2.0 * np.logaddexp(s, -s) + log_slope
        return x, log_dx
    away = np.exp(s)
    return (low + away if math.isfinite(low) else high - away), s + log_slope


_RATIOS: Mapping[str, Callable[[Vector], Vector]] = {"ratio": ratio, "k3": k3}


class _Function(NamedTuple):
    """A function of l at the nodes, less its mean; if it contains r, over r where r is large.

    sign       the sign of its values at the nodes, shape (nodes,)
    log_size   the logarithm of their absolute values
    mean       the mean that has been subtracted
    log_ratio  if the function contains r: log r, or the log of r's mean over an antithetic pair
    """

    sign: Vector
    log_size: Vector
    mean: float
    log_ratio: Vector | None

    @staticmethod
    def of(value: Vector, mean: float, log_ratio: Vector | None = None) -> _Function:
        """The one of these values."""
        return _Function(np.sign(value), np.log(np.abs(value)), mean, log_ratio)


class FactorLaw:
    """K and its derivatives for one factor; every integral is computed once and kept."""

    def __init__(self, factor: Factor) -> None:
        self.factor = factor
        low, high = factor.tails
        self.ends = end(*low), end(*high)
        self.reversed_ends = end(*low[::-1]), end(*high[::-1])
        self._per_unit = _COARSEST
        self._kappa: dict[Tilt, Vector] = {}
        self._logs: dict[Tilt, float] = {}
        self._sums: dict[tuple[tuple[str, ...], bool, int], Vector] = {}
        self.error = math.inf
        while True:
            self._integrate()
            if self.error <= _SETTLED or self._per_unit >= _FINEST:
                break
            self._per_unit *= 2

    def _integrate(self) -> None:
        f = self.factor
        edges = sorted({*f.support, *f.breakpoints})
        pieces = [_nodes(a, b, self._per_unit) for a, b in itertools.pairwise(edges)]
        x = np.concatenate([piece[0] for piece in pieces])
        coarse = np.concatenate([np.arange(piece[0].size) % 2 == 0 for piece in pieces])
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            log_dx = np.concatenate([piece[1] for piece in pieces]) - math.log(self._per_unit)
            log_w = f.log_q(x) + log_dx
            ell, mirrored = f.log_ratio(x), f.log_ratio(f.mirror(x))
        good = np.isfinite(log_w) & np.isfinite(ell) & np.isfinite(mirrored)
        self._far = _Far(f, x[good], log_dx[good])
        log_w, coarse = log_w[good], coarse[good]
        self._ell, self._even = ell[good], 0.5 * (ell + mirrored)[good]
        self._odd = 0.5 * (ell - mirrored)[good]
        # The rule with twice the step has every other node, each with twice the weight.
        half = scipy.special.logsumexp(log_w[coarse]) + math.log(2.0)
        total = self._total = float(scipy.special.logsumexp(log_w))
        self._log_w = log_w - total  # makes the weights of q add up to 1
        w = np.exp(self._log_w)
        with np.errstate(over="ignore", invalid="ignore"):
            # Where r is large, w may underflow and r overflow, so w r is computed as p's weight.
            of_p = np.exp(self._log_tilted((-1.0, -1.0)))
            gap = np.where(self._ell < _DEEP, of_p + w * (self._ell - 1.0), w * phi(-self._ell))
        self.kl = float(gap.sum())
        self._w = w
        of_kl = abs(2.0 * gap[coarse].sum() / self.kl - 1.0) if self.kl else 0.0
        # The mean of the odd part is 0.
        odd = w * self._odd
        of_odd = abs(2.0 * odd[coarse].sum()) / math.sqrt(odd @ self._odd) if odd.any() else 0.0
        self.error = max(abs(half - total), abs(total), of_kl, of_odd)

    def log_mgf(self, tilt: Tilt) -> float:
        """K(T, S), where it is finite."""
        if tilt not in self._logs:
            x = self._exponent(tilt)
            here = self._w > 0
            if np.abs(x[here]).max() < 1.0:
                value = math.log1p(tilt[0] * self.kl + float(self._w[here] @ phi(x[here])))
            else:
                value = float(scipy.special.logsumexp(self._log_tilted(tilt)))
            self._logs[tilt] = value
        return self._logs[tilt]

    def cumulants(self, tilt: Tilt, order: int) -> Vector:
        """The joint cumulants of (E - KL, L) under a tilt, shape (order + 1, order + 1).

        Entries with i + j > order are not computed.
        """
        order = max(order, 2)
        if len(self._kappa.get(tilt, ())) <= order:
            first, second, moments = self._central_moments(tilt, order)
            kappa = joint.cumulants(moments, 2)
            kappa[1, 0], kappa[0, 1] = first, second
            self._kappa[tilt] = kappa
        return self._kappa[tilt]

    def sums(self, names: tuple[str, ...], paired: bool, order: int) -> Vector:
        """The joint cumulants of functions of this factor's l (`mckl.exact.law.Law.sums`)."""
        key = names, paired, order
        if key not in self._sums:
            mu, finite = np.zeros((order + 1,) * len(names)), np.ones((order + 1,) * len(names))
            with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
                functions = [self._function(name, paired) for name in names]
                weights = self._weights(functions, order, paired)
                for index in joint.indices(len(names), order):
                    powers = tuple(
                        itertools.chain(*([n] * i for n, i in zip(names, index, strict=True)))
                    )
                    finite[index] = _product_is_finite(self, powers)
                    mu[index] = self._moment(functions, index, weights)
                mu[finite == 0] = math.inf
                kappa = joint.cumulants(mu, len(names))
            kappa[~(np.isfinite(mu) & np.isfinite(kappa))] = math.inf
            for axis, function in enumerate(functions):
                first = tuple(int(k == axis) for k in range(len(names)))
                kappa[first] = function.mean if finite[first] else math.inf
            self._sums[key] = kappa
        return self._sums[key]

    def _function(self, name: str, paired: bool) -> _Function:
        """The named function of l at the nodes, less its mean."""
        sides = [self._even + sign * self._odd for sign in ((1.0, -1.0) if paired else (1.0,))]
        if name in ("ratio", "k3"):
            value = np.mean([_RATIOS[name](ell) for ell in sides], axis=0)
            mean = self.kl if name == "k3" else 0.0
            # For nodes at which r is large, its logarithm and the rest of the function.
            log_ratio = np.logaddexp.reduce([-ell for ell in sides], axis=0) - math.log(len(sides))
            beside = (np.mean(sides, axis=0) if name == "k3" else 0.0) - 1.0 - mean
            over_ratio = 1.0 + beside * np.exp(-log_ratio)
            return _Function.of(
                np.where(log_ratio > 0.0, over_ratio, value - mean), mean, log_ratio
            )
        if name == "half_square":
            value = 0.5 * np.mean(np.square(sides), axis=0)
            here = self._w > 0
            mean = float(self._w[here] @ (0.5 * self._ell[here] ** 2))
        else:
            value = np.mean(sides, axis=0) if name == "ell" else np.full_like(self._w, self.kl)
            mean = self.kl
        return _Function.of(value - mean, mean)

    def _weights(
        self, functions: Sequence[_Function], order: int, paired: bool
    ) -> list[tuple[NDArray[np.bool_], Vector]]:
        """For each power of r from 0 to `order`: the nodes that count, and their log weights.

        Where r is large, its logarithm is added to that of the weights, which might underflow.
        """
        here = self._w > 0
        out = [(here, self._log_w[here])]
        large = next((f.log_ratio for f in functions if f.log_ratio is not None), None)
        if large is None:
            return out
        for power in range(1, order + 1):
            with_ratio = self._log_of_ratio(power, large, paired)
            there = here | (large > 0.0)
            out.append((there, np.where(large > 0.0, with_ratio, self._log_w)[there]))
        return out

    def _moment(
        self,
        functions: Sequence[_Function],
        index: Sequence[int],
        weights: Sequence[tuple[NDArray[np.bool_], Vector]],
    ) -> float:
        """The mean of the product of the functions' powers `index`."""
        both = [(f, i) for f, i in zip(functions, index, strict=True) if i]
        here, log_size = weights[sum(i for f, i in both if f.log_ratio is not None)]
        sign = np.ones_like(log_size)
        for f, i in both:
            log_size = log_size + i * f.log_size[here]
            if i % 2:
                sign = sign * f.sign[here]
        return float(sign @ np.exp(log_size))

    def _log_of_ratio(self, power: int, log_ratio: Vector, paired: bool) -> Vector:
        """The logarithms of the weights times r^power; if paired, of r's mean over both points."""
        if not paired:
            return self._log_tilted((-power, -power))
        # The larger of r and r' times a factor between 1/2 and 1, which is due to the other.
        both = [self._log_tilted((-power, sign * power)) for sign in (-1, 1)]
        lead = np.where(self._odd <= 0.0, both[0], both[1])
        return lead + power * (log_ratio - np.abs(self._odd) + self._even)

    def _exponent(self, tilt: Tilt) -> Vector:
        T, S = tilt
        return np.asarray(T * self._even + S * self._odd)

    def _log_tilted(self, tilt: Tilt) -> Vector:
        """The logarithms of the weights times the exponential of the tilt."""
        out = np.asarray(self._log_w + self._exponent(tilt))
        out[self._far.nodes] = self._far.log_tilted(tilt) - self._total
        return out

    def _central_moments(self, tilt: Tilt, order: int) -> tuple[float, float, Vector]:
        """The means of E - KL and L under the tilt, and their joint central moments."""
        x, log_w = self._exponent(tilt), self._log_tilted(tilt)
        w = np.exp(log_w - log_w.max())
        here = w > 0
        x, w, even, odd = x[here], w[here] / w.sum(), self._even[here] - self.kl, self._odd[here]
        added = w
        if np.abs(x).max() < 1.0:
            # Both means are 0 without the tilt, so what the tilt adds is small where l is small.
            added = self._w[here] * np.expm1(x) * math.exp(-self.log_mgf(tilt))
        means = float(added @ even), float(added @ odd)
        a, b = even - means[0], odd - means[1]
        moments = np.zeros((order + 1, order + 1))
        with np.errstate(over="ignore", invalid="ignore"):
            row = w
            for i in range(order + 1):
                cell = row
                for j in range(order + 1 - i):
                    moments[i, j] = cell.sum()
                    if i + j < order:
                        cell = cell * b
                row = row * a
        return *means, moments


class _Far:
    """The nodes at which q is so small that log q + T E + S L may have lost all digits.

    There the coefficients of log q are added up before they multiply it.
    """

    def __init__(self, factor: Factor, x: Vector, log_dx: Vector) -> None:
        log_q = factor.log_q(x)
        self.nodes = np.flatnonzero(log_q < _FAR)
        x, self._log_q, self._log_dx = x[self.nodes], log_q[self.nodes], log_dx[self.nodes]
        image = factor.mirror(x)
        self._log_p, self._log_p_image = factor.log_p(x), factor.log_p(image)
        apart = factor.log_q(image) - self._log_q
        # For a symmetric q this difference is only rounding.
        self._apart = np.where(np.abs(apart) < 1e-9 * np.abs(self._log_q), 0.0, apart)

    def log_tilted(self, tilt: Tilt) -> Vector:
        u, v = _of_both(tilt)
        whole = 1.0 + u + v if abs(1.0 + u + v) > 1e-12 else 0.0
        out = self._log_dx + whole * self._log_q - u * self._log_p
        return np.asarray(out + (v * (self._apart - self._log_p_image) if v else 0.0))


def _of_both(tilt: Tilt) -> tuple[float, float]:
    """The coefficients of l and of its mirror image in the exponent T E + S L."""
    return 0.5 * (tilt[0] + tilt[1]), 0.5 * (tilt[0] - tilt[1])


@lru_cache(maxsize=4096)
def factor_law(factor: Factor) -> FactorLaw:
    """The `FactorLaw` of a factor, which is computed once and kept for all dimensions."""
    return FactorLaw(factor)


class ProductLaw(Law):
    """The law of l over independent factors; `weights` says how often each factor occurs."""

    def __init__(self, factors: Iterable[Factor], weights: Iterable[float]) -> None:
        super().__init__()
        self._factors = [(factor_law(f), float(w)) for f, w in zip(factors, weights, strict=True)]
        self.kl = math.fsum(w * f.kl for f, w in self._factors)
        self._order: dict[Tilt, int] = {}

    def sums(self, names: Sequence[str], paired: bool, order: int = 4) -> Vector:
        total = np.zeros((order + 1,) * len(names))
        for f, count in self._factors:
            total += count * f.sums(tuple(names), paired, order)
        return total

    @property
    def error(self) -> float:
        """The largest relative error estimate of a factor's quadrature with half the nodes."""
        return max(f.error for f, _ in self._factors)

    def is_finite(self, tilt: Tilt, order: int = 0) -> bool:
        return all(_finite(f, tilt, order) for f, _ in self._factors)

    @property
    def lowest_tilt(self) -> float:
        growth = min(e.growth for f, _ in self._factors for e in f.ends)
        return 1.0 / growth if growth < 0 else -math.inf

    def log_mgf(self, tilt: Tilt) -> float:
        if not self.is_finite(tilt):
            return math.inf
        return math.fsum(w * f.log_mgf(tilt) for f, w in self._factors)

    def prepare(self, tilt: Tilt, order: int) -> None:
        self._order[tilt] = max(order, self._order.get(tilt, 0))

    def cumulant(self, i: int, j: int, tilt: Tilt = (0, 0)) -> float:
        if not self.is_finite(tilt, i + j):
            return math.inf
        order = max(i + j, self._order.get(tilt, 0))
        return math.fsum(w * f.cumulants(tilt, order)[i, j] for f, w in self._factors)


def _finite(f: FactorLaw, tilt: Tilt, order: int) -> bool:
    """Whether e^{T Q + S L} times Q and L to this order has a finite mean, by both ends' growth."""
    u, v = _of_both(tilt)
    if (u, v) in ((-1.0, 0.0), (0.0, -1.0)):  # p's own law
        return all(order * e.moment < 1.0 for e in f.reversed_ends)
    for here, there in (f.ends, f.ends[::-1]):
        falls = 1.0 - _times(u, here.growth) - _times(v, there.growth)
        if math.isnan(falls) or falls <= order * max(here.moment, there.moment) + _BORDER:
            return False
    return True


_DEGREES = {"ell": 1, "half_square": 2, "k3": 1, "ratio": 0, "rb": 0}


def _product_is_finite(f: FactorLaw, names: Sequence[str]) -> bool:
    """Whether the mean of a product of these functions is finite.

    The product is a sum of powers of r times powers of l. For every power k of r the largest power
    of l that occurs with it decides.
    """
    ratios = sum(name in _RATIOS for name in names)
    whole = sum(_DEGREES[name] for name in names)
    k3s = sum(name == "k3" for name in names)
    plain = ratios - k3s  # the factors r - 1, which contain no l
    return all(
        _finite(f, (-float(k), -float(k)), whole - max(k - plain, 0)) for k in range(ratios + 1)
    )


def _times(tilt: float, growth: float) -> float:
    return tilt * growth if tilt else 0.0
