"""Moments of normal pairs against closed forms at 120 digits, each within its own bound."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import mpmath
import pytest

from mckl.exact import joint
from mckl.exact.moments import ELL, GAP, HALF_SQUARE, K3, RATIO, Function
from mckl.families.normal import pair

# q's mean and standard deviation against the standard normal p
NEAR = [(1e-10, 1.0), (0.0, 1.0 + 2.0**-33), (1e-9, 1.0 - 2.0**-30), (1e-3, 1.01), (0.2, 0.95)]
CALM = [(0.3, 1.0), (0.5, 1.1), (-0.4, 0.96), (1.0, 1.0), (-2.0, 1.3), (0.0, 2.0), (3.0, 3.0)]
FAR = [(6.0, 1.0), (0.1, 1e3), (30.0, 20.0), (-1.0, 0.9), (0.7, 0.3), (1.0, 1e-4), (25.0, 1.0)]
# E r^4, and E r^2, are finite for sd^2 above 3/4, and above 1/2.
BORDER = [
    (0.0, math.sqrt(0.75 + 1e-9)), (1e-5, math.sqrt(0.75 + 1e-7)), (0.0, math.sqrt(0.75 - 1e-9)),
    (0.0, math.sqrt(0.5 + 1e-10)), (0.001, math.sqrt(0.5 + 1e-5)), (0.1, math.sqrt(0.5)),
]  # fmt: skip
PAIRS = NEAR + CALM + FAR + BORDER

UNPAIRED = (ELL, HALF_SQUARE, RATIO, K3)
SLOPE = Function("k3", 0.984375, 0.015625)


class Exact:
    """One coordinate's l from its float64 parameters; functions are polynomials times powers of r.

    A function is a mapping {(j, k): coefficients of powers of g}, for the powers r^j r'^k of r at a
    point and at its mirror image.
    """

    def __init__(self, mean: float, sd: float, p_mean: float = 0.0, p_sd: float = 1.0) -> None:
        mean, sd, p_mean, p_sd = map(mpmath.mpf, (mean, sd, p_mean, p_sd))
        rho, shift = sd / p_sd, (mean - p_mean) / p_sd
        self.a, self.b = (rho**2 - 1) / 2, rho * shift
        self.kl = self.a + shift**2 / 2 - mpmath.log(rho)

    def function(self, f: Function, paired: bool):
        even, odd = [self.kl - self.a, 0, self.a], [0, self.b]
        ell = even if paired else [even[0], self.b, self.a]
        r = {(1, 0): [mpmath.mpf(1) / 2], (0, 1): [mpmath.mpf(1) / 2]} if paired else {(1, 0): [1]}
        slope = mpmath.mpf(f.slope)
        if f.name == "ell":
            return {(0, 0): ell}
        if f.name == "half_square":
            square = _add(_times(even, even), _times(odd, odd)) if paired else _times(ell, ell)
            return {(0, 0): [c / 2 for c in square]}
        if f.name == "ratio":
            return r | {(0, 0): [-1]}
        if f.name == "gap":
            return {(1, 0): [mpmath.mpf(1) / 2], (0, 1): [-mpmath.mpf(1) / 2]}
        if f.name == "rb":
            return {(0, 0): [self.kl]}
        out = {power: [c * (1 - slope) for c in p] for power, p in r.items()}
        return out | {(0, 0): _add(ell, [slope - 1])}

    def mean(self, f) -> mpmath.mpf:
        """The expectation; inf where it diverges."""
        total = mpmath.mpf(0)
        for (j, k), poly in f.items():
            T, S = -(j + k), -(j - k)
            precision = 1 - 2 * T * self.a
            if precision <= 1e-12 and T < -1:
                return mpmath.inf
            mass = mpmath.exp(T * (self.kl - self.a) + (S * self.b) ** 2 / (2 * precision))
            g = [mpmath.mpf(1), S * self.b / precision]
            for m in range(1, len(poly)):
                g.append(g[1] * g[m] + m * g[m - 1] / precision)
            total += mass / mpmath.sqrt(precision) * sum(c * x for c, x in zip(poly, g))
        return total

    def moments(self, functions, paired, order):
        """All central moments by index; the means have the indices of order 1."""
        each = [self.function(f, paired) for f in functions]
        means = [self.mean(f) for f in each]
        centred = [_sum(f, {(0, 0): [-m]}) for f, m in zip(each, means, strict=True)]
        products = {(0,) * len(each): {(0, 0): [mpmath.mpf(1)]}}
        out = {}
        for index in joint.indices(len(each), order):
            if sum(index):
                axis = next(i for i, k in enumerate(index) if k)
                lower = tuple(k - (i == axis) for i, k in enumerate(index))
                products[index] = _product(products[lower], centred[axis])
                out[index] = means[axis] if sum(index) == 1 else self.mean(products[index])
        return out


def _add(f, g):
    return [x + y for x, y in itertools.zip_longest(f, g, fillvalue=0)]


def _times(f, g):
    out = [mpmath.mpf(0)] * (len(f) + len(g) - 1)
    for (i, x), (j, y) in itertools.product(enumerate(f), enumerate(g)):
        out[i + j] += x * y
    return out


def _sum(f, g):
    return {k: _add(f.get(k, [0]), g.get(k, [0])) for k in f.keys() | g.keys()}


def _product(f, g):
    out = defaultdict(lambda: [mpmath.mpf(0)])
    for (a, x), (b, y) in itertools.product(f.items(), g.items()):
        key = a[0] + b[0], a[1] + b[1]
        out[key] = _add(out[key], _times(x, y))
    return dict(out)


def _check(value, error, exact, what):
    """One number against the exact one; returns its bound relative to the number."""
    if mpmath.isinf(exact):
        assert value == math.inf, what
        return 0.0
    if abs(exact) > 1.7e308:
        assert math.isnan(value), what
        return 0.0
    off = abs(mpmath.mpf(value) - exact)
    assert off <= error, (*what, value, error, mpmath.nstr(exact, 20), float(off))
    return float(error / abs(exact)) if exact else 0.0


@pytest.mark.parametrize("which", PAIRS)
@pytest.mark.parametrize(
    ("functions", "paired"),
    [(UNPAIRED, False), ((RATIO, GAP, K3), True), ((RATIO, SLOPE), False), ((HALF_SQUARE, ELL), True)],
)  # fmt: skip
def test_factor_moments(which, functions, paired):
    with mpmath.workdps(120):
        exact = Exact(*which).moments(functions, paired, 4)
        law = pair(which[0], which[1], 0.0, 1.0).law
        (value, error), count = law.factor_moments(functions, paired, 4)
        assert count == [1.0] and value.shape == (5,) * len(functions) + (1,)
        for index, number in exact.items():
            _check(value[index][0], error[index][0], number, (which, index))
