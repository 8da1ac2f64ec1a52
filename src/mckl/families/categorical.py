"""Categorical laws: phi(t) = log sum q^(1 + t) p^(-t), up to a linear function of t.

q = 0 where p > 0 is allowed: p is then restricted to the categories that q can take, and its
probability of the others is kept as `log_mass`. Results depend on q and p only through differences
of d = log q - log p between categories, so that a common factor of the weights has no effect.
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
from mckl.draw.alias import Alias, alias_tables
from mckl.draw.distribution import Distribution
from mckl.families.base import Family, Integrals, Side
from mckl.families.categorical_scores import CategoricalScores
from mckl.families.exponential import Exponential, ExponentialPair, log_quotient, text_of
from mckl.families.parameters import check_names, numbers

_ADD_UP = 1e-6  # how far the sum of probabilities may be from 1


class _Line:
    ends = (-math.inf, math.inf)

    def __init__(self, log_q: Vector, d: Vector, log_mass: float) -> None:
        self._log_q, self._d, self.log_mass = log_q, d, log_mass

    def derivatives(self, t: Vector, order: int) -> Vector:
        """The cumulants of d under the weights q e^(t d), for every t."""
        weight = scipy.special.softmax(self._log_q[:, None] + np.outer(self._d, t), axis=0)
        mean = self._d @ weight
        mean += ((self._d[:, None] - mean) * weight).sum(axis=0)
        away = self._d[:, None] - mean
        mu, power = [np.ones(t.size), np.zeros(t.size)], weight * away
        for _ in range(2, order + 1):
            power = power * away
            mu.append(power.sum(axis=0))
        kappa = [np.zeros(t.size), np.zeros(t.size)]
        for m in range(2, order + 1):
            less = sum(math.comb(m - 1, k - 1) * kappa[k] * mu[m - k] for k in range(2, m))
            kappa.append(mu[m] - less)
        return np.stack(kappa[2:])


@dataclass(frozen=True, eq=False)
class Categorical(Exponential):
    """A categorical law.

    Attributes
    ----------
    logits
        Log probabilities up to a constant, shape (categories,); -inf for a probability of 0.
    given
        The probabilities up to a factor, if the case gave probabilities; None if it gave logits.
    """

    logits: Vector
    given: Vector | None = None
    family = "categorical"
    dimension = columns = 1

    @cached_property
    def probabilities(self) -> Vector:
        """The probabilities, shape (categories,)."""
        weights = scipy.special.softmax(self.logits) if self.given is None else self.given
        return np.asarray(weights / weights.sum())

    @property
    def kind(self) -> str:
        return f"categorical({text_of(self.probabilities)})"

    @property
    def mean(self) -> Vector:
        return self.probabilities

    @property
    def tensorflow(self) -> Distribution:
        return Distribution("Categorical", {"logits": self.logits})

    def integrals(self, p: Categorical) -> Integrals:
        """Sums over the categories that q can take."""
        taken = self.probabilities > 0
        q, p_of = (side.probabilities[taken].astype(np.longdouble) for side in (self, p))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            ell = np.log(q / p_of)
            mean = q @ ell
            m2, m3, m4 = (float(q @ (ell - mean) ** m) for m in (2, 3, 4))
            chi_square = float(q @ (p_of / q) ** 2) - 1.0
        return Integrals(float(mean), m2, m3, m4 - 3.0 * m2**2, chi_square)

    def line(self, p: Categorical) -> _Line:
        taken = self.probabilities > 0
        # p's probability of what q cannot take is summed directly: 1 less the rest loses digits.
        lost = float(p.probabilities[~taken].sum())
        log_mass = math.log1p(-lost) if lost < 0.5 else math.log(p.probabilities[taken].sum())
        log_q = self.logits[taken] - self.logits[taken].max()
        log_q -= np.log(np.exp(log_q).sum())
        return _Line(log_q, self.coefficients(p)[taken], log_mass)

    def coefficients(self, p: Categorical) -> Vector:
        taken = self.probabilities > 0
        d = np.zeros(taken.size)
        if self.given is None or p.given is None:
            d[taken] = self.logits[taken] - p.logits[taken]
        else:
            d[taken] = log_quotient(self.given[taken], p.given[taken])
        # A constant has no effect; without it, rounding is relative to the differences.
        return d - np.where(taken, self.probabilities @ d, 0.0)

    def scores(self, ell: Vector) -> CategoricalScores:
        return CategoricalScores(self.probabilities, ell)

    @cached_property
    def _alias(self) -> Alias:
        return alias_tables(self.probabilities[None])

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Any:
        (fraction,), (other,) = self._alias
        u = generator.random(shape)
        u *= fraction.size
        cell = u.astype(np.intp)
        u -= cell
        return np.where(u < fraction[cell], cell, other[cell])

    def combine(self, draw: Any, coefficients: Vector) -> Vector:
        # Some streams keep their draws as floating-point numbers.
        return np.asarray(coefficients[:, np.asarray(draw[:, 0], dtype=np.intp)])

    def against(self, p: Side) -> ExponentialPair:
        """The pair of this q and a p over as many categories, p > 0 where q > 0."""
        if not isinstance(p, Categorical):
            return super().against(p)
        if self.logits.size != p.logits.size:
            raise ValueError(
                f"categorical: q has {self.logits.size} categories and p has {p.logits.size},"
                " expected one number"
            )
        where = np.flatnonzero((self.probabilities > 0) & (p.probabilities == 0))
        if where.size:
            raise ValueError(
                f"categorical: p is 0 and q is not in category {where[0]}: KL is infinite"
            )
        return ExponentialPair(self, p)


def _side(given: Mapping[str, Any]) -> Categorical:
    known = ("probabilities", "logits")
    check_names("categorical", given, known)
    if len(given) != 1:
        raise ValueError("categorical: expected either probabilities or logits")
    ((name, value),) = given.items()
    if name == "logits":
        # -inf stands for a probability of 0.
        logits = np.asarray(value, dtype=np.float64)
        finite = numbers("categorical", name, np.where(logits == -np.inf, 0.0, logits))
        if finite.ndim == 0 or np.all(logits == -np.inf):
            raise ValueError("categorical: logits, expected a list with a finite number")
        return Categorical(logits)
    p = numbers("categorical", name, value, least=0.0)
    if p.ndim == 0:
        raise ValueError(f"categorical: probabilities {value!r}, expected a list")
    if abs(float(p.sum()) - 1.0) > _ADD_UP:
        raise ValueError(f"categorical: probabilities add up to {p.sum():.10g}, expected 1")
    with np.errstate(divide="ignore"):
        return Categorical(np.log(p), p)


CATEGORICAL = Family(
    "categorical",
    (),
    {
        "probabilities": "of the categories; they add up to 1",
        "logits": "log probabilities of the categories, up to a constant",
    },
    _side,
)
