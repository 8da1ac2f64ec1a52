"""Formulas of libraries: a function k1, k2 or k3 of the log density ratio, and its clamps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector


class Kind(NamedTuple):
    """A function of l, its derivative, and whether its mean is KL(q||p) for all q and p."""

    value: Callable[[Vector], Vector]
    slope: Callable[[Vector], Vector]
    unbiased: bool = False


# Named as by Schulman (2020), with l = log q - log p of a token that q drew, and r = e^-l.
KINDS: Mapping[str, Kind] = {
    "k1": Kind(lambda ell: ell, np.ones_like, unbiased=True),
    "k2": Kind(lambda ell: 0.5 * ell**2, lambda ell: ell),
    "k3": Kind(lambda ell: np.expm1(-ell) + ell, lambda ell: -np.expm1(-ell), unbiased=True),
    "l^2": Kind(lambda ell: ell**2, lambda ell: 2.0 * ell),
    "abs(l)": Kind(np.abs, np.sign),
    # k3 with the roles of q and p exchanged; its mean would be KL(p||q) if p drew the tokens.
    "k3 of -l": Kind(lambda ell: np.expm1(ell) - ell, np.expm1),
}


class Formula(NamedTuple):
    """A function of a token's l, in nats.

    kind            One of `KINDS`.
    most_log_ratio  l is first clamped to +- this; inf for no clamp.
    most_value      The result is clamped to +- this; inf for no clamp.
    whole           True if the function is applied to the sequence's l, which is the sum over its
                    tokens; False if it is applied to each token's l and the results are added up.
    vocabulary      True if, instead of its value at the token drawn, its mean over all tokens that
                    q could draw after the same tokens is added up.
    """

    kind: str
    most_log_ratio: float = math.inf
    most_value: float = math.inf
    whole: bool = False
    vocabulary: bool = False

    @property
    def name(self) -> str:
        """The formula in words, such as ``k3, l within 20, result within 10``.

        >>> Formula("k3", most_value=10).name
        'k3, result within 10'
        >>> Formula("k1", vocabulary=True).name
        'k1 over the vocabulary'
        """
        parts = [self.kind]
        if self.whole:
            parts[0] += " of the sequence"
        elif self.vocabulary:
            parts[0] += " over the vocabulary"
        if math.isfinite(self.most_log_ratio):
            parts.append(f"l within {self.most_log_ratio:g}")
        if math.isfinite(self.most_value):
            parts.append(f"result within {self.most_value:g}")
        return ", ".join(parts)

    @property
    def clamps(self) -> bool:
        """Whether anything is clamped."""
        return math.isfinite(min(self.most_log_ratio, self.most_value))

    @property
    def unbiased(self) -> bool:
        """Whether the mean is KL(q||p) for all policies q and p that have the same support."""
        return not self.clamps and KINDS[self.kind].unbiased

    def __call__(self, ell: Vector) -> Vector:
        """The value of the formula at l, an array of any shape, in nats."""
        held = np.clip(ell, -self.most_log_ratio, self.most_log_ratio)
        return np.clip(KINDS[self.kind].value(held), -self.most_value, self.most_value)

    def table(self, q: Vector, ell: Vector) -> Vector:
        """What each transition of a chain adds: from q and l to a table of their shape."""
        values = self(ell)
        if not self.vocabulary:
            return values
        return np.broadcast_to((q * values).sum(axis=1, keepdims=True), q.shape)

    def clamped(self, ell: Vector) -> Vector:
        """1 where a clamp changes the result and 0 elsewhere, in the shape of l."""
        with np.errstate(over="ignore"):
            free = KINDS[self.kind].value(ell)
        return np.asarray(self(ell) != free, dtype=np.float64)


K1, K2, K3, ABS = (Formula(kind) for kind in ("k1", "k2", "k3", "abs(l)"))
LOW_VARIANCE = Formula("k3", most_log_ratio=20, most_value=10)  # verl's k3, which others took over
FULL = Formula("k1", vocabulary=True)
