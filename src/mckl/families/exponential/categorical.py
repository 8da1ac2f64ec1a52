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
from typing import Any, ClassVar

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.alias import MergedAlias, merged_alias
from mckl.draw.distribution import Distribution
from mckl.draw.form import Seconds
from mckl.exact import joint
from mckl.exact.log_weights import outcomes_of
from mckl.exact.moments import EPS, Moments
from mckl.exact.outcomes import Outcomes
from mckl.exact.remainders import log_quotient
from mckl.families.base import About, Family, Integrals, OtherFamilyError, Pair, Side
from mckl.families.countable.law import LogRatios
from mckl.families.countable.side import Factors
from mckl.families.exponential.pair import Exponential, text_of
from mckl.families.exponential.scores import CategoricalScores
from mckl.families.parameters import aliases, parameter_numbers
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
    family = "categorical"
    parameters = "categories"
    dimension = columns = 1
    seconds: ClassVar[Seconds] = Seconds(7e-9, 0.0, 0.0, 0.0)

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
        return outcomes_of(*_logs(self), *_logs(p), *_differences(self, p)), np.ones(1)

    def sampled(self, p: Categorical, s: Side) -> SampledChain:
        if isinstance(s, Factors) and s.family == self.family:
            raise ValueError(
                f"categorical: q has 1 factor and s has {len(s.laws)}, expected the same number"
            )
        if not isinstance(s, Categorical):
            raise OtherFamilyError(f"q is categorical, s is {s.family}: expected one family")
        if s.logits.size != self.logits.size:
            raise ValueError(
                f"categorical: q has {self.logits.size} categories and s has {s.logits.size}, "
                "expected the same number"
            )
        return self._sampled(p, s.next_token)

    def lagging(self, p: Categorical, lag: float) -> SampledChain:
        return self._sampled(p, *lagging(self.next_token, lag))

    def _sampled(
        self, p: Categorical, s: NextToken, q_less_s: Vector | None = None
    ) -> SampledChain:
        row = np.zeros(1, dtype=np.intp)
        wrong = unsupported(self.next_token, s, row)
        if wrong is not None:
            raise ValueError(
                f"categorical: s is 0 in category {wrong[1]}, counted from 0, where q is not: "
                f"{NEVER_DRAWN}"
            )
        return sampled_chain(
            self.next_token, p.next_token, s, np.ones(1), 1, row, q_less_s=q_less_s
        )

    @property
    def next_token(self) -> NextToken:
        """The law as that of the first and only token of a sequence."""
        return NextToken(self.logits[None], None if self.given is None else self.given[None])

    @property
    def name(self) -> str:
        return self.family

    def categories(self) -> Categorical:
        return self

    def table(self, p: Any) -> LogRatios:
        """What is known of the pair, where it is one factor of a vector."""
        p = p.categories()
        self.check(p)
        outcomes, _ = self.outcomes(p)
        ell = np.zeros(self.logits.size)
        ell[self.taken] = outcomes.ell
        return LogRatios(0, ell, outcomes, None)

    def log_probability(self, n: Vector) -> Vector:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.probabilities)[n.astype(np.intp)])

    def scores(self, ell: Any) -> CategoricalScores:
        ell = ell.ell if isinstance(ell, LogRatios) else ell
        return CategoricalScores(self.probabilities, ell)

    @cached_property
    def _cells(self) -> MergedAlias:
        return merged_alias(self.probabilities)

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Any:
        return self._cells.samples(generator.random(shape))

    def combine(self, draw: Any, coefficients: Vector) -> Vector:
        # Some streams keep their draws as floating-point numbers.
        return np.asarray(coefficients[:, np.asarray(draw[:, 0], dtype=np.intp)])

    def independent(self) -> Factors:
        return Factors(self.family, (self,), True)

    def against(self, p: Side) -> Pair:
        """The pair of this q and a p over as many categories, p > 0 where q > 0."""
        if isinstance(p, Factors):
            return self.independent().against(p)
        if isinstance(p, Categorical):
            self.check(p)
        return super().against(p)

    def check(self, p: Any) -> None:
        """Raise ValueError for a p over other categories, and where KL is infinite."""
        if not isinstance(p, Categorical):
            raise OtherFamilyError(f"q is {self.family}, p is {p.name}: expected one family")
        if self.logits.size != p.logits.size:
            raise ValueError(
                f"categorical: q has {self.logits.size} categories and p has {p.logits.size}, "
                "expected the same number"
            )
        where = np.flatnonzero(self.taken & ~p.taken)
        if where.size:
            raise ValueError(
                f"categorical: p is 0 in category {where[0]}, counted from 0, where q is not: "
                "KL is infinite"
            )


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


def _side(given: Mapping[str, Any]) -> Categorical | Factors:
    if len(given) != 1:
        raise ValueError("categorical: expected either probabilities or logits")
    ((name, value),) = given.items()
    least, zero = (None, True) if name == "logits" else (0.0, False)
    numbers = parameter_numbers("categorical", name, value, least=least, zero=zero, axes=2)
    if numbers.ndim < 2:
        return _law(name, numbers, "")
    laws: dict[tuple[float, ...], Categorical] = {}  # equal rows are one law
    for i, row in enumerate(numbers):
        if tuple(row) not in laws:
            laws[tuple(row)] = _law(name, row, f" of factor {i}, counted from 0,")
    return Factors("categorical", tuple(laws[tuple(row)] for row in numbers))


def _law(name: str, numbers: Vector, where: str) -> Categorical:
    """The law of one factor; `where` names it in messages."""
    if name == "logits":
        if numbers.ndim == 0 or np.all(numbers == -np.inf):
            raise ValueError(f"categorical: logits{where}, expected a list with a finite number")
        return Categorical(numbers)
    if numbers.ndim == 0:
        raise ValueError(f"categorical: probabilities {numbers:g}, expected a list")
    if abs(float(numbers.sum()) - 1.0) > _ADD_UP:
        raise ValueError(
            f"categorical: probabilities{where} add up to {numbers.sum():.10g}, expected 1"
        )
    with np.errstate(divide="ignore"):
        return Categorical(np.log(numbers), numbers)


CATEGORICAL = Family(
    "categorical",
    (),
    {
        "probabilities": "of the categories; they add up to 1; a list a factor",
        "logits": "log probabilities of the categories, up to a constant; a list a factor",
    },
    _side,
    aliases=aliases(probabilities="probs weights"),
    countable=True,
    about=About(
        "one of finitely many values, or a vector of such",
        "all; p must be positive where q is",
        "finite sums",
    ),
)
