"""Independent Poisson counts: phi(t) = sum rate_q e^(t d), d = log rate_q - log rate_p.

E r^k of a factor gets its value near the count rate_q (rate_p / rate_q)^k, the mean of the law that
is tilted by r^k. Its distribution is summed over a window of counts about each of these. Where the
rates are large, only counts at equal steps are taken: as the summand is smooth, its sum over counts
with a step of a third of the standard deviation differs by e^-170 of it (Poisson's formula).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy

from mckl.arrays import Vector
from mckl.draw.density_table import MOST_TABLES
from mckl.draw.distribution import Distribution
from mckl.exact.moments import EPS, Moments
from mckl.exact.outcomes import Outcomes
from mckl.exact.quotients import Linear, Quotients
from mckl.exact.remainders import log_quotient, phi, x_minus_log1p
from mckl.families.base import About, Family, Integrals, Pair, Side
from mckl.families.countable.law import Count
from mckl.families.countable.side import Factors
from mckl.families.exponential.pair import Exponential, text_of
from mckl.families.parameters import aliases, missing, parameter_numbers

_MOST_RATE = 1e15  # counts above this are not exact in float64
_SUMMED = 400.0  # with a larger rate not every count is taken
_POWERS = 4  # windows are about the tilts by r^0 to r^4
_WIDE = 15.0  # half a window's width: this many standard deviations and as many counts
_MORE = 40.0
_LARGEST_LOG_MOMENT = 709.0  # the logarithm of E r^k above which it is not known
_MOST_TABLED = 1e5  # with a larger rate the table of the probabilities takes longer to make
_FACTORIALS = np.cumprod([1.0, *np.arange(1.0, 30.0)])


class _PoissonLine:
    ends, log_mass = (-math.inf, math.inf), 0.0

    def __init__(self, rate: Vector, d: Vector) -> None:
        self._rate, self._d = rate, d

    def derivatives(self, t: Vector, order: int, start: Vector | float = 0.0) -> Moments:
        orders = np.arange(2.0, order + 1.0)[:, None]
        terms = self._d**orders * self._rate
        exponents = np.outer(self._d, start + t)
        sizes = np.abs(terms) @ (np.exp(exponents) * (8.0 + order + 4.0 * np.abs(exponents)))
        return Moments(terms @ np.exp(exponents), EPS * sizes)


@dataclass(frozen=True, eq=False)
class Poisson(Exponential):
    """Independent counts with rates of shape (counts,); a scalar rate serves every coordinate."""

    rate: Vector
    family = "poisson"
    parameters = "rates"

    @property
    def dimension(self) -> int:  # type: ignore[override]
        return self.rate.size

    @property
    def columns(self) -> int:  # type: ignore[override]
        return self.rate.size

    @property
    def kind(self) -> str:
        return f"poisson({text_of(self.rate)})"

    @property
    def mean(self) -> Vector:
        return self.rate

    @property
    def tensorflow(self) -> Distribution:
        return Distribution("Poisson", {"rate": self.rate})

    def line(self, p: Poisson) -> _PoissonLine:
        return _PoissonLine(self.rate, self.coefficients(p))

    def outcomes(self, p: Poisson) -> tuple[Outcomes, Vector]:
        """Counts of each distinct factor about where the moments get their values."""
        rows = np.stack((self.rate, p.rate, self.coefficients(p)), axis=1)
        rows, many = np.unique(rows, axis=0, return_counts=True)
        rate, p_rate, d = rows.T
        windows = [_windows(*row) for row in rows]
        sizes = np.array([n.size for n, _, _ in windows])
        n, step = (np.concatenate([window[k] for window in windows]) for k in (0, 1))
        log_q, q_error = _log_probability(n, np.repeat(rate, sizes))
        kl = _kl(rate, p_rate, d)
        ways = np.repeat(np.stack((*rows.T, kl.value)), sizes, axis=1)
        zero, away = np.zeros(rate.size), ways[2] * (n - ways[0])
        made = Outcomes(
            np.cumsum(sizes) - sizes, log_q + np.log(np.abs(step)), q_error + EPS,
            *_log_ratio(n, *ways), away, 6.0 * EPS * np.abs(away), kl, Moments(zero, zero),
            # Every second count has twice the weight then, and the others none.
            coarse=np.where(np.abs(step) == 1.0, 1.0, np.where(step > 0.0, 2.0, 0.0)),
            powers=np.array([powers for _, _, powers in windows]),
        )  # fmt: skip
        return made, many.astype(np.float64)

    def factor_log_ratios(self, p: Poisson, draw: Vector) -> Vector:
        d = self.coefficients(p)
        # The constant is the factor's KL, rate (e^-d - 1 + d).
        return np.asarray(d * (draw - self.rate) + self.rate * phi(-d))

    def integrals(self, p: Poisson) -> Integrals:
        """The textbook's sums over coordinates; for the KL in more digits, as its terms cancel."""
        q_rate, p_rate = (side.rate.astype(np.longdouble) for side in (self, p))
        d = np.log(q_rate / p_rate)
        with np.errstate(over="ignore"):
            chi_square = np.expm1(np.sum((p_rate - q_rate) ** 2 / q_rate).astype(float))
        moments = (p_rate - q_rate + q_rate * d, *(q_rate * d**m for m in (2, 3, 4)))
        return Integrals(*(float(np.sum(x)) for x in moments))._replace(
            chi_square=float(chi_square)
        )

    def coefficients(self, p: Poisson) -> Vector:
        return log_quotient(self.rate, p.rate)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        rates, which = np.unique(self.rate, return_inverse=True)
        if rates.size > MOST_TABLES or rates[-1] > _MOST_TABLED:
            return generator.poisson(self.rate, shape).astype(np.float64)
        u = generator.random(shape)
        for i, law in enumerate(self._counts):
            columns = slice(None) if rates.size == 1 else which == i
            u[:, columns] = law.values(u[:, columns])
        return u

    @cached_property
    def _counts(self) -> list[PoissonCount]:
        """The laws of the counts with distinct rates."""
        return [PoissonCount(rate) for rate in np.unique(self.rate).tolist()]

    def independent(self) -> Factors:
        laws = tuple(PoissonCount(rate) for rate in np.atleast_1d(self.rate).tolist())
        return Factors(self.family, laws, not self.rate.ndim)

    def against(self, p: Side) -> Pair:
        """The pair of this q and a p of as many rates, or of another family of counts."""
        if not isinstance(p, Poisson):
            return self.independent().against(p)
        length = max(self.rate.size, p.rate.size)
        q, p = (
            side if side.rate.ndim else Poisson(np.broadcast_to(side.rate, (length,)))
            for side in (self, p)
        )
        return Exponential.against(q, p)


