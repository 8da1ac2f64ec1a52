"""The weight of a token or a sequence that another law than q has drawn."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.exact.moments import EPS, Moments


class SampleWeight(NamedTuple):
    """How the terms of samples of s are weighted, with w = q/s of a token, and W = prod w.

    name         its name in the config and in tables
    label        the same in words
    level        ``token``: each token's term is multiplied by its own w; ``sequence``: a sample's
                 value by W; None: no weight
    least, most  the weight is held within these, or, if `masked`, 0 outside
    masked
    normalised   whether weights are divided by their mean over all tokens, or over all sequences
    power        the power of q/s
    """

    name: str
    label: str
    level: Literal["token", "sequence"] | None
    least: float = 0.0
    most: float = math.inf
    masked: bool = False
    normalised: bool = False
    power: float = 1.0

    @property
    def bounded(self) -> bool:
        """Whether a clamp or a mask can change a weight."""
        return self.least > 0.0 or math.isfinite(self.most)

    @property
    def unbiased(self) -> bool:
        """Whether this is the weight of importance sampling, whose means under s are those of q."""
        return self.level == "sequence" and self.power == 1.0 and not self.bounded

    def __call__(self, log_ratio: Vector) -> Vector:
        """The weights, before any normalisation, for log(q / s) of tokens or sequences."""
        if self.level is None:
            return np.ones_like(log_ratio)
        with np.errstate(over="ignore"):
            w = np.exp(self.power * log_ratio)
        if self.masked:
            return np.where((w >= self.least) & (w <= self.most), w, 0.0)
        return np.asarray(np.clip(w, self.least, self.most))

    def bounds(self, log_ratio: Vector, error: Vector) -> Moments:
        """The weights with bounds on their errors, those of `log_ratio` being at most `error`."""
        value = self(log_ratio)
        if self.level is None:
            return Moments(value, np.zeros_like(value))
        with np.errstate(over="ignore"):
            w = np.exp(self.power * log_ratio)
        taken = w > 0.0
        off = w * np.where(
            taken, self.power * (error + EPS * np.abs(np.where(taken, log_ratio, 0))), 0
        )
        off = off + 2.0 * EPS * w
        if self.masked:  # a weight this close to an end may be on either side of it
            near = (np.abs(w - self.least) <= off) | (np.abs(w - self.most) <= off)
            return Moments(value, np.where(near & taken, w, np.where(value > 0.0, off, 0.0)))
        return Moments(value, off)
