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
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.alias import Alias, alias_tables
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact import joint
from mckl.exact.moments import EPS, Moments
from mckl.exact.outcomes import Outcomes
from mckl.exact.remainders import ELL_OF_LARGE_RATIO, log_quotient, weighted_phi
from mckl.families.base import Family, Integrals, OtherFamilyError, Side
from mckl.families.exponential.pair import Exponential, ExponentialPair, text_of
from mckl.families.exponential.scores import CategoricalScores
from mckl.families.parameters import aliases, parameter_numbers, shown_briefly
from mckl.families.policy.next_token import NextToken
from mckl.families.policy.sampled_chain import (
    NEVER_DRAWN,
    SampledChain,
    lagging,
    sampled_chain,
    unsupported,
)

_ADD_UP = 1e-6  # how far the sum of probabilities may be from 1


class _CategoricalLine:
    ends = (-math.inf, math.inf)

    def __init__(self, log_q: Vector, d: Vector, log_mass: float) -> None:
        self._log_q, self._d, self.log_mass = log_q, d, log_mass

    def derivatives(self, t: Vector, order: int, start: Vector | float = 0.0) -> Moments:
        """The cumulants of d under the weights q e^(t d), for every start + t."""
        t = start + t
        weight = scipy.special.softmax(self._log_q[:, None] + np.outer(self._d, t), axis=0)
        mean = self._d @ weight
        mean += ((self._d[:, None] - mean) * weight).sum(axis=0)
        away = self._d[:, None] - mean
        mu, power = [np.ones(t.size), np.zeros(t.size)], weight * away
        for _ in range(2, order + 1):
            power = power * away
            mu.append(power.sum(axis=0))
        moments = np.stack(mu)
        made = joint.cumulants(Moments(moments, 16.0 * EPS * np.abs(moments)), 1)
        return Moments(made.value[2:], made.error[2:])


@dataclass(frozen=True, eq=False)
class Categorical(Exponential):
    """A categorical law.

    logits  Log probabilities up to a constant, shape (categories,); -inf for a probability of 0.
    given   The probabilities up to a factor, if the case gave probabilities; None if it gave
            logits.
    """

    logits: Vector
    given: Vector | None = None
    family, parameters = "categorical", "categories"
    dimension = columns = 1
    seconds = Seconds(12e-9, 0.0, 0.0, 0.0)

    @cached_property
    def probabilities(self) -> Vector:
        """The probabilities, shape (categories,); those below 5e-324 are 0."""
        weights = scipy.special.softmax(self.logits) if self.given is None else self.given
        return np.asarray(weights / weights.sum())

    @cached_property
    def log_probabilities(self) -> Vector:
        """The logarithms of the probabilities, which do not underflow; -inf where one is 0."""
        return np.asarray(self.logits - scipy.special.logsumexp(self.logits))

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

    def line(self, p: Categorical) -> _CategoricalLine:
        taken = self.taken
        # p's probability of what q cannot take is summed directly: 1 less the rest loses digits.
        lost = float(p.probabilities[~taken].sum())
        kept = p.log_probabilities[taken]
        log_mass = math.log1p(-lost) if lost < 0.5 else float(scipy.special.logsumexp(kept))
        return _CategoricalLine(
            self.log_probabilities[taken], self.coefficients(p)[taken], log_mass
        )

    @property
    def taken(self) -> NDArray[np.bool_]:
        """Whether a category has a probability above 0."""
        return np.asarray(self.logits > -np.inf)

    def coefficients(self, p: Categorical) -> Vector:
        taken = self.taken
        d = np.zeros(taken.size)
        if self.given is None or p.given is None:
            d[taken] = self.logits[taken] - p.logits[taken]
        else:
            d[taken] = log_quotient(self.given[taken], p.given[taken])
        # A constant has no effect; without it, rounding is relative to the differences.
        return d - np.where(taken, self.probabilities @ d, 0.0)

    def outcomes(self, p: Categorical) -> tuple[Outcomes, Vector]:
        """The categories that q can take; probabilities are as stored, over their exact sum."""
        taken = self.taken
        (log_q, q_error), (log_p, p_error) = _logs(self), _logs(p)
        d, d_error = _differences(self, p)
        # From a category that both sides take, so that l = d less the log of p's mean of e^d.
        d -= d[np.argmax(np.minimum(log_q, log_p))]
        d_error += EPS * np.where(taken, np.abs(d), 0.0)
        mean, mean_error = _log_mean_exp(d, d_error, log_p, p_error)
        ell = (d - mean)[taken]
        ell_error = d_error[taken] + mean_error + EPS * np.abs(ell)
        lost = np.exp(log_p[~taken])
        missed, missed_error = math.fsum(lost), math.fsum(lost * (p_error[~taken] + EPS))
        q, r_q, error = np.exp(log_q[taken]), np.exp(log_q[taken] - ell), q_error[taken]
        terms, _ = weighted_phi(q, r_q, ell)
        of_r = np.where(ell < ELL_OF_LARGE_RATIO, 2.0 * EPS * np.abs(ell), 0.0)
        errors = terms * (error + 10.0 * EPS + of_r)
        errors += np.abs(q - r_q) * ell_error + r_q * ell_error**2
        k3 = math.fsum(terms)
        k3_error = math.fsum(errors) + EPS * k3
        one = np.ones(1)
        d, d_error = d[taken], d_error[taken]
        share = q * (d_error + np.abs(d) * (error + EPS * math.log(4.0 * d.size)))
        away = d - math.fsum(q * d)
        away_error = d_error + math.fsum(share) + EPS * np.abs(away)
        return Outcomes(
            np.zeros(1, dtype=np.intp), log_q[taken], error, ell, ell_error, away, away_error,
            Moments(k3 * one, k3_error * one), Moments(missed * one, missed_error * one),
        ), one  # fmt: skip

    def sampled(self, p: Categorical, s: Side) -> SampledChain:
        if not isinstance(s, Categorical):
            raise OtherFamilyError(f"q is categorical, s is {s.family}: expected one family")
        if s.logits.size != self.logits.size:
            raise ValueError(
                f"categorical: q has {self.logits.size} categories and s has {s.logits.size}, "
                "expected one number"
            )
        return self._sampled(p, s.table)

    def lagging(self, p: Categorical, lag: float) -> SampledChain:
        return self._sampled(p, *lagging(self.table, lag))

    def _sampled(
        self, p: Categorical, s: NextToken, q_less_s: Vector | None = None
    ) -> SampledChain:
        row = np.zeros(1, dtype=np.intp)
        wrong = unsupported(self.table, s, row)
        if wrong is not None:
            raise ValueError(
                f"categorical: s is 0 and q is not in category {wrong[1]}, counted from 0: "
                f"{NEVER_DRAWN}"
            )
        return sampled_chain(self.table, p.table, s, np.ones(1), 1, row, q_less_s=q_less_s)

    @property
    def table(self) -> NextToken:
        """The law as that of the first and only token of a sequence."""
        return NextToken(self.logits[None], None if self.given is None else self.given[None])

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
        if isinstance(p, Categorical) and self.logits.size == p.logits.size:
            where = np.flatnonzero(self.taken & ~p.taken)
            if where.size:
                raise ValueError(
                    f"categorical: p is 0 and q is not in category {where[0]}, counted from 0: "
                    "KL is infinite"
                )
        return super().against(p)


