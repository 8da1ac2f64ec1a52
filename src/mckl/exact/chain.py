"""The law of sums over the steps of a Markov chain, by products of its transition matrices.

Let a chain with transition matrix Q start in the law mu, and let X be a sum over its n steps of
tables g(previous, next). With the matrix M(t) = Q e^{t g}, entry by entry,

    E e^{t X} = mu M(t)^n 1.

Its Taylor series in t follows from n products of M(t) with a vector of truncated series. They take
n S^2 operations a moment for S states, and the memory of a few matrices. After every product the
vector is divided by the series of one of its states, and the logarithm of that series is added to
the cumulants. So no cumulant is a difference of large moments, and nothing overflows. Once the
divided vector no longer changes, each remaining step adds the same.

Near q = p the entries of the vectors are close to 1. Then their differences from 1 are computed
instead, from row sums less 1 in which nothing cancels (docs/theory.md, section 2.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact.integrands import SUMS
from mckl.exact.law import Law, Tilt
from mckl.exact.phi import phi
from mckl.exact.series import Algebra, algebra

_SETTLED = 4.0 * np.finfo(float).eps  # the largest relative change in a step that is ignored
_NEAR = 0.5  # vectors within this distance of 1 are kept as their difference from 1
_NOTHING = 4.0 * np.finfo(float).eps  # a variance this small relative to its terms is rounding
_MOST_EXPONENT = 300.0  # weights e^{s l} with a larger exponent are scaled down


class Transitions(NamedTuple):
    """The transition probabilities of q, and how those of p differ from them.

    q       the transition probabilities of q, shape (states, states): q[x, y] from x to y
    log_q   their logarithms, -inf for 0
    ell     log q - log p of each transition, in nats; 0 where q is 0
    kl      KL of the next token's laws for each row, in nats: the row means of `ell`, to all digits
    missed  for each row, p's probability of the tokens that q never takes there
    start   the law of the state before the first token, shape (states,)
    """

    q: Vector
    log_q: Vector
    ell: Vector
    kl: Vector
    missed: Vector
    start: Vector

    def of(self, states: NDArray[np.intp]) -> Transitions:
        """The transitions among some states, which q must never leave."""
        square = np.ix_(states, states)
        return Transitions(
            self.q[square], self.log_q[square], self.ell[square],
            self.kl[states], self.missed[states], self.start[states],
        )  # fmt: skip

    def table(self, name: str) -> tuple[Vector, Vector]:
        """The terms of a named sum, one for each transition, and their row means under q."""
        if name == "rb":
            return np.broadcast_to(self.kl[:, None], self.q.shape), self.kl
        table = self.ell if name == "ell" else SUMS[name](self.ell)
        if name == "half_square":
            return table, (self.q * table).sum(axis=1)
        return table, {"ell": self.kl, "ratio": -self.missed, "k3": self.kl - self.missed}[name]


def log_mean(
    series: Algebra, start: Vector, weights: Sequence[Vector], excess: Vector, steps: int
) -> Vector:
    """The series of log(start M^steps 1), shape (size,), for a matrix M of series.

    Parameters
    ----------
    series
        The algebra of the series.
    start
        The law of the first state, shape (states,).
    weights
        The coefficients of M: for every monomial a matrix of shape (states, states).
    excess
        The row sums of M, shape (states, size), of which 1 is subtracted from the constant.
    steps
        The power of M.
    """
    total, x = np.zeros(series.size), np.zeros(excess.shape)
    every = np.concatenate(weights, axis=1)
    u = np.ones(len(excess))  # the constant coefficients; x[:, 0] is u - 1
    reference = 0
    for step in range(steps):
        up = weights[0] @ u
        near = bool(np.abs(x[:, 0]).max() <= _NEAR and np.abs(up - 1.0).max() <= _NEAR)
        if not near:  # 1 + x loses no digits
            x[:, 0] = u
        new = every @ np.moveaxis(series.multiples(x), 1, 0).reshape(-1, series.size)
        if near:
            new += excess
        above = new[:, 0].copy() if near else up - 1.0
        new[:, 0] = up
        if not up[reference] > 0.5 * up.max():
            reference = int(np.argmax(up))
        base, lead = new[reference].copy(), float(above[reference])
        divisor = series.divisor(base)
        share = series.log(base, lead, divisor)
        total += share
        divided = new @ divisor
        divided[reference] = series.one
        u = divided[:, 0].copy()
        divided[:, 0] = (above - lead) / base[0] if near else u - 1.0
        if not near:
            x[:, 0] -= 1.0
        new[:, 0] = above
        moved = np.abs(divided - x).max(axis=0)
        x = divided
        size = np.maximum(np.abs(x).max(axis=0), np.abs(new).max(axis=0) / base[0])
        if not (moved > _SETTLED * size).any():
            total += (steps - 1 - step) * share
            break
    base, lead = start @ x, float(start @ x[:, 0])
    base[0] = start @ u
    return total + series.log(base, lead)


class ChainLaw(Law):
    """The law of l for sequences of `steps` tokens; a sample has no mirror image.

    Every tilt takes at most steps S^2 operations, once.
    """

    mirrored = False
    _most_odd = 0

    def __init__(self, transitions: Transitions, steps: int) -> None:
        super().__init__()
        self._of, self._steps = transitions, steps
        self._series: dict[float, Vector] = {}
        self.kl = float(self._tilted(0.0, 1)[1])
        if transitions.missed.any():
            self.missed_mass = -math.expm1(self.log_mgf((-1.0, -1.0)))

    def is_finite(self, tilt: Tilt, order: int = 0) -> bool:
        return True

    @property
    def lowest_tilt(self) -> float:
        return -math.inf

    def log_mgf(self, tilt: Tilt) -> float:
        return float(self._tilted(tilt[0], 4)[0]) if tilt[0] else 0.0

    def prepare(self, tilt: Tilt, order: int) -> None:
        self._tilted(tilt[0], max(order, 4))

    def cumulant(self, i: int, j: int, tilt: Tilt = (0, 0)) -> float:
        s = tilt[0]
        if j > 0 or i == 0:
            return 0.0
        value = math.factorial(i) * float(self._tilted(s, max(i, 4))[i])
        if i == 1:
            return value - self.kl if s else 0.0
        return value

    @np.errstate(over="ignore", invalid="ignore")
    def _tilted(self, s: float, order: int) -> Vector:
        """The Taylor coefficients of K at s, up to `order`; inf where one exceeds float64."""
        known = self._series.get(s)
        if known is not None and len(known) > order:
            return known
        of, series = self._of, algebra(1, order)
        taken = of.q > 0
        exponent = np.where(taken, s * of.ell, 0.0)
        exponent_of_weight = np.where(taken, of.log_q + exponent, -np.inf)
        shift = float(exponent_of_weight.max())
        shift = shift if shift > _MOST_EXPONENT else 0.0
        weight = np.exp(exponent_of_weight - shift)
        weights, powers = [weight], weight
        for k in range(1, order + 1):
            powers = powers * of.ell / k
            weights.append(powers)
        sums = np.stack([w.sum(axis=1) for w in weights], axis=1)
        # A row sum of weights loses digits where it is close to 1, and a row sum of weights times
        # l where it is small. The centred form loses them where l is large.
        plain, size = sums[:, 0] - 1.0, 1.0 + sums[:, 0]
        parts = of.q * phi(exponent), s * of.q * phi(-of.ell)
        centred = s * of.missed + (parts[0] + parts[1]).sum(axis=1)
        rounding = (np.abs(parts[0]) + np.abs(parts[1])).sum(axis=1)
        better = (rounding < size) & (shift == 0.0)
        sums[:, 0] = -of.missed if s == -1.0 else np.where(better, centred, plain)
        apart = of.q * of.ell * np.expm1(exponent)
        size, rounding = np.abs(weights[1]).sum(axis=1), of.kl + np.abs(apart).sum(axis=1)
        better = (rounding < size) & (shift == 0.0)
        sums[:, 1] = np.where(better, of.kl + apart.sum(axis=1), sums[:, 1])
        found = log_mean(series, of.start, weights, sums, self._steps)
        found[0] += self._steps * shift
        if order > 1 and self._is_rounding(found[2], of.ell):
            found[2:] = 0.0
        self._series[s] = np.where(np.isfinite(found), found, np.inf)
        return self._series[s]

    def sums(self, names: Sequence[str], paired: bool, order: int = 4) -> Vector:
        if paired:
            raise ValueError("a policy has no antithetic pairs")
        return self.joint_cumulants([self._of.table(name) for name in names], order)

    @np.errstate(over="ignore", invalid="ignore")
    def joint_cumulants(self, tables: Sequence[tuple[Vector, Vector]], order: int = 4) -> Vector:
        """The joint cumulants of sums over tokens of any tables g(previous, next).

        Parameters
        ----------
        tables
            For each sum its table, shape (states, states), and the table's row means under q. The
            caller gives the means so that they keep all their digits.
        order
            The largest total order.

        Returns
        -------
        An array as `sums` returns it.
        """
        of, series = self._of, algebra(len(tables), order)
        # Tables are scaled by powers of two so that none exceeds 1 and products do not overflow.
        scaled = [np.nan_to_num(table) for table, _ in tables]
        units = [float(np.frexp(np.abs(table).max())[1]) for table in scaled]
        scaled = [table * 2.0**-unit for table, unit in zip(scaled, units, strict=True)]
        weights: list[Vector] = []
        where = {m: k for k, m in enumerate(series.monomials)}
        for monomial in series.monomials:
            if not any(monomial):
                weights.append(of.q)
                continue
            v = next(i for i, n in enumerate(monomial) if n)
            lower = tuple(n - (i == v) for i, n in enumerate(monomial))
            weights.append(weights[where[lower]] * scaled[v] / monomial[v])
        sums = np.stack([w.sum(axis=1) for w in weights], axis=1)
        sums[:, 0] = 0.0
        for v, (_, means) in enumerate(tables):
            sums[:, where[tuple(int(i == v) for i in range(len(tables)))]] = (
                means * 2.0 ** -units[v]
            )
        found = log_mean(series, of.start, weights, sums, self._steps) * series.factorials
        found = np.ldexp(found, np.array(series.monomials) @ np.array(units, dtype=int))
        out = np.zeros((order + 1,) * len(tables))
        for monomial, value in zip(series.monomials, found, strict=True):
            out[monomial] = value if math.isfinite(value) else math.inf
        out[(0,) * len(tables)] = 0.0
        for v, (table, _) in enumerate(tables):
            second = tuple(2 * int(i == v) for i in range(len(tables)))
            if order > 1 and self._is_rounding(0.5 * out[second], table):
                mean = tuple(int(i == v) for i in range(len(tables)))
                kept = float(out[mean])
                np.moveaxis(out, v, 0)[1:] = 0.0
                out[mean] = kept
        return out

    def _is_rounding(self, half_variance: float, table: Vector) -> bool:
        """Whether the variance of a sum over tokens is 0, and what was computed is rounding."""
        square = self._of.q * np.square(table)
        rows = square.sum(axis=1)
        if not abs(half_variance) <= _NOTHING * self._steps * rows.max():
            return False
        excess = np.stack((np.zeros(rows.size), rows), axis=1)
        size = log_mean(algebra(1, 1), self._of.start, [self._of.q, square], excess, self._steps)[1]
        return bool(abs(half_variance) <= _NOTHING * size)


def direct(of: Transitions, steps: int) -> tuple[float, float]:
    """The mean and the variance of l by forward and backward recursions, without tilts or series.

    KL is the sum over steps of the mean of the next token's KL under the law of the state. Var l is
    the sum over steps of the mean variance of what the next token changes in the expected total.
    """
    with np.errstate(divide="ignore"):
        ell = np.where(of.q > 0, of.ell, 0.0)
    means = (of.q * ell).sum(axis=1)
    left = [np.zeros(len(means))]  # the mean l still to come from each state, by tokens left
    for _ in range(steps):
        left.append(means + of.q @ left[-1])
    law, kl, variance = of.start, 0.0, float(of.start @ (left[-1] - of.start @ left[-1]) ** 2)
    for step in range(steps):
        kl += float(law @ means)
        change = ell + left[steps - 1 - step] - left[steps - step][:, None]
        variance += float(law @ (of.q * change**2).sum(axis=1))
        law = law @ of.q
    return kl, variance