@dataclass(frozen=True)
class PoissonCount(Count):
    """One count, where q and p are of different families."""

    rate: float
    name = "poisson"

    @property
    def quotients(self) -> Quotients:
        return Quotients(0.0, math.inf, self.rate, (Linear(1, 0, self.rate), Linear(-1, 1, 1.0)))

    @property
    def tensorflow(self) -> Distribution:
        return Distribution("Poisson", {"rate": self.rate})

    def log_probability(self, n: Vector) -> Vector:
        return np.asarray(
            scipy.special.xlogy(n, self.rate) - self.rate - scipy.special.gammaln(n + 1.0)
        )


def _kl(rate: Vector, p_rate: Vector, d: Vector) -> Moments:
    """The KL of each count, rate (e^-d - 1 + d), with bounds on the errors."""
    near = np.abs(d) < 1.0
    value = np.where(near, rate * phi(-np.where(near, d, 0.0)), p_rate - rate + rate * d)
    of_d = np.abs((rate - p_rate) * d)
    return Moments(
        value, EPS * (12.0 * value + 5.0 * np.where(near, of_d, rate * (1.0 + np.abs(d))))
    )


def _windows(rate: float, p_rate: float, d: float) -> tuple[Vector, Vector, int]:
    """The counts to take, how far apart they are, with signs that alternate, and the powers of r.

    Moments with higher powers than the last are not known.
    """
    # log E r^k is rate (e^(-k d) - 1) - k (p_rate - rate), and the tilted mean rate e^(-k d).
    k = np.arange(_POWERS + 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        settled = rate * (phi(-k * d) - k * phi(np.full(k.size, -d))) < _LARGEST_LOG_MOMENT
    settled[:2] = True
    powers = int(np.argmin([*settled, False])) - 1
    means = [rate, p_rate, *(rate * np.exp(-k[2 : powers + 1] * d)).tolist()]
    spans: list[list[float]] = []
    for mean in sorted(means):
        half = _WIDE * math.sqrt(mean) + _MORE
        low, high = max(math.floor(mean - half), 0.0), math.ceil(mean + half)
        if spans and low <= spans[-1][1]:
            spans[-1][1] = high
        else:
            spans.append([low, high, mean])
    counts, steps = [], []
    for low, high, mean in spans:
        step = 1.0 if mean < _SUMMED else float(math.floor(math.sqrt(mean) / 3.0))
        n = np.arange(low, high + 1.0, step)
        counts.append(n)
        steps.append(step * (1.0 - 2.0 * (np.arange(n.size) % 2)))
    return np.concatenate(counts), np.concatenate(steps), powers


def _log_probability(n: Vector, rate: Vector) -> tuple[Vector, Vector]:
    """The log probabilities of counts n, and bounds on the relative errors of probabilities.

    Loader, "Fast and accurate computation of binomial probabilities" (2000): the deviance
    n (u - log(1 + u)) with u = (rate - n) / n, log(2 pi n) / 2, and the rest of Stirling's formula.
    """
    few = n < _FACTORIALS.size
    m = np.where(few, 30.0, n)
    u = (rate - m) / m
    near = np.abs(u) < 0.5
    apart = m * np.log(rate / m)
    deviance = np.where(near, m * x_minus_log1p(np.where(near, u, 0.0)), rate - m - apart)
    of_deviance = np.where(near, deviance, rate + m + np.abs(apart))
    m2 = m * m
    rest = (1.0 - (1.0 - (2.0 / 7.0 - 3.0 / (14.0 * m2)) / m2) / (30.0 * m2)) / (12.0 * m)
    own = 0.5 * np.log(2.0 * math.pi * m) + rest
    k = np.where(few, n, 0.0)
    powers, factorial = k * np.log(rate), np.log(_FACTORIALS[k.astype(np.intp)])
    size = np.where(few, np.abs(powers) + rate + factorial, of_deviance + own)
    return np.where(few, powers - rate - factorial, -deviance - own), EPS * (12.0 + 3.0 * size)


def _log_ratio(
    n: Vector, rate: Vector, p_rate: Vector, d: Vector, kl: Vector
) -> tuple[Vector, Vector]:
    """l at counts n, and bounds on its errors: n d - (rate - p_rate), or d (n - rate) + KL."""
    ways = (n * d, p_rate - rate), (d * (n - rate), kl)
    sizes = [np.abs(a) + np.abs(b) for a, b in ways]
    return np.where(sizes[0] < sizes[1], sum(ways[0]), sum(ways[1])), 12.0 * EPS * np.minimum(
        *sizes
    )


def _side(given: Mapping[str, Any]) -> Poisson:
    if "rate" not in given:
        raise missing("poisson", "rate")
    rate = parameter_numbers("poisson", "rate", given["rate"], above=0.0, most=_MOST_RATE)
    return Poisson(rate)


POISSON = Family(
    "poisson",
    (),
    {"rate": "mean count"},
    _side,
    aliases=aliases(rate="mean mu lambda lam"),
    countable=True,
    about=About("counts from 0", "all", "exponential family; as scipy.stats.poisson"),
)
