"""The gamma function's differences against mpmath, each error within its bound."""

from __future__ import annotations

import math

import mpmath
import pytest

from mckl.exact.gamma_function import log_gamma_rest, log_gamma_rise

EPS = 2.0**-52
STARTS = [1e-3, 0.03, 0.7, 1.4616321, 2.0, 8.999, 9.0, 77.7, 3e4, 1.5e8, 1e12]
PARTS = [1e-13, 1e-8, 1e-3, 0.1, 0.4999, 0.5001, 0.999, 7.0, 1e5]


def pairs() -> list[tuple[float, float]]:
    """Starts and ends, near and far, up and down."""
    moved = [(a, a + sign * part * a) for a in STARTS for part in PARTS for sign in (1, -1)]
    return [(a, b) for a, b in moved if b > 0.0] + [(1e12, 1e-3), (1e-3, 1e12), (5.0, 1e-9)]


@pytest.mark.parametrize("start", STARTS)
def test_differences_of_log_gamma_keep_their_digits(start: float) -> None:
    with mpmath.workdps(60):
        for a, b in pairs():
            if a != start:
                continue
            h = b - a
            # Where the difference of a and b rounds, their true distance is not h.
            exact = mpmath.mpf(b) - mpmath.mpf(a)
            rise = mpmath.loggamma(b) - mpmath.loggamma(a)
            rest = log_gamma_rest(a, h, b)
            slack = float(abs(exact - h)) * abs(math.log(a))
            assert abs(rest.value - (rise - exact * mpmath.log(a))) <= rest.error + slack
            allowed = rest.error + 2.0 * EPS * abs(h * math.log(a))
            assert abs(log_gamma_rise(a, h, b) - rise) <= allowed
            assert allowed <= 60.0 * EPS * abs(h) * (1.0 + abs(math.log(a)) + 1.0 / min(a, b))


@pytest.mark.parametrize("h", [1.0, 1e6, -3e5, 1e9])
def test_the_rest_is_small_beside_the_rise_where_the_shape_is_large(h: float) -> None:
    a = 1e12
    with mpmath.workdps(60):
        exact = mpmath.loggamma(a + mpmath.mpf(h)) - mpmath.loggamma(a) - h * mpmath.log(a)
        rest = log_gamma_rest(a, h)
        assert abs(rest.value - exact) <= rest.error
        assert rest.error <= 1e-14 * abs(h * h / a) + 1e-14 * abs(h / a)
