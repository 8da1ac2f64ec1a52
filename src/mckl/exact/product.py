"""The law of l for a product of one-dimensional continuous factors, by quadrature.

Each distinct factor is integrated on the pieces between its breakpoints by the double exponential
rule of Takahasi & Mori, "Double exponential formulas for numerical integration" (1974). The rule
converges for every tail, from a Gaussian one to a power, and for every integrable singularity at an
end. The breakpoints are the peaks and kinks of q and p, and the peaks of p^k / q^(k - 1), where
E r^k gets its value. Where a tail is a power, log q and l are straight lines in log x, and the rule
goes on along these beyond the range of float64.

Every integral is compared with those of the rules with half and a quarter of the nodes. The step is
halved until they agree. Whether an expectation is finite is decided from the tails, never by the
rule. The cumulants of the factors add up.

Nothing cancels near q = p, as KL is the integral of r - 1 + l >= 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import ends, joint
from mckl.exact.ends import Tail
from mckl.exact.law import Law, Tilt
from mckl.exact.moments import ELL, EPS, Function, Moments, settled
from mckl.exact.phi import phi

_COARSEST, _FINEST = 16, 256  # nodes per unit of the double exponential rule's own variable
_REACH = 300.0  # nodes are e^-300 to e^300 away from a breakpoint; beyond, tails are straight
_DROPS = 45.0  # how far a power tail is followed, in units of its integrand's logarithm
_LEAST = 1e-60  # breakpoints nearer to an end of the support are left out
_FAR = -1e3  # below it log densities are added up themselves, and not their differences
_LOST = 1e12  # log densities below -_LOST may leave no digit of a product of powers of q and p
_DEEP = -50.0  # r exceeds 1e21 where l is below this
_TARGET = 2e-14  # the share of an integral's terms that the rule may leave before the step is halved
_PEAKS = (1, 2, 3, 4)  # the k whose p^k / q^(k - 1) is looked at for peaks


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

    @property
    def symmetric(self) -> bool:
        """Whether q is symmetric, so that mirror images are equally far out."""

    def log_q(self, x: Vector) -> Vector:
        """The log density of q."""

    def log_p(self, x: Vector) -> Vector:
        """The log density of p."""

    def log_ratio(self, x: Vector) -> Vector:
        """The log density ratio l, to full relative accuracy even where q is close to p."""

    def log_q_error(self, x: Vector) -> Vector:
        """A bound on the rounding error of `log_q`."""

    def log_p_error(self, x: Vector) -> Vector:
        """A bound on the rounding error of `log_p`."""

    def log_ratio_error(self, x: Vector) -> Vector:
        """A bound on the rounding error of `log_ratio`."""

    def mirror(self, x: Vector) -> Vector:
        """The mirror image of x: q has as much probability above it as below x."""


class _Nodes(NamedTuple):
    """Nodes of the double exponential rule.

    x       the points
    log_dx  the logarithms of the weights dx
    level   how often the step may be doubled with the node still among those used, at most 2
    beyond  how far log |x| is beyond `_REACH`, where x stays at the last point; else 0
    """

    x: Vector
    log_dx: Vector
    level: NDArray[np.intp]
    beyond: Vector


def _nodes(low: float, high: float, per_unit: int, reach: tuple[float, float]) -> _Nodes:
    """The nodes between low and high; log x goes to -reach[0] and to reach[1] from its ends."""
    spans = [math.asinh(r * 2.0 / math.pi) for r in reach]
    first, last = -4 * math.ceil(spans[0] * per_unit / 4), 4 * math.ceil(spans[1] * per_unit / 4)
    index = np.arange(first, last + 1)
    level = np.where(index % 4 == 0, 2, np.where(index % 2 == 0, 1, 0))
    t = index / per_unit
    s = 0.5 * math.pi * np.sinh(t)
    log_slope = np.log(0.5 * math.pi * np.cosh(t)) - math.log(per_unit)
    follows = np.where(s < 0.0, reach[0], reach[1]) > _REACH
    beyond = np.where(follows, np.maximum(np.abs(s) - _REACH, 0.0), 0.0)
    near = np.copysign(np.abs(s) - beyond, s)
    if math.isfinite(low) and math.isfinite(high):
        # x = low + (high - low) / (1 + e^-s), computed from the nearer end
        part = np.exp(-np.abs(near))
        part = (high - low) * part / (1.0 + part)
        x = np.where(s < 0, low + part, high - part)
        log_dx = math.log(high - low) - np.logaddexp(0.5 * near, -0.5 * near) * 2.0 + log_slope
        return _Nodes(x, log_dx, level, beyond)
    away = np.exp(near)
    return _Nodes(low + away if math.isfinite(low) else high - away, near + log_slope, level, beyond)


class _Values(NamedTuple):
    """A function at the nodes, less its mean, and over r where r is large.

    sign       the sign of its values at the nodes, shape (nodes,)
    log_size   the logarithm of their absolute values
    log_most   the logarithm of their absolute values plus a bound on their error
    share      this bound as a share of that sum
    mean       the mean that has been subtracted
    mean_error a bound on its error
    ratio      whether the function contains r
    """

    sign: Vector
    log_size: Vector
    log_most: Vector
    share: Vector
    mean: float
    mean_error: float
    ratio: bool

    @staticmethod
    def of(
        value: Vector, error: Vector, log_growth: Vector, mean: float, mean_error: float, ratio: bool
    ) -> _Values:
        """The function of these values, which grow further by a factor beyond the last point."""
        size = np.abs(value)
        most = size + error
        share = np.where(most > 0.0, error / most, 0.0)
        logs = np.log(size) + log_growth, np.log(most) + log_growth
        return _Values(np.sign(value), *logs, share, mean, mean_error, ratio)


EVEN, ODD = Function("even"), Function("odd")
_WITH_RATIO = ("ratio", "gap", "k3")
_DEGREES = {"ell": 1, "half_square": 2, "k3": 1, "even": 1, "odd": 1, "ratio": 0, "gap": 0, "rb": 0}


class FactorLaw:
    """The law of one factor. Integrals are computed once and kept."""

    def __init__(self, factor: Factor) -> None:
        self.factor = factor
        self.ends = [ends.end(*tails) for tails in factor.tails]
        self._per_unit = _COARSEST
        inner = (x for x in factor.breakpoints if min(map(abs, np.subtract(factor.support, x))) > _LEAST)
        self._edges = sorted({*factor.support, *inner})
        with np.errstate(all="ignore"):
            self._edges = sorted({*self._edges, *_peaks(factor, self._edges)})
        self._moments: dict[object, Moments] = {}
        self._kappa: dict[Tilt, Moments] = {}
        self._logs: dict[Tilt, float] = {}
        self._integrate()
        while not self._is_settled(self._of_kl[None]) and self._refine():
            pass

    def _refine(self) -> bool:
        """Halve the step; False if it is the smallest one."""
        if self._per_unit >= _FINEST:
            return False
        self._per_unit *= 2
        self._integrate()
        self._logs.clear()
        self._kappa.clear()
        return True

    def _reach(self, end: int) -> float:
        """How far in log x the rule goes at an end of the support."""
        q, p = self.factor.tails[end]
        if not (q.is_power or p.is_power):
            return _REACH
        slowest = (q if q.is_power else p).power - 1.0
        for u in (-4.0, -3.0, -2.0, -1.0, 0.0):
            for order in (0, 1, 2, 3, 4):
                straight = q.is_power and (p.is_power or u == 0.0)
                if straight and ends.is_finite(q, [(p, u)], order):
                    net = (1.0 + u) * q.power - u * p.power - order * ends.degree(q, p) - 1.0
                    slowest = min(slowest, net)
        return max(_REACH, _DROPS / max(slowest, 1e-12))

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _integrate(self) -> None:
        f, edges = self.factor, self._edges
        pieces, last = [], len(edges) - 2
        for i, (a, b) in enumerate(itertools.pairwise(edges)):
            low = self._reach(0) if i == 0 else _REACH
            high = self._reach(1) if i == last else _REACH
            if not math.isfinite(a):  # log x grows away from the breakpoint b
                pieces.append(_nodes(a, b, self._per_unit, (_REACH, low)))
            else:
                pieces.append(_nodes(a, b, self._per_unit, (low, high)))
        x, log_dx, level, beyond = (np.concatenate(of) for of in zip(*pieces, strict=True))
        upper = x > (edges[1] if len(edges) > 2 else 0.5 * (edges[0] + edges[1]))
        powers = np.array([[tail.power for tail in tails] for tails in f.tails])[upper * 1]
        degrees = np.array([ends.degree(*tails) for tails in f.tails])[upper * 1]
        log_q = f.log_q(x) - np.where(beyond > 0.0, powers[:, 0] * beyond, 0.0)
        log_dx += beyond
        ell, image = f.log_ratio(x), f.mirror(x)
        mirrored = f.log_ratio(image)
        # Where q and p are both powers, l goes on as a straight line.
        line = np.where((beyond > 0.0) & (degrees == 0), (powers[:, 1] - powers[:, 0]) * beyond, 0.0)
        ell, mirrored = ell + line, mirrored + line
        log_w = log_q + log_dx
        good = np.isfinite(log_w) & np.isfinite(ell) & np.isfinite(mirrored)
        # Sums of log q and log p that are so large and nearly cancel are only rounding.
        good &= (log_q > -_LOST) | (log_q - ell > -_LOST)
        x, log_dx, image, beyond = x[good], log_dx[good], image[good], beyond[good]
        self._far = _Far(f, x, image, log_dx, log_q[good], powers[good], beyond)
        self._level, log_w = level[good], log_w[good]
        self._ell, self._even = ell[good], 0.5 * (ell + mirrored)[good]
        self._odd = 0.5 * (ell - mirrored)[good]
        self._growth = degrees[good] * beyond
        self._ell_error = np.where(np.isfinite(e := f.log_ratio_error(x)), e, 0.0)
        self._image_error = np.where(np.isfinite(e := f.log_ratio_error(image)), e, 0.0)
        # A node is rounded, which moves the log density by its slope times this.
        moved = EPS * np.abs(x * np.gradient(log_q[good]) / _apart(x))
        moved = np.where(np.isfinite(moved) & (beyond == 0.0), moved, 0.0)
        self._q_error = f.log_q_error(x) + moved + EPS * np.abs(log_dx)
        total = self._total = float(scipy.special.logsumexp(log_w))
        self._log_w = log_w - total  # makes the weights of q add up to 1
        self._w = w = np.exp(self._log_w)
        # Where r is large, w may underflow and r overflow, so w r is computed as p's weight.
        of_p = np.exp(self._log_tilted((-1.0, -1.0)))
        grown = np.exp(self._growth)
        gap = np.where(
            self._ell < _DEEP, of_p + w * (self._ell - 1.0),
            np.where(grown > 1.0, np.exp(self._log_w + self._growth) * self._ell, w * phi(-self._ell)),
        )  # fmt: skip
        slope = np.abs(np.where(self._ell < _DEEP, of_p, w * np.expm1(-self._ell)))
        self._of_kl = gap
        self.kl = float(gap.sum())
        rounding = gap * (self._q_error + 4.0 * EPS) + slope * self._ell_error
        # p's weights add up to 1 as well, unless the rule missed some of them.
        missed = abs(float(of_p.sum()) - 1.0)
        self.missed = max(0.0, missed - float(of_p @ (self._q_error + self._ell_error)) - 1e-14)
        self.kl_error = float(rounding.sum()) + float(self._left(gap[None])[0])
        self.kl_error += (self.missed + abs(total) * EPS) * self.kl + 2.0 * EPS * self.kl

    def _left(self, terms: Vector) -> Vector:
        """A bound on what the rule leaves of integrals; their terms have shape (integrals, nodes).

        Halving the step of a rule that has begun to converge reduces the difference by at least
        the factor that the halving before reached.
        """
        fine = terms.sum(axis=-1)
        half = 2.0 * terms[..., self._level >= 1].sum(axis=-1)
        quarter = 4.0 * terms[..., self._level >= 2].sum(axis=-1)
        near, before = np.abs(fine - half), np.abs(half - quarter)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(near > 0.0, near * np.minimum(10.0 * near / before, 1.0), 0.0)

    def _is_settled(self, terms: Vector) -> bool:
        sizes = np.abs(terms).sum(axis=-1)
        known = np.isfinite(sizes)
        return bool((self._left(terms)[known] <= _TARGET * sizes[known]).all())

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
        if tilt not in self._kappa or len(self._kappa[tilt].value) <= order:
            first, second, moments = self._central_moments(tilt, order)
            kappa = joint.cumulants(Moments(moments, np.zeros_like(moments)), 2)
            kappa.value[1, 0], kappa.value[0, 1] = first, second
            self._kappa[tilt] = kappa
        return self._kappa[tilt].value

    def is_finite(self, tilt: Tilt, order: int) -> bool:
        """Whether e^{T Q + S L} times Q and L to this order has a finite mean."""
        u, v = _of_both(tilt)
        low, high = self.factor.tails
        for (q, p), (_, image), here, there in (
            (low, high, *self.ends), (high, low, *self.ends[::-1])
        ):  # fmt: skip
            if v and not self.factor.symmetric:
                if not ends.is_finite_of_pairs(here, there, u, v, order):
                    return False
            elif not ends.is_finite(q, [(p, u), (image, v)] if v else [(p, u)], order):
                return False
        return True

    def moments(self, functions: Sequence[Function], paired: bool, order: int) -> Moments:
        """The joint central moments of functions of l, as `Law.factor_moments` defines them."""
        key = tuple(functions), paired, order
        while key not in self._moments:
            found = self._joint_moments(key[0], paired, order)
            if found is not None:
                self._moments[key] = found
            elif not self._refine():
                self._moments[key] = self._joint_moments(key[0], paired, order, last=True)
        return self._moments[key]

    @np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
    def _joint_moments(
        self, functions: tuple[Function, ...], paired: bool, order: int, last: bool = False
    ) -> Moments | None:
        """The moments; None if a smaller step is needed, unless this is the `last` one."""
        value, error, infinite = (np.zeros((order + 1,) * len(functions)) for _ in range(3))
        every = [self._values(function, paired) for function in functions]
        weights = self._weights(every, order, paired)
        value[(0,) * len(functions)] = 1.0
        for index in joint.indices(len(functions), order):
            names = [f.name for f, i in zip(functions, index, strict=True) for _ in range(i)]
            if not names or (names.count("odd") + names.count("gap")) % 2:
                continue  # by symmetry
            infinite[index] = not self._product_is_finite(names, paired)
            if infinite[index] or sum(index) == 1:
                continue
            terms, rounding = self._terms(every, index, weights)
            if not (last or self._is_settled(terms[None])):
                return None
            value[index] = terms.sum()
            error[index] = float(self._left(terms[None])[0]) + float(rounding.sum())
            error[index] += abs(value[index]) * (self.missed + 4.0 * EPS)
        for axis, function in enumerate(every):
            first = tuple(int(k == axis) for k in range(len(functions)))
            value[first], error[first] = function.mean, function.mean_error
        return settled(value, error, infinite > 0)

    def _values(self, function: Function, paired: bool) -> _Values:
        """The function of l at the nodes, less its mean."""
        name = function.name
        sides = [self._even + sign * self._odd for sign in ((1.0, -1.0) if paired else (1.0,))]
        if not paired:
            sides = [self._ell]
        if name in _WITH_RATIO:
            return self._values_with_ratio(function, sides)
        mean, mean_error = 0.0, 0.0
        ell_error = np.maximum(self._ell_error, self._image_error) if paired else self._ell_error
        if name == "half_square":
            square = 0.5 * np.mean(np.square(sides), axis=0)
            terms = np.exp(self._log_w + 2.0 * self._growth) * 0.5 * self._ell**2
            mean = float(terms[self._w > 0].sum())
            mean_error = float(self._left(terms[None])[0]) + float(
                np.sum(terms * self._q_error + self._w * np.abs(self._ell) * self._ell_error)
            )
            size = np.max(np.abs(sides), axis=0)
            value, error = square - mean, size * ell_error + 4.0 * EPS * square
        elif name == "odd":
            value, error = self._odd, np.maximum(self._ell_error, self._image_error)
        elif name == "rb":
            value, error, mean = np.zeros_like(self._w), np.zeros_like(self._w), self.kl
        else:  # ell, and its even part
            value = (self._even if name == "even" else np.mean(sides, axis=0)) - self.kl
            mean, error = (0.0 if name == "even" else self.kl), ell_error
            mean_error = self.kl_error
        error = error + mean_error + EPS * np.abs(value)
        grown = _DEGREES[name] * self._growth
        if name == "odd":
            grown = np.maximum(grown - np.where(self._growth > 0.0, self._far.beyond, 0.0), 0.0)
        return _Values.of(value, error, grown, mean, mean_error, False)

    def _values_with_ratio(self, function: Function, sides: list[Vector]) -> _Values:
        """As `_values`, for functions that contain r.

        y = k3 - slope (r - 1) is also l + rest (r - 1); the form with the smaller terms is taken.
        """
        name, slope, rest = function
        log_ratio = np.logaddexp.reduce([-ell for ell in sides], axis=0) - math.log(len(sides))
        large = log_ratio > 0.0
        over = np.exp(-np.where(large, log_ratio, 0.0))  # 1 / r where that is small, else 1
        ratios = [np.where(large, np.exp(-ell - log_ratio) - over, np.expm1(-ell)) for ell in sides]
        errors = [self._ell_error] if len(sides) == 1 else [self._ell_error, self._image_error]
        weights = [np.exp(-ell) * over for ell in sides]  # r of each side, over the mean r if large
        weights = [np.where(large, np.exp(-ell - log_ratio), w) for ell, w in zip(sides, weights)]
        count = len(sides)
        if name == "gap":
            e = np.tanh(0.5 * (sides[1] - sides[0]))  # (r - r') / (r + r')
            value = np.where(large, e, e * np.exp(log_ratio))
            error = (weights[0] * errors[0] + weights[1] * errors[1]) / count + 4.0 * EPS * abs(value)
            mean = mean_error = 0.0
        else:
            x = sum(ratios) / count
            from_ell = sum(w * e for w, e in zip(weights, errors, strict=True)) / count
            if name == "ratio":
                value, error, mean, mean_error = x, from_ell + 4.0 * EPS * np.abs(x), 0.0, 0.0
            else:
                mean, mean_error = self.kl, self.kl_error
                ell = np.mean(sides, axis=0)
                curved = sum(
                    np.where(large, r + over * s, phi(-s)) for r, s in zip(ratios, sides, strict=True)
                ) / count
                centre = over * mean
                ways = (
                    (curved, -centre, -slope * x),
                    (over * (ell - mean), rest * x, np.zeros_like(x)),
                )
                sizes = [sum(np.abs(term) for term in way) for way in ways]
                # Where r is large, phi is r + l - 1, and the two ways differ in rounding alone.
                sizes[0] = np.where(large, sizes[0] + sum(map(np.abs, ratios)) / count, sizes[0])
                better = sizes[0] <= sizes[1]
                value = np.where(better, sum(ways[0]), sum(ways[1]))
                of_ell = sum(
                    np.abs(over - rest * w) * e for w, e in zip(weights, errors, strict=True)
                ) / count
                error = of_ell + over * mean_error + 4.0 * EPS * np.minimum(*sizes)
        return _Values.of(value, error, _DEGREES[name] * self._growth, mean, mean_error, True)

    def _weights(
        self, functions: Sequence[_Values], order: int, paired: bool
    ) -> list[tuple[Vector, Vector]]:
        """For each power of r from 0 to `order`: log weights of the nodes, and their errors.

        Where r is large, its logarithm is added to that of the weights, which might underflow.
        """
        out = [(self._log_w, self._q_error)]
        if not any(f.ratio for f in functions):
            return out
        if paired:
            log_ratio = np.logaddexp(-self._ell, self._odd - self._even) - math.log(2.0)
        else:
            log_ratio = -self._ell
        large = log_ratio > 0.0
        of_ratio = np.maximum(self._ell_error, self._image_error) if paired else self._ell_error
        for power in range(1, order + 1):
            with_ratio = self._log_of_ratio(power, log_ratio, paired)
            log_w = np.where(large, with_ratio, self._log_w)
            error = self._q_error + np.where(large, power * of_ratio, 0.0)
            error = self._far.with_error(error, power)
            out.append((log_w, error))
        return out

    def _terms(
        self,
        functions: Sequence[_Values],
        index: Sequence[int],
        weights: Sequence[tuple[Vector, Vector]],
    ) -> tuple[Vector, Vector]:
        """The terms of the mean of the functions' powers `index`, and bounds on their errors."""
        both = [(f, i) for f, i in zip(functions, index, strict=True) if i]
        log_w, error = weights[sum(i for f, i in both if f.ratio)]
        log_size, log_most, sign = log_w.copy(), log_w.copy(), np.ones_like(log_w)
        error = error + EPS * (4.0 + np.abs(log_w))
        for f, i in both:
            log_size += i * f.log_size
            log_most += i * f.log_most
            error = error + i * f.share
            if i % 2:
                sign = sign * f.sign
        return sign * np.exp(log_size), np.where(log_most > -np.inf, np.exp(log_most) * error, 0.0)

    def _product_is_finite(self, names: Sequence[str], paired: bool) -> bool:
        """Whether the mean of a product of these functions is finite.

        The product is a sum of powers of r times powers of l. For every power k of r the largest
        power of l that occurs with it decides. A mean over both points of a pair has moments as
        large as those of one point.
        """
        ratios = sum(name in _WITH_RATIO for name in names)
        whole = sum(_DEGREES[name] for name in names)
        plain = ratios - sum(name == "k3" for name in names)  # the factors r - 1, without l
        return all(
            self.is_finite((-float(k), -float(k)), whole - max(k - plain, 0))
            for k in range(ratios + 1)
        )

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
        exponent = -self._ell if tilt == (-1.0, -1.0) else self._exponent(tilt)
        out = np.asarray(self._log_w + exponent)
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


