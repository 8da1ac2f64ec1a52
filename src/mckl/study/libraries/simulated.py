"""Checks the exact laws of formulas on drawn sequences.

Sequences are drawn from the tables, and formulas are applied to the l of their tokens, without any
part of the exact recursion. A sum over a sequence is bounded, so that Bennett's inequality bounds
the probability of a false alarm for every law. Weighted sums over tokens of another law have
bounds of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mckl.arrays import Vector
from mckl.draw.streams import generator
from mckl.estimation.theory import over_units
from mckl.estimation.values import UnitTheory
from mckl.families.policy.pair import PolicyPair
from mckl.families.policy.sampled_chain import SampledChain
from mckl.study.libraries.corrections import Correction
from mckl.study.libraries.exact import SumMoments, balanced, balanced_moments
from mckl.study.libraries.formula import Formula
from mckl.study.off_policy import p_values
from mckl.study.tails import bennett_p_value, chernoff_p_value, self_normalised_bound

SEQUENCES = 16384  # sequences drawn for each policy
POWER = 0.9  # the probability with which the smallest reported error is detected


class TokenDraws(NamedTuple):
    """l of drawn tokens, in arrays of shape (tokens, sequences).

    own     l of the tokens of sequences that q draws.
    other   l of one token that p draws after each prefix of these sequences.
    of_p    l of the tokens of as many sequences that p draws.
    before  The state before each of the tokens that q draws.
    tables  q and l of every transition.
    """

    own: Vector
    other: Vector
    of_p: Vector
    before: NDArray[np.intp]
    tables: tuple[Vector, Vector]

    def sums(self, formula: Formula) -> Vector:
        """The value of the formula for each sequence that q draws, shape (sequences,)."""
        if formula.whole:
            return formula(self.own.sum(axis=0))
        if formula.vocabulary:
            return np.asarray(formula.table(*self.tables)[self.before, 0].sum(axis=0))
        return np.asarray(formula(self.own).sum(axis=0))

    def balanced_sums(self, formula: Formula) -> Vector:
        """Sums with the same mean that also use tokens that q hardly ever draws.

        They are those of `mckl.study.libraries.exact.balanced_moments`.
        """
        if formula.vocabulary:
            return self.sums(formula)
        if formula.whole:
            return np.asarray(
                balanced(formula, self.own.sum(axis=0)) + balanced(formula, self.of_p.sum(axis=0))
            )
        both = (balanced(formula, ell).sum(axis=0) for ell in (self.own, self.other))
        return np.asarray(sum(both))


def draw(pair: PolicyPair, seed: int, *key: str) -> TokenDraws:
    """`SEQUENCES` sequences of q and of p, drawn from the random stream with this key."""
    chance, chain = generator(seed, "formulas", *key), pair.transitions
    q, p = chain.q, chain.q * np.exp(-chain.ell)
    (own, other), before = _draw(chain.start, q, p, chain.ell, pair.dimension, chance)
    (of_p, _), _ = _draw(chain.start, p, q, chain.ell, pair.dimension, chance)
    return TokenDraws(own, other, of_p, before, (q, chain.ell))


def _draw(
    start: Vector, q: Vector, p: Vector, ell: Vector, tokens: int, chance: np.random.Generator
) -> tuple[Vector, NDArray[np.intp]]:
    """l of q's sequences, and of one token of p after each prefix: (2, tokens, sequences).

    Beside it, the state before each token of q's sequences: (tokens, sequences).
    """
    edges, edges_q, edges_p = (np.cumsum(x, axis=-1)[..., :-1] for x in (start, q, p))
    state = np.searchsorted(edges, chance.random(SEQUENCES), side="right")
    out = np.empty((2, tokens, SEQUENCES))
    before = np.empty((tokens, SEQUENCES), dtype=np.intp)
    for token in range(tokens):
        before[token] = state
        u, v = chance.random((2, SEQUENCES, 1))
        following = (u >= edges_q[state]).sum(axis=1)
        out[0, token] = ell[state, following]
        out[1, token] = ell[state, (v >= edges_p[state]).sum(axis=1)]
        state = following
    return out, before


class LaggedDraws(NamedTuple):
    """Tokens that s draws: l and log(q / s) of each, in arrays of shape (tokens, sequences)."""

    ell: Vector
    log_weight: Vector

    def sums(self, correction: Correction) -> Vector:
        """The weighted value of each sequence, shape (sequences,)."""
        sums = correction.values(self.ell, self.log_weight).sum(axis=0)
        if correction.weight.level == "sequence":
            sums *= correction.weight(self.log_weight.sum(axis=0))
        return np.asarray(sums)


def draw_lagged(chain: SampledChain, seed: int, *key: str) -> LaggedDraws:
    """`SEQUENCES` sequences of s, drawn from the random stream with this key."""
    chance, states = generator(seed, "formulas", *key), chain.s.shape[1]
    edges = np.cumsum(chain.s, axis=1)[:, :-1]
    state = np.searchsorted(np.cumsum(chain.start)[:-1], chance.random(SEQUENCES), side="right")
    steps = np.empty((chain.tokens, SEQUENCES), dtype=np.intp)
    for token in range(chain.tokens):
        following = (chance.random((SEQUENCES, 1)) >= edges[state]).sum(axis=1)
        steps[token] = state * states + following
        state = following
    return LaggedDraws(chain.pair.ell.take(steps), chain.log_weight.take(steps))


class SimulatedFormula(NamedTuple):
    """The measured moments of a formula, compared with its exact law.

    mean            The mean of the balanced sums, in nats.
    variance        The variance of the formula's own sums about the exact mean, in nats squared.
    z               The difference of the mean from the exact one, in standard deviations.
    p_value         A bound on the probability of a mean or a variance with an error as large as
                    this.
    smallest_error  The error of the mean, in nats, that is detected with the probability `POWER`.
    """

    mean: float
    variance: float
    z: float
    p_value: float
    smallest_error: float


def compare_formula(
    drawn: TokenDraws, pair: PolicyPair, formula: Formula, exact: SumMoments, level: float
) -> SimulatedFormula:
    """Compare a formula on drawn sequences with its exact law."""
    sums, balanced_sums = drawn.sums(formula), drawn.balanced_sums(formula)
    off = float(balanced_sums.mean()) - exact.mean
    square = float(np.mean((sums - exact.mean) ** 2))
    if formula.whole:
        # Only the range of the balanced sums is known, which is from 0 to twice `most`.
        widest = exact.mean * (2.0 * exact.most - exact.mean)  # no variance is larger
        p_value, z = _chernoff(off, exact), math.nan
        visible = _visible(lambda x: max(_chernoff(x, exact), _chernoff(-x, exact)), exact, level)
    else:
        seen = balanced_moments(pair, formula)
        widest, z = seen.variance, off / math.sqrt(seen.variance / SEQUENCES)
        spread = exact.fourth - exact.variance**2  # the variance of one squared distance
        of_square = _bennett(square - exact.variance, spread, exact.farthest**2)
        of_mean = _bennett(off, seen.variance, seen.farthest)
        p_value = min(2.0 * min(of_mean, of_square), 1.0)
        visible = _visible(lambda x: 2.0 * _bennett(x, seen.variance, seen.farthest), seen, level)
    visible += float(ndtri(POWER)) * math.sqrt(widest / SEQUENCES)
    return SimulatedFormula(exact.mean + off, square, z, p_value, visible)


def compare_correction(sums: Vector, kl: float, unit: UnitTheory, level: float) -> SimulatedFormula:
    """Compare weighted sums over drawn sequences with their exact law.

    The weight of a sequence has no bound of use, so the test of the mean is self-normalised. That
    of the variance only sees one that is too large.
    """
    exact = over_units(unit, 1)
    mean, square = float(sums.mean()), float(np.mean((sums - kl - exact.bias) ** 2))
    z, of_mean, of_variance = p_values(kl, exact, sums)
    seen = self_normalised_bound(0.5 * level) + float(ndtri(POWER))
    visible = seen * math.sqrt(exact.variance / SEQUENCES)
    return SimulatedFormula(mean, square, z, min(2.0 * min(of_mean, of_variance), 1.0), visible)


def _bennett(off: float, variance: float, farthest: float) -> float:
    offset, v, b = (np.array(x) for x in (off, variance, farthest))
    return float(bennett_p_value(offset, v, b, SEQUENCES))


def _chernoff(off: float, law: SumMoments) -> float:
    ends = (law.mean / (2.0 * law.most), min(max((law.mean + off) / (2.0 * law.most), 0.0), 1.0))
    expected, share, count = (np.array(x) for x in (*ends, SEQUENCES))
    return float(chernoff_p_value(share, count, expected, expected))


def _visible(bound: Callable[[float], float], law: SumMoments, level: float) -> float:
    """The error of a mean at which the bound is `level`, by bisection."""
    low, high = 0.0, 2.0 * (law.most - law.least)
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if bound(middle) > level else (low, middle)
    return high
