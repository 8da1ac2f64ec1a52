"""The score of a Markov chain in the logits of its transition table.

The parameters are the logits of the next token b after every token a; a token's score is
1[a = x] (1[b = y] - q(y after x)) for the logit (x, y).
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from mckl.arrays import Vector
from mckl.families.policy.token_moments import token_moments
from mckl.families.scores import ELL, Draws, Rule, Scores, Weight, power_of

MOST_STATES = 64  # the law of a gradient takes states^4 operations a token
# The largest |l| of a token for which the Taylor polynomial of r keeps all its digits.
_SMALL = 0.05


class ChainScores(Scores):
    """The scores of a chain with a fixed number of tokens after the start state."""

    factors: int
    kl: float
    variance: float
    offers: frozenset[str] = frozenset({"factor", "to-go", "expected"})

    def __init__(
        self, start: Vector, q: Vector, ell: Vector, tokens: int, later: Vector | None = None
    ) -> None:
        """From the start law, q's table, the l of every transition, and the number of tokens.

        `later` has the row means of l where these are known to more digits. A transition that q
        cannot take counts 0, and so does a row with one sure token, such as that of a stop token.
        """
        states = start.size
        self._start, self._q, self.factors = start, q, tokens
        self._ell = np.where(q > 0, ell, 0.0)
        self._score = np.eye(states) - q[:, :, None]  # [x, y, b]
        self._score *= (q > 0)[:, None, :]
        free = (q > 0) & (q < 1)
        self.count: Vector = free.ravel().astype(float)
        # The mean of the next token's l, for every state.
        self._later = (q * self._ell).sum(axis=1) if later is None else later
        self._expected = q * (self._ell - self._later[:, None])
        self._small = tokens * float(np.abs(self._ell).max()) <= _SMALL
        moments = token_moments(start, q, self._ell, self._score, None, tokens, 0, 2)[0, :, 0, 0]
        self.kl, self.variance = float(moments[1]), float(moments[2] - moments[1] ** 2)

    @cached_property
    def gradient(self) -> Vector:  # type: ignore[override]
        return np.asarray(self.by_factor(Rule(ELL, ELL, expected=True), 1)[0])

    @property
    def chain(self) -> tuple[Vector, Vector, Vector]:
        """The start law, q's table and the l of every transition."""
        return self._start, self._q, self._ell

    def whole(self, weight: Weight, highest: int = 4) -> Vector:
        out = np.full((highest, self._q.size), np.nan)
        if weight.terms is None:
            return out
        for power in range(1, highest + 1):
            total = np.zeros(self._q.shape)
            for t, coefficients in power_of(weight, power, self._small).items():
                if not coefficients.any():
                    continue
                with np.errstate(over="ignore", invalid="ignore"):
                    tilted = self._q * np.exp(t * self._ell)
                    moments = token_moments(
                        self._start, tilted, self._ell, self._score, None, self.factors,
                        power, coefficients.size - 1,
                    )  # fmt: skip
                    total += np.tensordot(coefficients, moments[power], 1)
            out[power - 1] = np.where(np.isfinite(total), total, np.inf).ravel()
        return out

    def by_factor(self, rule: Rule, highest: int = 4) -> Vector:
        states = self._start.size
        if rule.expected:
            now = np.broadcast_to(self._expected[:, :, None], self._score.shape)
        else:
            now = rule.now.at(self._ell)[:, None, :] * self._score
        v = np.zeros((states, states))
        if rule.later is not None:
            v = rule.later.at(self._ell)
            if rule.expected:
                v = np.broadcast_to(self._later[:, None], v.shape)
        later = None if rule.later is None else self._score
        moments = token_moments(self._start, self._q, v, now, later, self.factors, highest)
        return np.asarray(moments[1:, 0].reshape(highest, -1))

    def draws(self, generator: np.random.Generator, replicates: int, samples: int) -> ChainDraws:
        states = self._start.size
        ends = np.cumsum(self._q, axis=1)
        ends /= ends[:, -1:]
        ends[:, -1] = 1.0
        flat = (ends + np.arange(states)[:, None]).ravel()  # one ascending table of all rows
        first = np.cumsum(self._start / self._start.sum())
        z = np.empty((self.factors + 1, replicates, samples), dtype=np.intp)
        u = generator.random(z.shape)
        z[0] = np.minimum(np.searchsorted(first, u[0], "right"), states - 1)
        for t in range(self.factors):
            places = np.searchsorted(flat, u[t + 1] + z[t], "right")
            z[t + 1] = np.clip(places - states * z[t], 0, states - 1)
        return ChainDraws(self, np.ascontiguousarray(z.transpose(1, 2, 0)))


class ChainDraws(Draws):
    """Drawn states from the start state on, shape (replicates, samples, tokens + 1)."""

    points: Vector

    def __init__(self, scores: ChainScores, z: Vector) -> None:
        self._scores, self.points = scores, z
        replicates, states = len(z), scores._start.size
        before = z[..., :-1]
        step = before * states + z[..., 1:]
        self.ell: Vector = scores._ell.ravel()[step]
        self.later: Vector | None = scores._later[before]
        # The cell of each transition, in one table for each replicate.
        step += states * states * np.arange(replicates)[:, None, None]
        self._step = step.ravel()
        self._shape = (replicates, states, states)

    def scored(self, weights: Vector) -> Vector:
        taken = np.broadcast_to(weights, self.ell.shape).ravel()
        sums = np.bincount(self._step, taken, math.prod(self._shape)).reshape(self._shape)
        away = sums.sum(axis=2, keepdims=True) * self._scores._q
        return np.asarray((sums - away).reshape(len(sums), -1))

    def expected(self) -> Vector:
        steps = np.bincount(self._step, minlength=math.prod(self._shape)).reshape(self._shape)
        out = steps.sum(axis=2, keepdims=True) * self._scores._expected
        return np.asarray(out.reshape(len(out), -1))
