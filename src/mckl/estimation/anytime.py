"""The half-width of an interval that may be looked at all the time.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", Annals of Statistics (2024), Theorem 2.2: for independent units with mean mu,
of which t were seen, with mean m_t and standard deviation s_t, and any rho > 0,

    m_t +- s_t sqrt( 2 (t rho^2 + 1) / (t^2 rho^2) log( sqrt(t rho^2 + 1) / alpha ) )

is an asymptotic confidence sequence: the probability that any of the intervals from a late enough t
on misses mu is at most alpha, to the accuracy of a central limit theorem. It is that of Robbins
(1970) for a Brownian motion, by a mixture over normal drifts with the standard deviation rho.
"""

from __future__ import annotations

import math


def spread(tightest: float, alpha: float) -> float:
    """rho^2 for which the interval is shortest, about, after so many units (their appendix B).

    >>> round(100 * spread(100, 0.05), 3)
    7.936
    """
    twice = -2.0 * math.log(alpha)
    return (twice + math.log(twice + 1.0)) / tightest


def half_width(units: int, sd: float, confidence: float, tightest: float) -> float:
    """The half-width after so many units whose standard deviation is `sd`.

    >>> 1.5 < half_width(1000, 1.0, 0.95, 1000) / (1.96 / 1000**0.5) < 1.6
    True
    """
    alpha = 1.0 - confidence
    rho2 = spread(tightest, alpha)
    grown = units * rho2 + 1.0
    return sd * math.sqrt(2.0 * grown / (units * units * rho2) * math.log(math.sqrt(grown) / alpha))