def _logs(side: Categorical) -> tuple[Vector, Vector]:
    """The log probabilities, and bounds on the relative errors of their exponentials."""
    given = side.given
    if given is None:
        away = side.logits - side.logits.max()
        log_p = away - math.log(math.fsum(np.exp(away)))
    else:
        with np.errstate(divide="ignore"):
            log_p = np.log(given / math.fsum(given))
    count = 6.0 + math.log(log_p.size)
    return log_p, EPS * (count + 2.0 * np.where(log_p > -np.inf, -log_p, 0.0))


def _differences(q: Categorical, p: Categorical) -> tuple[Vector, Vector]:
    """log q - log p up to a constant, -inf where q = 0, and bounds on the errors."""
    taken = q.taken
    d, error = np.full(taken.size, -np.inf), np.zeros(taken.size)
    if q.given is not None and p.given is not None:
        d[taken] = log_quotient(q.given[taken], p.given[taken])
    else:
        logits = [side.logits[taken] for side in (q, p)]
        for side, values in zip((q, p), logits, strict=True):
            if side.given is not None:  # its logits are rounded
                error[taken] += EPS * np.abs(values)
        away = [values - values.max() for values in logits]
        near = np.abs(logits[0] - logits[1]).sum() <= np.abs(away).sum()
        d[taken] = logits[0] - logits[1] if near else away[0] - away[1]
        error[taken] += 0.0 if near else EPS * np.abs(away).sum(axis=0)
    error[taken] += 4.0 * EPS * np.abs(d[taken])
    return d, error


def _log_mean_exp(
    d: Vector, d_error: Vector, log_p: Vector, p_error: Vector
) -> tuple[float, float]:
    """The logarithm of the mean of e^d under p, and a bound on its error."""
    taken = log_p > -np.inf
    d, d_error, log_p, p_error = (x[taken] for x in (d, d_error, log_p, p_error))
    p = np.exp(log_p)
    with np.errstate(over="ignore"):
        grown = np.exp(log_p + d)
        above = np.where(d < 1.0, p * np.expm1(np.minimum(d, 1.0)), grown - p)
        total = float(above.sum())
    if -0.5 < total < 1e3:  # little cancels, and nothing overflows
        value = math.log1p(math.fsum(above))
        error = np.abs(above) * (p_error + 4.0 * EPS) + grown * d_error
        far = np.where(d < 1.0, 0.0, 2.0 * EPS * grown * np.maximum(d, 0.0))
        return value, 2.0 * float((error + far).sum()) / (1.0 + total) + 2.0 * EPS * abs(value)
    value = float(scipy.special.logsumexp(log_p + d))
    share = np.exp(log_p + d - value)
    terms = share * (d_error + p_error + EPS * np.where(share > 0.0, np.abs(log_p + d), 0.0))
    return value, float(np.nansum(terms)) + EPS * (8.0 + 2.0 * abs(value))


def _side(given: Mapping[str, Any]) -> Categorical:
    if len(given) != 1:
        raise ValueError("categorical: expected either probabilities or logits")
    ((name, value),) = given.items()
    if name == "logits":
        logits = parameter_numbers("categorical", name, value, zero=True)
        if logits.ndim == 0 or np.all(logits == -np.inf):
            raise ValueError("categorical: logits, expected a list with a finite number")
        return Categorical(logits)
    p = parameter_numbers("categorical", name, value, least=0.0)
    if p.ndim == 0:
        raise ValueError(f"categorical: probabilities {shown_briefly(value)}, expected a list")
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
    aliases=aliases(probabilities="probs weights"),
)
