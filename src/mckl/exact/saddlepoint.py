"""The probability that k1's estimate of a KL is negative.

A KL is never negative; its estimate k1 is with a probability that the normal law may miss by
orders of magnitude, since l is skewed. With K(s) = log E e^{s l} the formula of Lugannani &
Rice, "Saddle point approximation for the distribution of the sum of independent random
variables" (1980), needs the root of K'. For single samples it always exists: K is convex and
K(0) = K(-1) = 0, the latter because E_q p/q = 1.
"""

from __future__ import annotations

import math

from mckl.exact.law import Law

_SMALLEST = -115.0  # the logarithm of what is told as 0


def _normal_tail(x: float) -> float:
    return 0.5 * math.erfc(x / math.sqrt(2.0))


def normal_probability_negative(kl: float, variance: float) -> float:
    """The probability of a negative estimate with this mean and variance, if it is normal."""
    return _normal_tail(kl / math.sqrt(variance)) if variance > 0.0 else 0.0


def probability_negative(law: Law, units: int, paired: bool) -> float:
    """The probability that k1 over so many samples, or antithetic pairs, is negative.

    It errs by a relative 1/units or so, and by some per cent at one; below 1e-50 it is 0.
    """
    if law.kl == 0.0:
        return 0.0

    def exponent(s: float) -> float:
        return units * law.log_mgf((s, 0.0 if paired else s))

    # Chernoff's bound spares the search where nothing is left to find.
    if exponent(-0.5) < _SMALLEST:
        return 0.0
    s = _root(law, paired)
    if s is None or exponent(s) < _SMALLEST:
        return 0.0
    w = -math.sqrt(max(-2.0 * exponent(s), 0.0))
    u = s * math.sqrt(units * law.tilted(s, paired)[1])
    if w > -1e-4:  # the two fractions below cancel
        return normal_probability_negative(law.kl, law.tilted(0.0, paired)[1] / units)
    density = math.exp(exponent(s)) / math.sqrt(2.0 * math.pi)
    return min(max(_normal_tail(-w) + density * (1.0 / w - 1.0 / u), 0.0), 1.0)


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