def _apart(x: Vector) -> Vector:
    """The distances between neighbouring nodes, never 0."""
    apart = np.abs(np.gradient(x))
    return np.where(apart > 0.0, apart, np.inf)


def _peaks(factor: Factor, edges: Sequence[float]) -> set[float]:
    """Where p^k / q^(k - 1) peaks far from every edge, and the mirror images of these points."""
    pieces = [_nodes(a, b, 8, (_REACH, _REACH)).x for a, b in itertools.pairwise(edges)]
    x = np.unique(np.concatenate(pieces))
    out: set[float] = set()
    log_q, ell = factor.log_q(x), factor.log_ratio(x)
    inner = np.array([e for e in edges if math.isfinite(e)])
    for k in _PEAKS:
        f = log_q - k * ell
        top = np.flatnonzero((f[1:-1] > f[:-2]) & (f[1:-1] >= f[2:]) & np.isfinite(f[1:-1])) + 1
        for i in top:
            low, high, peak = x[i - 1], x[i + 1], x[i]
            for _ in range(6):
                grid = np.linspace(low, high, 17)
                at = factor.log_q(grid) - k * factor.log_ratio(grid)
                j = int(np.clip(np.nanargmax(at), 1, 15))
                low, peak, high = grid[j - 1], grid[j], grid[j + 1]
            h = max(1e-4 * abs(peak), high - low, 1e-300)
            bend = _bend(factor, k, peak, h)
            width = 1.0 / math.sqrt(bend) if bend > 0.0 else h
            known = np.array([*inner, *out]) if inner.size or out else np.array([math.inf])
            if np.abs(known - peak).min() > 0.5 * width and math.isfinite(peak):
                out.add(float(peak))
    if out:
        image = factor.mirror(np.array(sorted(out)))
        low, high = factor.support
        out |= {float(y) for y in image if low + _LEAST < y < high - _LEAST}
    return out


