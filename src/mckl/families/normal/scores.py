"""The joint law of the score of a diagonal normal q and l, for gradient estimators.

With z = mu + sigma epsilon the parameters are ((mu - m)/s, log sigma) of every coordinate, where m
and s are constants equal to mu and sigma at the point: the scores are (epsilon, epsilon^2 - 1), and
the gradient of KL(q||p) is (b, 2a). Under the law tilted by e^(t l) every epsilon stays normal,
with variance v = 1 / (1 - 2 a t) and mean t b v. The moments of l times powers of one coordinate's
score follow from those of the coordinate's own l and from the cumulants of the rest.
"""

from __future__ import annotations

import math

import numpy as np

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.moments import Moments
from mckl.exact.remainders import x_minus_log1p
from mckl.families.normal.law import Coefficients, QuadraticLaw
from mckl.families.scores import POWERS, SMALL, Draws, Rule, Scores, Weight, power_of

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_FARTHEST = 40.0  # the limits of integrals, in standard deviations


class NormalScores(Scores):
    """Scores of a normal q: first of the means, then of the logarithms of standard deviations."""

    kl: float
    variance: float
    offers: frozenset[str] = frozenset({"factor", "pathwise"})

    def __init__(self, coefficients: Coefficients) -> None:
        self._c = coefficients
        a, b, kl, weight = coefficients
        self._law = QuadraticLaw(coefficients)
        self.count: Vector = np.tile(weight, 2)
        self.factors: int = round(float(weight.sum()))
        self.kl, self.variance = self._law.kl, self._law.variance
        self.gradient: Vector = np.concatenate((b, 2.0 * a))
        own = 2.0 * a * a + b * b
        # The Taylor polynomial of r is only right where E r^k is finite for tilts far from 0.
        calm = np.abs(a) < 1.0 / 64.0
        self._small = bool(self.variance + self.kl**2 <= SMALL and calm.all())
        self._small_own = bool(np.max(own + kl * kl) <= SMALL and calm.all())

    def whole(self, weight: Weight, highest: int = 4) -> Vector:
        if weight.terms is None:
            if self.factors > 1:
                return np.full((highest, self.count.size), np.nan)
            return self._by_quadrature(weight, highest)
        return np.stack([self._moment(weight, k, self._small, True) for k in POWERS[:highest]])

    def by_factor(self, rule: Rule, highest: int = 4) -> Vector:
        if rule.now.terms is None:
            moments = self._by_quadrature(rule.now, highest)
        else:
            moments = np.stack(
                [self._moment(rule.now, k, self._small_own, False) for k in POWERS[:highest]]
            )
        return moments

    def _moment(self, weight: Weight, power: int, small: bool, whole: bool) -> Vector:
        """E (weight(l) s)^power for every parameter; unless `whole`, l is the coordinate's l_i."""
        a, b, kl, copies = self._c
        total = np.zeros(2 * a.size)
        for t, coefficients in power_of(weight, power, small).items():
            if not coefficients.any():
                continue
            if not self._law.is_finite(t):
                return np.full(2 * a.size, np.inf)
            v = 1.0 / (1.0 - 2.0 * a * t)
            mu = t * b * v
            degree = coefficients.size - 1
            noise = _normal_moments(mu, v, 2 * degree + 2 * power)
            scores = (_power([0.0, 1.0], power), _power([-1.0, 0.0, 1.0], power))
            own = np.empty((degree + 1, 2, a.size))
            poly = np.ones((1, a.size))
            for i in range(degree + 1):
                for j, score in enumerate(scores):
                    own[i, j] = sum(
                        c * np.einsum("kr,kr->r", poly, noise[m : m + len(poly)])
                        for m, c in enumerate(score)
                        if c
                    )
                poly = _times(poly, np.stack((kl - a, b, a)))
            if whole:
                kappa = _cumulants(a, b, kl, mu, v, degree)
                kappa = (kappa @ copies)[:, None] - kappa
                rest = joint.plain_moments(Moments(kappa, np.zeros_like(kappa)), 1).value
                log_mgf = np.asarray(self._law.log_mgf((t, t)))
            else:
                rest = np.zeros((degree + 1, a.size))
                rest[0] = 1.0
                log_mgf = _own_log_mgf(a, b, kl, float(t))
            mean = np.zeros((2, a.size))
            for j, c in enumerate(coefficients):
                for i in range(j + 1):
                    mean += c * math.comb(j, i) * rest[j - i] * own[i]
            with np.errstate(over="ignore", invalid="ignore"):
                total = total + (mean * np.exp(log_mgf)).ravel()
        return np.where(np.isfinite(total), total, np.inf)

    def _by_quadrature(self, weight: Weight, highest: int) -> Vector:
        """Moments of each coordinate's weight(l_i) s, by panels that end at the kinks."""
        a, b, kl, _ = self._c
        edges = [np.broadcast_to(x, a.shape) for x in np.arange(-_FARTHEST, _FARTHEST + 0.5, 0.5)]
        for kink in weight.kinks:
            edges += _roots(a, b, kl - a - kink)
        ends = np.sort(np.clip(np.stack(edges, axis=1), -_FARTHEST, _FARTHEST), axis=1)
        half = 0.5 * np.diff(ends, axis=1)[..., None]
        x = (ends[:, :-1, None] + half * (1.0 + _NODES)).reshape(a.size, -1)
        mass = (half * _WEIGHTS).reshape(a.size, -1) * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        f = weight.at((kl - a)[:, None] + x * (b[:, None] + x * a[:, None]))
        return np.stack(
            [
                np.concatenate([(mass * (f * s) ** k).sum(axis=1) for s in (x, x * x - 1.0)])
                for k in POWERS[:highest]
            ]
        )

    def pathwise(self, stick: bool, highest: int = 4) -> Vector:
        a, b, _, _ = self._c
        slope = 2.0 * a if stick else 1.0 + 2.0 * a
        zero = np.zeros_like(a)
        noise = _normal_moments(zero, zero + 1.0, 2 * highest)
        of_mean = np.stack((b, slope))
        of_sd = np.stack((zero if stick else zero - 1.0, b, slope))
        out = np.empty((highest, 2, a.size))
        for j, poly in enumerate((of_mean, of_sd)):
            product = np.ones((1, a.size))
            for k in range(highest):
                product = _times(product, poly)
                out[k, j] = np.einsum("kr,kr->r", product, noise[: len(product)])
        return out.reshape(highest, -1)

    def draws(self, generator: np.random.Generator, replicates: int, samples: int) -> NormalDraws:
        copies = self._c.weight.astype(int)
        a, b, kl = (np.repeat(x, copies) for x in self._c[:3])
        noise = generator.standard_normal((replicates, samples, a.size))
        return NormalDraws(a, b, kl, noise)


