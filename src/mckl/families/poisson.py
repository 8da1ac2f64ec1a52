"""Independent Poisson counts: phi(t) = sum rate_q e^(t d), d = log rate_q - log rate_p."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.draw.distribution import Distribution
from mckl.exact.integrands import k3
from mckl.families.base import Family, Integrals, Side
from mckl.families.exponential import Exponential, ExponentialPair, log_quotient, text_of
from mckl.families.parameters import check_names, missing, numbers

_MOST_RATE = 1e15  # counts above this are not exact in float64


class _Line:
    ends, log_mass = (-math.inf, math.inf), 0.0

    def __init__(self, rate: Vector, d: Vector) -> None:
        self._rate, self._d = rate, d

    def derivatives(self, t: Vector, order: int) -> Vector:
        powers = self._d ** np.arange(2, order + 1)[:, None]
        return np.asarray((powers * self._rate) @ np.exp(np.outer(self._d, t)))


@dataclass(frozen=True, eq=False)
class Poisson(Exponential):
    """Independent counts with rates of shape (counts,); a scalar rate serves every coordinate."""

    rate: Vector
    family = "poisson"

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

    def line(self, p: Poisson) -> _Line:
        return _Line(self.rate, self.coefficients(p))

    def factor_lines(self, p: Poisson) -> list[tuple[_Line, float]]:
        every = np.stack((self.rate, self.coefficients(p)), axis=1)
        rows, counts = np.unique(every, axis=0, return_counts=True)
        return [
            (_Line(rate, d), float(count))
            for (rate, d), count in zip(rows[..., None], counts, strict=True)
        ]

    def factor_log_ratios(self, p: Poisson, draw: Vector) -> Vector:
        d = self.coefficients(p)
        # The constant is the factor's KL, rate (e^-d - 1 + d).
        return np.asarray(d * (draw - self.rate) + self.rate * k3(d))

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
        return generator.poisson(self.rate, shape).astype(np.float64)

    def combine(self, draw: Vector, coefficients: Vector) -> Vector:
        return np.asarray(coefficients @ draw.T)

    def against(self, p: Side) -> ExponentialPair:
        """The pair of this q and a p of as many rates."""
        if not isinstance(p, Poisson):
            return super().against(p)
        length = max(self.rate.size, p.rate.size)
        if any(side.rate.ndim and side.rate.size != length for side in (self, p)):
            raise ValueError(
                f"poisson: q has {self.rate.size} rates and p has {p.rate.size},"
                " expected one number"
            )
        q, p = (Poisson(np.broadcast_to(side.rate, (length,))) for side in (self, p))
        return ExponentialPair(q, p)


def _side(given: Mapping[str, Any]) -> Poisson:
    check_names("poisson", given, ("rate",))
    if "rate" not in given:
        raise missing("poisson", "rate")
    rate = numbers("poisson", "rate", given["rate"], above=0.0, most=_MOST_RATE)
    return Poisson(rate)


POISSON = Family("poisson", (), {"rate": "mean count"}, _side)