def _bend(factor: Factor, k: int, x: float, h: float) -> float:
    """The negative second derivative of log q - k l at x, by differences of step h."""
    at = np.array([x - h, x, x + h])
    low, mid, high = factor.log_q(at) - k * factor.log_ratio(at)
    return float(2.0 * mid - low - high) / (h * h)


class _Far:
    """The nodes at which q is so small that log q + T E + S L may have lost all digits.

    There the coefficients of log q are added up before they multiply it.
    """

    def __init__(
        self, factor: Factor, x: Vector, image: Vector, log_dx: Vector, log_q: Vector,
        powers: Vector, beyond: Vector,
    ) -> None:  # fmt: skip
        self.beyond = beyond
        self.nodes = np.flatnonzero(log_q < _FAR)
        x, image, self._log_q = x[self.nodes], image[self.nodes], log_q[self.nodes]
        self._log_dx, beyond = log_dx[self.nodes], beyond[self.nodes]
        straight = powers[self.nodes, 1] * beyond
        self._log_p, self._log_p_image = factor.log_p(x) - straight, factor.log_p(image) - straight
        apart = factor.log_q(image) - self._log_q - powers[self.nodes, 0] * beyond
        # For a symmetric q this difference is only rounding.
        self._apart = np.where(np.abs(apart) < 1e-9 * np.abs(self._log_q), 0.0, apart)
        self._errors = factor.log_q_error(x), factor.log_p_error(x)

    def log_tilted(self, tilt: Tilt) -> Vector:
        u, v = _of_both(tilt)
        whole = 1.0 + u + v if abs(1.0 + u + v) > 1e-12 else 0.0
        out = self._log_dx + whole * self._log_q - u * self._log_p
        return np.asarray(out + (v * (self._apart - self._log_p_image) if v else 0.0))

    def with_error(self, error: Vector, power: int) -> Vector:
        """The errors of log weights times r^power, at these nodes by the densities themselves."""
        error = error.copy()
        of_q, of_p = self._errors
        error[self.nodes] = abs(power - 1) * of_q + power * of_p
        return error


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
        self._factors = [(factor_law(f), float(w)) for f, w in zip(factors, weights, strict=True)]
        self._counts = np.array([w for _, w in self._factors])
        self.kl = math.fsum(w * f.kl for f, w in self._factors)
        self.kl_error = math.fsum(w * f.kl_error for f, w in self._factors) + EPS * self.kl

    def factor_moments(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> tuple[Moments, Vector]:
        each = [f.moments(functions, paired, order) for f, _ in self._factors]
        value, error = (np.stack(of, axis=-1) for of in zip(*each, strict=True))
        return Moments(value, error), self._counts

    def parts(self, order: int) -> Moments:
        return self.sums((EVEN, ODD), False, order)

    def ell(self, order: int, paired: bool = False) -> Moments:
        return self.sums((ELL,), paired, order)

    def is_finite(self, tilt: Tilt, order: int = 0) -> bool:
        return all(f.is_finite(tilt, order) for f, _ in self._factors)

    @property
    def lowest_tilt(self) -> float:
        growth = min(e.growth for f, _ in self._factors for e in f.ends)
        return 1.0 / growth if growth < 0 else -math.inf

    def log_mgf(self, tilt: Tilt) -> float:
        if not self.is_finite(tilt):
            return math.inf
        return math.fsum(w * f.log_mgf(tilt) for f, w in self._factors)

    def cumulant(self, i: int, j: int, tilt: Tilt = (0, 0)) -> float:
        if not self.is_finite(tilt, i + j):
            return math.inf
        return math.fsum(w * f.cumulants(tilt, i + j)[i, j] for f, w in self._factors)
