"""The probability that k1's estimate of a KL is negative.

A KL is never negative; its estimate k1 is with a probability that the normal law may miss by
orders of magnitude, since l is skewed. It is an integral of the moment generating function, which
is elementary: with K(s) = log E e^{s x} of an estimate x,

    P(x < 0) = -1 / (2 pi i)  integral of  e^{K(s)} ds / s

over any line from below to above that crosses the real axis at a negative s where K is finite.
The integral is taken along a hyperbola through the saddlepoint by the trapezoidal rule, whose
error falls exponentially with the number of nodes (Rice, "Distribution of quadratic forms in
normal random variables: evaluation by numerical integration", 1980; Davies, "Numerical inversion
of a characteristic function", 1973, has the integral along a vertical line).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from mckl.arrays import Complex, Vector
from mckl.exact.law import Law

SMALLEST = -115.0  # the logarithm of probabilities that are reported as 0
# How much the hyperbola bends towards where e^{s x} falls: its arms are 30 degrees off the
# vertical, so that a Gaussian factor e^{s^2} still falls along them.
_BEND = math.tan(math.radians(30.0))
_STEP, _HALVINGS = 0.25, 7
_NEGLIGIBLE = 1e-13  # of the largest integrand, where the arms end
_LONGEST = 40.0
_AGREE = 1e-5  # of two steps, so that the error of the finer one is about the square of it


@lru_cache(maxsize=4)  # a sampler and its radial twin ask for the same
def probability_negative(law: Law, units: int, paired: bool) -> float | None:
    """The probability that k1 over so many samples, or antithetic pairs, is negative.

    Exact but for rounding and quadrature, to 1e-6 of itself; below 1e-50 it is 0. None, not known,
    for pairs so far apart that rounding leaves nothing of the integral. For analytic laws.
    """
    if law.kl == 0.0:
        return 0.0

    def exponent(s: float) -> float:
        return units * law.log_mgf((s, 0.0 if paired else s))

    # Chernoff's bound spares the search where nothing is left to find.
    if exponent(-0.5) < SMALLEST:
        return 0.0
    s = _root(law, paired)
    if s is None or exponent(s) < SMALLEST:
        return 0.0
    sd = math.sqrt(units * law.tilted(s, paired)[1])
    # The pole at 0 is kept away from the line by a standard deviation's worth.
    s = max(min(s, -1.0 / sd), 0.5 * (s + law.lowest_tilt))
    sd = math.sqrt(units * law.tilted(s, paired)[1])
    return inverted(lambda z: units * law.complex_log_mgf(z, paired), s, sd)


def lugannani_rice(s: float, exponent: float, variance: float) -> float:
    """P(x < 0) by the formula of Lugannani & Rice.

    Parameters
    ----------
    s, exponent, variance
        The s < 0 with K'(s) = 0, K(s) and K''(s), where K(s) = log E e^{s x}.
    """
    w, u = -math.sqrt(max(-2.0 * exponent, 0.0)), s * math.sqrt(variance)
    tail = 0.5 * math.erfc(-w / math.sqrt(2.0))
    if w > -1e-4:  # the two fractions cancel
        return tail
    density = math.exp(exponent) / math.sqrt(2.0 * math.pi)
    return min(max(tail + density * (1.0 / w - 1.0 / u), 0.0), 1.0)


def inverted(log_mgf: Callable[[Complex], Complex], s: float, sd: float) -> float | None:
    """P(x < 0) from K(s) = log E e^{s x} at complex s.

    Parameters
    ----------
    s
        Where the line crosses the real axis: negative, near the root of K'.
    sd
        The standard deviation of x under the law tilted by e^{s x}, so that 1 / sd is the
        length over which e^K varies.

    Returns None if no line gives an integral that two steps agree on.
    """
    peak = float(log_mgf(np.array([s + 0j]))[0].real)
    for bend in _bends(log_mgf, s, sd):
        value = _trapezoidal(log_mgf, s, sd, bend, peak)
        if value is not None:
            return min(max(value, 0.0), 1.0)
    return None


def _bends(log_mgf: Callable[[Complex], Complex], s: float, sd: float) -> list[float]:
    """The hyperbolas to try: the one on which the integrand falls fastest, then the line."""
    ends = []
    for bend in (-_BEND, _BEND):
        theta = np.arange(1.0, 4.0)
        z = s + (1j * np.sinh(theta) + bend * (np.cosh(theta) - 1.0)) / sd
        ends.append((float(log_mgf(z).real.sum()), bend))
    return [min(ends)[1], 0.0]


def _trapezoidal(
    log_mgf: Callable[[Complex], Complex], s: float, sd: float, bend: float, peak: float
) -> float | None:
    def integrand(theta: Vector) -> Complex:
        z = s + (1j * np.sinh(theta) + bend * (np.cosh(theta) - 1.0)) / sd
        slope = (1j * np.cosh(theta) + bend * np.sinh(theta)) / sd
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            return np.asarray(np.exp(log_mgf(z) - peak) * slope / z)

    values = [integrand(_STEP * np.arange(8.0))]
    largest = float(np.abs(values[0]).max())
    count = 8
    while not float(np.abs(values[-1][-3:]).max()) <= _NEGLIGIBLE * largest:
        if count * _STEP > _LONGEST:
            return None
        values.append(integrand(np.asarray(_STEP * (count + np.arange(4.0)))))
        largest = max(largest, float(np.abs(values[-1]).max()))
        count += 4
    if not largest < 1e4 * abs(values[0][0]):  # it grows along this line: digits would cancel
        return None
    every = np.concatenate(values).imag
    total = every.sum() - 0.5 * every[0]
    step, estimate = _STEP, _STEP * total
    for _ in range(_HALVINGS):
        total += integrand(np.asarray((np.arange(count) + 0.5) * step)).imag.sum()
        step, count = 0.5 * step, 2 * count
        last, estimate = estimate, step * total
        if abs(estimate - last) <= _AGREE * abs(estimate):
            return float(-estimate / math.pi * math.exp(peak))
    return None


def _root(law: Law, paired: bool) -> float | None:
    """The s < 0 with K'(s) = 0; None where a pair's mean KL + Q is never negative."""
    edge, low, high = law.lowest_tilt, 0.0, 0.0
    while True:  # down by doubling, or halfway to where E e^{s l} ends
        low = max(2.0 * low or -0.5, 0.5 * (low + edge))
        if low < -1e9 or low - edge < 1e-12 * -edge:
            return None
        if law.tilted(low, paired)[0] <= 0.0:
            break
        high = low
    s = 0.5 * (low + high)
    for _ in range(200):
        mean, variance = law.tilted(s, paired)
        low, high = (low, s) if mean > 0.0 else (s, high)
        step = s - mean / variance if variance > 0.0 else low
        last, s = s, step if low < step < high else 0.5 * (low + high)
        if abs(s - last) <= 1e-10 * abs(s):
            break
    return s
