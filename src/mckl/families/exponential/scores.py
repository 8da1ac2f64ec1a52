"""The score of a categorical law in its logits: every expectation is a sum over categories."""

from __future__ import annotations

import numpy as np

from mckl.arrays import Vector
from mckl.families.scores import POWERS, Draws, Rule, Scores, Weight


class CategoricalScores(Scores):
    """Scores 1[z = y] - q_y of the logits y."""

    offers: frozenset[str] = frozenset({"expected"})
    factors = 1

    def __init__(self, q: Vector, ell: Vector) -> None:
        """From the probabilities q and the l of every category; l is not used where q = 0."""
        self._q, self._taken = q, q > 0
        self._ell = np.where(self._taken, ell, 0.0)
        self._score = np.eye(q.size) - q  # of category, by parameter
        self.count: Vector = self._taken.astype(float)
        self.kl: float = float(q @ self._ell)
        self.variance: float = float(q @ (self._ell - self.kl) ** 2)
        self.gradient: Vector = q * (self._ell - self.kl)

    def _moments(self, values: Vector, highest: int) -> Vector:
        return np.stack([self._q @ values**k for k in POWERS[:highest]])

    def whole(self, weight: Weight, highest: int = 4) -> Vector:
        return self._moments(weight.at(self._ell)[:, None] * self._score, highest)

    def by_factor(self, rule: Rule, highest: int = 4) -> Vector:
        if not rule.expected:
            return self.whole(rule.now, highest)
        return np.stack([self.gradient**k for k in POWERS[:highest]])

    def draws(
        self, generator: np.random.Generator, replicates: int, samples: int
    ) -> CategoricalDraws:
        ends = np.cumsum(self._q)
        z = np.searchsorted(ends[:-1], generator.random((replicates, samples)) * ends[-1], "right")
        return CategoricalDraws(self, z)


class CategoricalDraws(Draws):
    """Drawn categories, shape (replicates, samples), and sums of gradients over them."""

    points: Vector

    def __init__(self, scores: CategoricalScores, z: Vector) -> None:
        self._scores, self.points = scores, z
        self.ell: Vector = scores._ell[z][..., None]
        self.later: Vector = np.broadcast_to(scores.kl, self.ell.shape)

    def scored(self, weights: Vector) -> Vector:
        q = self._scores._q
        replicates = len(self.points)
        where = self.points + q.size * np.arange(replicates)[:, None]
        taken = np.broadcast_to(weights, self.ell.shape)[..., 0]
        sums = np.bincount(where.ravel(), taken.ravel(), replicates * q.size)
        return np.asarray(sums.reshape(replicates, q.size) - np.outer(taken.sum(axis=1), q))

    def expected(self) -> Vector:
        return np.tile(self.points.shape[1] * self._scores.gradient, (len(self.points), 1))
