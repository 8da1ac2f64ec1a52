"""The half-width of an interval that may be looked at after every sample.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", Annals of Statistics (2024), Theorem 2.2: let the first t of independent
units with mean mu have the mean m_t and the standard deviation s_t. Then for any rho > 0

    m_t +- s_t sqrt( 2 (t rho^2 + 1) / (t^2 rho^2) log( sqrt(t rho^2 + 1) / alpha ) )

is an asymptotic confidence sequence: the probability that any interval after a large enough t
misses mu is at most alpha, to the accuracy of a central limit theorem. Robbins (1970) derived it
for a Brownian motion, from a mixture over normal drifts with the standard deviation rho.
"""

from __future__ import annotations

import math


def spread(tightest: float, alpha: float) -> float:
    """The rho^2 that makes the interval about shortest after `tightest` units (their appendix B).

    >>> round(100 * spread(100, 0.05), 3)
    7.936
    """
    twice = -2.0 * math.log(alpha)
    return (twice + math.log(twice + 1.0)) / tightest


def half_width(units: float, sd: float, confidence: float, tightest: float) -> float:
    """The half-width, in the units of `sd`, after a number of units with this standard deviation.

    `tightest` is the number of units after which the interval is to be about as short as it can be.

    >>> 1.5 < half_width(1000, 1.0, 0.95, 1000) / (1.96 / 1000**0.5) < 1.6
    True
    """
    alpha = 1.0 - confidence
    rho2 = spread(tightest, alpha)
    grown = units * rho2 + 1.0
    return sd * math.sqrt(2.0 * grown / (units * units * rho2) * math.log(math.sqrt(grown) / alpha))
