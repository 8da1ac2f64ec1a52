"""The functions without cancellation against 50 digits, over the whole range of float64."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mckl.exact.moments import EPS
from mckl.exact.remainders import (
    FEW_TERMS,
    LARGEST_OF_TAYLOR_SERIES,
    log_quotient,
    phi,
    phi_of_minus,
    phi_over_x,
    weighted_phi,
)

SIZES = np.concatenate((np.geomspace(1e-150, 1e-3, 200), np.linspace(1e-3, 0.5, 400), [1, 5, 40]))
X = np.concatenate((-SIZES, SIZES))


def worst(values, exact, at):
    """The largest relative error of the values, in units of EPS."""
    with mpmath.workdps(50):
        errors = [
            abs(mpmath.mpf(float(v)) / exact(mpmath.mpf(x)) - 1)
            for v, x in zip(values, at, strict=True)
        ]
        return float(max(errors)) / EPS


def exact_phi(x):
    with mpmath.workdps(400):
        return mpmath.expm1(x) - x


def test_phi_keeps_its_digits():
    assert worst(phi(X), exact_phi, X) <= 8.0
    assert worst(phi_of_minus(-X, np.expm1(X)), exact_phi, X) <= 8.0
    few = worst(phi_of_minus(-X, terms=FEW_TERMS), exact_phi, X)
    assert 8.0 < few <= 256.0  # so many terms are for samples only


def test_phi_does_not_depend_on_its_neighbours():
    """Values are picked from arrays with few small ones, and computed for all of the others."""
    for terms in (5, FEW_TERMS):
        alone = [float(phi_of_minus(np.array([x]), terms=terms)[0]) for x in X]
        assert phi_of_minus(X, terms=terms).tolist() == alone
        assert (
            phi_of_minus(np.append(X, np.full(8 * X.size, 3.0)), terms=terms)[: X.size].tolist()
            == alone
        )


def test_phi_far_out():
    assert phi(np.array([0.0, -np.inf, 1000.0])).tolist() == [0.0, np.inf, np.inf]
    assert phi(np.array([0.0, 1e-3, 1e300])).tolist()[::2] == [0.0, np.inf]
    assert np.isnan(phi(np.array([np.nan])))


def test_the_series_without_an_exponential():
    x = X[np.abs(X) <= LARGEST_OF_TAYLOR_SERIES]
    assert worst(phi_over_x(x), lambda x: exact_phi(x) / x, x) <= 4.0


@pytest.mark.parametrize("w", [1e-300, 0.3, 7e200])
def test_log_quotient_keeps_its_digits(w):
    v = w * (1.0 + X[(X > -1.0) & (np.abs(X) > 1e-15)])

    def exact(v):
        return mpmath.log(v / mpmath.mpf(w))

    apart = v != w
    assert worst(log_quotient(v, w)[apart], exact, v[apart]) <= 4.0
    assert log_quotient(1e-300, 1e300) == pytest.approx(-600.0 * np.log(10.0), rel=1e-15)
    assert log_quotient(1.0, 1.0, 1e-20) == 1e-20


def test_weighted_phi_neither_overflows_nor_underflows():
    """The terms of an expectation under q, where q may be too small and r too large for float64."""
    ell = np.array([-1200.0, -800.0, -60.0, -40.0, -0.1, 0.0, 1e-9, 3.0, 900.0])
    log_q = np.array([-1201.0, -700.0, -61.0, -2.0, -3.0, -1.0, -1.0, -1.0, -2.0])
    value, slope = weighted_phi(np.exp(log_q), np.exp(log_q - ell), ell)
    with mpmath.workdps(60):
        for i, (x, y) in enumerate(zip(ell, log_q, strict=True)):
            ratio, weight = mpmath.expm1(-mpmath.mpf(x)), mpmath.exp(mpmath.mpf(y))
            # Beside that of phi, the error is that of exponents, which are rounded to 2^-43.
            assert value[i] == pytest.approx(
                float(weight * (ratio + mpmath.mpf(x))), rel=2e-13, abs=0.0
            )
            assert slope[i] == pytest.approx(float(abs(weight * ratio)), rel=2e-13, abs=0.0)