class NormalDraws(Draws):
    """Drawn standard normals, shape (replicates, samples, coordinates)."""

    points: Vector

    def __init__(self, a: Vector, b: Vector, kl: Vector, noise: Vector) -> None:
        self._a, self._b, self.points = a, b, noise
        self.ell: Vector = kl + a * (noise * noise - 1.0) + b * noise

    def scored(self, weights: Vector) -> Vector:
        return _sums(weights * self.points, weights * (self.points**2 - 1.0))

    def pathwise(self, stick: bool) -> Vector:
        of_mean = self._b + (2.0 * self._a + (not stick)) * self.points
        return _sums(of_mean, self.points * of_mean - (not stick))


def _sums(of_mean: Vector, of_sd: Vector) -> Vector:
    return np.concatenate((of_mean.sum(axis=1), of_sd.sum(axis=1)), axis=1)


def _own_log_mgf(a: Vector, b: Vector, kl: Vector, t: float) -> Vector:
    """log E e^{t l_i} of each coordinate."""
    x = -2.0 * a * t
    return np.asarray(t * kl + 0.5 * (x_minus_log1p(x) + (t * b) ** 2 / (1.0 + x)))


def _power(poly: list[float], power: int) -> Vector:
    out = np.ones(1)
    for _ in range(power):
        out = np.convolve(out, poly)
    return out


def _times(f: Vector, g: Vector) -> Vector:
    """The product of polynomials whose coefficients stand in the first axis."""
    out = np.zeros((len(f) + len(g) - 1, *f.shape[1:]))
    for i, c in enumerate(g):
        out[i : i + len(f)] += c * f
    return out


def _normal_moments(mu: Vector, v: Vector, degree: int) -> Vector:
    """Moments 0 ... degree of normal laws with means mu and variances v."""
    out = [np.ones_like(mu), mu]
    for k in range(1, degree):
        out.append(mu * out[k] + k * v * out[k - 1])
    return np.stack(out[: degree + 1])


def _cumulants(a: Vector, b: Vector, kl: Vector, mu: Vector, v: Vector, degree: int) -> Vector:
    """Cumulants 0 ... degree of kl + a (g^2 - 1) + b g for normals g with means mu, variances v."""
    square, slope = a * v, (2.0 * a * mu + b) ** 2 * v
    out = [np.zeros_like(a), kl + a * (v - 1.0 + mu * mu) + b * mu]
    for m in range(2, degree + 1):
        out.append(
            2.0 ** (m - 1) * math.factorial(m - 1) * square**m
            + 2.0 ** (m - 3) * math.factorial(m) * square ** (m - 2) * slope
        )
    return np.stack(out[: degree + 1])


def _roots(a: Vector, b: Vector, c: Vector) -> list[Vector]:
    """Both real roots of a x^2 + b x + c; a point beyond the integrals' ends for a missing root."""
    inside = b * b - 4.0 * a * c
    root = np.sqrt(np.maximum(inside, 0.0))
    q = -0.5 * (b + np.where(b < 0, -root, root))
    with np.errstate(divide="ignore", invalid="ignore"):
        both = q / a, c / q
    return [np.where((inside > 0) & np.isfinite(x), x, 2.0 * _FARTHEST) for x in both]
