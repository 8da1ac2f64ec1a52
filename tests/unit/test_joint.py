"""Moments from cumulants and back, against laws whose moments are known in closed form."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np

from mckl.exact import joint
from mckl.exact.moments import Moments


def exact_moments(weights, variables, order, centred):
    """The joint moments of variables with rational values, as fractions."""
    means = [sum(w * x for w, x in zip(weights, v, strict=True)) for v in variables]
    points = [[x - m * centred for x in v] for v, m in zip(variables, means, strict=True)]
    return {
        index: sum(
            w
            * math.prod((p[k] ** i for p, i in zip(points, index, strict=True)), start=Fraction(1))
            for k, w in enumerate(weights)
        )
        for index in joint.indices(len(variables), order)
    }


LAW = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)]
X, Y = ([Fraction(v) for v in row] for row in ((-3, 1, 10), (2, -5, 1)))


def test_the_moments_of_two_dependent_variables():
    """Central moments to cumulants, and these to both kinds of moments, within their bounds."""
    for variables, order in (([X], 8), ([X, Y], 6)):
        n = len(variables)
        central, plain = (exact_moments(LAW, variables, order, c) for c in (True, False))
        value = np.zeros((order + 1,) * n)
        for index, moment in central.items():
            value[index] = float(moment)
        given = Moments(value, 2.0**-53 * np.abs(value))
        kappa = joint.cumulants(given, n)
        for axis in range(n):
            first = tuple(int(k == axis) for k in range(n))
            kappa.value[first] = float(plain[first])
            kappa.error[first] = 2.0**-53 * abs(kappa.value[first])
        for found, exact in (
            (joint.central_moments(kappa, n), central), (joint.plain_moments(kappa, n), plain),
        ):  # fmt: skip
            for index, moment in exact.items():
                if sum(index) > 1 or (exact is plain and sum(index) == 1):
                    error = abs(Fraction(float(found.value[index])) - moment)
                    assert error <= Fraction(float(found.error[index]))
                    assert found.error[index] <= 1e-9 * (1.0 + abs(float(moment)))


def test_the_moments_of_a_poisson_law_are_those_of_touchard():
    """All its cumulants are its rate, and its moments are Touchard's polynomials of the rate."""
    kappa = Moments(np.array([0.0] + 6 * [2.0]), np.zeros(7))
    assert joint.plain_moments(kappa, 1).value.tolist() == [1, 2, 6, 22, 94, 454, 2430]
    assert joint.central_moments(kappa, 1).value.tolist() == [1, 0, 2, 2, 14, 42, 222]


def test_an_infinite_cumulant_makes_its_own_moment_infinite():
    kappa = Moments(np.array([0.0, 1.0, 2.0, np.inf]), np.zeros(4))
    assert joint.plain_moments(kappa, 1).value.tolist() == [1.0, 1.0, 3.0, np.inf]


def test_products_of_polynomials():
    f, g = {(1, 0): 2.0, (0, 0): -1.0}, {(0, 1): 3.0, (1, 0): 1.0}
    expected = {(1, 1): 6.0, (2, 0): 2.0, (0, 1): -3.0, (1, 0): -1.0}
    assert joint.polynomial_product(f, g) == expected
    at = [{i: float(a**i[0] * b**i[1]) for i in itertools.product(range(3), repeat=2)}
          for a, b in ((2, 5), (-1, 3))]  # fmt: skip
    for powers in at:
        values = [sum(c * powers[i] for i, c in h.items()) for h in (f, g, expected)]
        assert values[0] * values[1] == values[2]
