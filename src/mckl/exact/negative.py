"""The probability that k1's estimate of a KL is negative.

A KL is never negative, but its estimate by k1 can be. As l is skewed, a normal approximation of
this probability may be wrong by orders of magnitude. The exact probability is an integral of the
moment generating function. With K(s) = log E e^{s x} of an estimate x,

    P(x < 0) = -1 / (2 pi i)  integral of  e^{K(s)} ds / s

along any upward line that crosses the real axis at a negative s where K is finite.
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
from mckl.exact.law import AnalyticLaw

SMALLEST = -115.0  # probabilities whose logarithm is below this are reported as 0
# The hyperbola bends towards the side on which e^{s x} falls. Its arms are 30 degrees off the
# vertical, so that a Gaussian factor e^{s^2} still falls along them.
_BEND = math.tan(math.radians(30.0))
_STEP, _HALVINGS = 0.25, 7
_NEGLIGIBLE = 1e-13  # arms end where the integrand is this share of its largest value
_LONGEST = 40.0
_AGREE = 1e-5  # the largest relative difference of two steps; the finer one errs by its square


@lru_cache(maxsize=4)  # a sampler and its radial form need the same number
def probability_negative(law: AnalyticLaw, units: int, paired: bool) -> float | None:
    """The probability that k1 over `units` samples, or antithetic pairs, is negative.

    The relative error is at most 1e-6, and probabilities below 1e-50 are
    returned as 0. None means not known: q and p are so far apart that the integral is all rounding.
    """
    if law.kl == 0.0:
        return 0.0

    def exponent(s: float) -> float:
        return units * law.log_mgf((s, 0.0 if paired else s))

    # Where Chernoff's bound is already below the smallest probability, no search is needed.
    if exponent(-0.5) < SMALLEST:
        return 0.0
    s = _root(law, paired)
    if s is None or exponent(s) < SMALLEST:
        return 0.0
    sd = math.sqrt(units * law.tilted(s, paired)[1])
    # The line keeps a distance of 1 / sd from the pole at 0.
    s = max(min(s, -1.0 / sd), 0.5 * (s + law.lowest_tilt))
    sd = math.sqrt(units * law.tilted(s, paired)[1])
    return inverted(lambda z: units * law.complex_log_mgf(z, paired), s, sd)


def lugannani_rice(s: float, exponent: float, variance: float) -> float:
    """P(x < 0) by the saddlepoint formula of Lugannani & Rice (1980).

    s, exponent, variance  The s < 0 at which K'(s) = 0, and K(s) and K''(s) there, where K(s) = log
                           E e^{s x}.
    """
    w, u = -math.sqrt(max(-2.0 * exponent, 0.0)), s * math.sqrt(variance)
    tail = 0.5 * math.erfc(-w / math.sqrt(2.0))
    if w > -1e-4:  # the two fractions cancel
        return tail
    density = math.exp(exponent) / math.sqrt(2.0 * math.pi)
    return min(max(tail + density * (1.0 / w - 1.0 / u), 0.0), 1.0)


def inverted(log_mgf: Callable[[Complex], Complex], s: float, sd: float) -> float | None:
    """P(x < 0) from K(s) = log E e^{s x} at complex s.

    s   The negative point, near the root of K', at which the line crosses the real axis.
    sd  The standard deviation of x under the law tilted by e^{s x}; e^K varies over the length 1 /
        sd.

    Returns None if there is no line for which the integrals with two steps agree.
    """
    peak = float(log_mgf(np.array([s + 0j]))[0].real)
    for bend in _bends(log_mgf, s, sd):
        value = _trapezoidal(log_mgf, s, sd, bend, peak)
        if value is not None:
            return min(max(value, 0.0), 1.0)
    return None


def _bends(log_mgf: Callable[[Complex], Complex], s: float, sd: float) -> list[float]:
    """The bends to try: first the hyperbola on which the integrand falls fastest, then the line."""
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
    if not largest < 1e4 * abs(values[0][0]):  # the integrand grows on this line: digits cancel
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


def _root(law: AnalyticLaw, paired: bool) -> float | None:
    """The s < 0 at which K'(s) = 0; None where a pair's mean KL + Q is never negative."""
    edge, low, high = law.lowest_tilt, 0.0, 0.0
    while True:  # double s, or go halfway to the lowest tilt with a finite E e^{s l}
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
