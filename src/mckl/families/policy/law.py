"""The law of sums over the steps of a Markov chain.

Let a chain with transition matrix Q start in the law mu, and let X be a sum over its n steps of
tables g(previous, next). With the matrix M(t) = Q e^{t g}, entry by entry,

    E e^{t X} = mu M(t)^n 1.

Its Taylor series in t follows from n products of M(t) with a vector of truncated series. They take
n S^2 operations a moment for S states, and the memory of a few matrices. After every product the
vector is divided by the series of one of its states, and the logarithm of that series is added to
the cumulants. So nothing overflows. Once the divided vector no longer changes, each remaining step
adds the same. Near q = p the entries of the vectors are close to 1. Then their differences from 1
are computed instead, from row sums less 1 in which nothing cancels (theory.md, section 2.5).

This gives the laws tilted by e^{s l}. Cumulants without a tilt come from
`mckl.families.policy.token_sums`, and moments of r and k3 from the tilted laws or, where these lose
digits, from `mckl.families.policy.token_products`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.law import Law
from mckl.exact.moments import ELL, EPS, Bounded, Function, Moments
from mckl.exact.remainders import phi, weighted_phi
from mckl.exact.tilted import Tilted, is_coarse, joint_moments
from mckl.families.policy import series
from mckl.families.policy.token_products import Steps, residual, token_products
from mckl.families.policy.token_sums import TransitionTable, probability_error, token_sums

_LARGEST_IGNORED_CHANGE = 4.0 * EPS  # the largest relative change in a step that is ignored
_NEAR = 0.5  # vectors within this distance of 1 are kept as their difference from 1
_MOST_EXPONENT = 300.0  # weights e^{s l} with a larger exponent are scaled down
# Moments of (r, k3) from tilted cumulants are kept where their bounds are relatively this small.
_TILTED_ERROR = 1e-12
# The same for tables with more entries than this, whose recursion over tokens takes seconds.
_LARGE_TABLE, _TILTED_ERROR_OF_LARGE_TABLE = 2**16, 1e-9


class Transitions(NamedTuple):
    """The transition probabilities of q, and how those of p differ from them.

    q          the transition probabilities of q, shape (states, states): q[x, y] from x to y
    log_q      their logarithms, -inf for 0; q itself may be rounded to 0 where this is finite
    ell        log q - log p of each transition, in nats; 0 where q is 0
    ell_error  bounds on the errors of `ell`
    kl         KL of the next token's laws for each row, in nats: the row means of `ell`
    kl_error   bounds on the errors of `kl`
    missed     for each row, p's probability of the tokens that q never takes there
    start      the law of the state before the first token, shape (states,)
    """

    q: Vector
    log_q: Vector
    ell: Vector
    ell_error: Vector
    kl: Vector
    kl_error: Vector
    missed: Vector
    start: Vector

    def of(self, states: NDArray[np.intp]) -> Transitions:
        """The transitions among some states, which q must never leave."""
        square = np.ix_(states, states)
        return Transitions(*(x[square] if x.ndim == 2 else x[states] for x in self))

    @np.errstate(over="ignore", invalid="ignore")
    def table(self, function: Function) -> TransitionTable:
        """A function of l for each transition, and its row means under q."""
        l, error = self.ell, self.ell_error  # noqa: E741
        kl = Moments(self.kl, self.kl_error)
        if function.name == "ell":
            return TransitionTable(Moments(l, error), kl)
        if function.name == "rb":
            return TransitionTable(Moments(*(np.broadcast_to(x[:, None], l.shape) for x in kl)), kl)
        if function.name == "half_square":
            square = Moments(0.5 * l * l, np.abs(l) * error + EPS * l * l)
            weighted = (self.q * part for part in (square.value, square.error + 2.0 * EPS * l * l))
            return TransitionTable(square, Moments(*(part.sum(axis=1) for part in weighted)))
        x, missed_error = np.expm1(-l), 4.0 * EPS * self.missed
        if function.name == "ratio":
            ratio = Moments(x, (1.0 + x) * error + 2.0 * EPS * np.abs(x))
            return TransitionTable(ratio, Moments(-self.missed, missed_error))
        slope, rest = function.slope, function.rest
        value, steepness, size = residual(l, slope, rest)
        k3 = Moments(value, steepness * error + 4.0 * EPS * size)
        # The means of k3 itself, as sums of positive terms.
        gap, steepness = weighted_phi(self.q, np.exp(self.log_q - l), l)
        gap_error = steepness * error + 8.0 * EPS * gap
        means = gap.sum(axis=1) + slope * self.missed
        missed_error = abs(slope) * missed_error + 2.0 * EPS * np.abs(means)
        return TransitionTable(k3, Moments(means, gap_error.sum(axis=1) + missed_error))


def log_mean(start: Vector, weights: Sequence[Vector], excess: Vector, steps: int) -> Vector:
    """The series of log(start M^steps 1), shape (size,), for a matrix M of series.

    start    The law of the first state, shape (states,).
    weights  The coefficients of M: for every power a matrix of shape (states, states).
    excess   The row sums of M, shape (states, size), of which 1 is subtracted from the constant.
    steps    The power of M.
    """
    size = len(weights)
    total, x, unit = np.zeros(size), np.zeros(excess.shape), np.eye(1, size)[0]
    every = np.concatenate(weights, axis=1)
    u = np.ones(len(excess))  # the constant coefficients; x[:, 0] is u - 1
    reference = 0
    for step in range(steps):
        up = weights[0] @ u
        near = bool(np.abs(x[:, 0]).max() <= _NEAR and np.abs(up - 1.0).max() <= _NEAR)
        if not near:  # 1 + x loses no digits
            x[:, 0] = u
        new = every @ np.moveaxis(series.multiples(x), 1, 0).reshape(-1, size)
        if near:
            new += excess
        above = new[:, 0].copy() if near else up - 1.0
        new[:, 0] = up
        if not up.max() > 0.0:  # every weight underflows
            return np.full(size, math.nan)
        if not up[reference] > 0.5 * up.max():
            reference = int(np.argmax(up))
        base, lead = new[reference].copy(), float(above[reference])
        divisor = series.divisor(base)
        share = series.log_series(base, lead, divisor)
        total += share
        divided = new @ divisor
        divided[reference] = unit
        u = divided[:, 0].copy()
        divided[:, 0] = (above - lead) / base[0] if near else u - 1.0
        if not near:
            x[:, 0] -= 1.0
        new[:, 0] = above
        # States may differ by orders of magnitude, so each is compared with itself.
        moved = (np.abs(divided - x) / u[:, None]).max(axis=0)
        x = divided
        largest = np.maximum(np.abs(x) / u[:, None], np.abs(new) / up[:, None]).max(axis=0)
        if not near:
            largest[0] = 1.0
        if (moved <= _LARGEST_IGNORED_CHANGE * largest).all():
            total += (steps - 1 - step) * share
            break
    base, lead = start @ x, float(start @ x[:, 0])
    base[0] = start @ u
    return total + series.log_series(base, lead)


class ChainLaw(Law):
    """The law of l for sequences of `steps` tokens; a sample has no mirror image.

    Every tilt takes at most steps S^2 operations, once.
    """

    kl: float
    kl_error: float
    missed_mass: float
    mirrored = False

    def __init__(self, transitions: Transitions, steps: int) -> None:
        self._chain, self._steps = transitions, steps
        self._series: dict[float, Vector] = {}
        self._sums: dict[tuple[tuple[Function, ...], int], Moments] = {}
        self.kl, self.kl_error = self.sums((ELL,), False, 1).at(1)
        self._kept = 1.0  # E r
        if transitions.missed.any():
            log_kept = self.log_mgf(-1.0)
            self.missed_mass, self._kept = -math.expm1(log_kept), math.exp(log_kept)

    def is_finite(self, s: float, order: int = 0) -> bool:
        return True

    @property
    def lowest_tilt(self) -> float:
        return -math.inf

    def log_mgf(self, s: float) -> float:
        """The logarithm of E e^{s l}."""
        return float(self._tilted(s)[0]) if s else 0.0

    def ell(self, order: int, paired: bool = False) -> Moments:
        return self.sums((ELL,), paired, order)

    def factor_moments(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> tuple[Moments, Vector]:
        raise NotImplementedError("the tokens of a policy are not independent")

    def sums(self, functions: Sequence[Function], paired: bool, order: int = 4) -> Moments:
        if paired:
            raise ValueError("a policy has no antithetic pairs")
        key, chain = (tuple(functions), order), self._chain
        if key not in self._sums:
            tables = [chain.table(function) for function in functions]
            self._sums[key] = token_sums(chain.q, chain.start, tables, self._steps, order)
        return Moments(*(x.copy() for x in self._sums[key]))

    def block(self, paired: bool, order: int = 4, slope: float = 0.0, rest: float = 1.0) -> Moments:
        if paired:
            raise ValueError("a policy has no antithetic pairs")
        moments, chain = self._tilted_block(order, rest), self._chain
        target = _TILTED_ERROR
        if chain.q.size > _LARGE_TABLE:
            target = _TILTED_ERROR_OF_LARGE_TABLE
        coarse = [n for n in range(2, order + 1) if is_coarse(moments, n, target)]
        if not coarse:
            return moments
        kept = self._kept
        slope, rest = slope + rest * self.missed_mass, rest * kept
        steps = Steps(chain.q, chain.log_q, chain.ell, chain.ell_error, chain.missed)
        value, error = token_products(steps, chain.start, self._steps, max(coarse), slope, rest)
        # There R is r over its mean, less 1.
        scale = kept ** np.arange(len(value))[:, None]
        some = (slice(len(value)),) * 2
        better = np.add.outer(*(np.arange(len(value)),) * 2) <= max(coarse)
        better &= scale * error < moments.error[some]
        moments.value[some] = np.where(better, scale * value, moments.value[some])
        moments.error[some] = np.where(better, scale * error, moments.error[some])
        return moments

    @np.errstate(over="ignore", invalid="ignore")
    def _tilted_block(self, order: int, rest: float) -> Moments:
        """The same moments from the cumulants of l under the laws tilted by r, r^2, ..."""
        chain, q_error = self._chain, probability_error(self._chain.q)
        centred = self.ell(order)
        centred.value[1] = centred.error[1] = 0.0
        laws = {(0, 0): Tilted(Bounded(0.0, 0.0), centred)}
        mean = Bounded(1.0, 0.0)
        for m in range(1, order + 1):
            log, *kappa = self._tilted(-m)[: order + 1] * series.factorials(order)
            # How far rounding moves log E r^m and the mean of l, by the errors of every token.
            weight = np.exp(chain.log_q - m * (chain.ell - chain.ell.min(axis=1, keepdims=True)))
            moved = m * chain.ell_error + np.where(chain.q > 0, q_error / chain.q, 0.0)
            of_row = (weight * moved).sum(axis=1) / weight.sum(axis=1)
            log_error = self._steps * float(of_row.max())
            mean_size = abs(kappa[0]) + self.kl
            # Cumulants are rounded like the moments that they are computed from.
            sizes = np.array([0.0, mean_size, *np.abs(kappa[1:])])
            of_sizes = joint.plain_moments(Moments(sizes, np.zeros(order + 1)), 1).value
            error = (log_error + 8.0 * EPS * np.arange(order + 1)) * of_sizes
            error[1] = 8.0 * EPS * mean_size + 2.0 * log_error
            log_error += 8.0 * EPS * (1.0 + abs(log))
            cumulants = Moments(np.array([0.0, kappa[0] - self.kl, *kappa[1:]]), error)
            laws[m, 0] = Tilted(Bounded(log, log_error), cumulants)
            if m == 1 and self.missed_mass:
                mean = Bounded(self._kept, self._kept * log_error)
        return joint_moments(laws, False, order, rest, mean)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _tilted(self, s: float, order: int = 4) -> Vector:
        """The Taylor coefficients of K at s, up to `order`; inf where one exceeds float64."""
        kept = self._series.get(s)
        if kept is not None and len(kept) > order:
            return kept
        chain = self._chain
        taken = chain.log_q > -np.inf
        exponent = np.where(taken, s * chain.ell, 0.0)
        exponent_of_weight = np.where(taken, chain.log_q + exponent, -np.inf)
        shift = float(exponent_of_weight.max())
        shift = shift if shift > _MOST_EXPONENT else 0.0
        weight = np.exp(exponent_of_weight - shift)
        weights, powers = [weight], weight
        for k in range(1, order + 1):
            powers = powers * chain.ell / k
            weights.append(powers)
        sums = np.stack([w.sum(axis=1) for w in weights], axis=1)
        # A row sum of weights loses digits where it is close to 1, and a row sum of weights times
        # l where it is small. The centred form loses them where l is large.
        plain, size = sums[:, 0] - 1.0, 1.0 + sums[:, 0]
        parts = chain.q * phi(exponent), s * chain.q * phi(-chain.ell)
        centred = s * chain.missed + (parts[0] + parts[1]).sum(axis=1)
        rounding = (np.abs(parts[0]) + np.abs(parts[1])).sum(axis=1)
        better = (rounding < size) & (shift == 0.0)
        sums[:, 0] = -chain.missed if s == -1.0 else np.where(better, centred, plain)
        apart = chain.q * chain.ell * np.expm1(exponent)
        size, rounding = np.abs(weights[1]).sum(axis=1), chain.kl + np.abs(apart).sum(axis=1)
        better = (rounding < size) & (shift == 0.0)
        sums[:, 1] = np.where(better, chain.kl + apart.sum(axis=1), sums[:, 1])
        coefficients = log_mean(chain.start, weights, sums, self._steps)
        coefficients[0] += self._steps * shift
        variance = self.ell(4).at(2)
        if variance.value <= variance.error:  # l is constant
            coefficients[2:] = 0.0
        self._series[s] = np.where(np.isfinite(coefficients), coefficients, np.inf)
        return self._series[s]


def direct(transitions: Transitions, steps: int) -> tuple[float, float]:
    """The mean and the variance of l by forward and backward recursions, without tilts or series.

    KL is the sum over steps of the mean of the next token's KL under the law of the state. Var l is
    the sum over steps of the mean variance of what the next token changes in the expected total.
    """
    with np.errstate(divide="ignore"):
        ell = np.where(transitions.q > 0, transitions.ell, 0.0)
    means = (transitions.q * ell).sum(axis=1)
    left = [np.zeros(len(means))]  # the mean l still to come from each state, by tokens left
    for _ in range(steps):
        left.append(means + transitions.q @ left[-1])
    law, kl, variance = (
        transitions.start,
        0.0,
        float(transitions.start @ (left[-1] - transitions.start @ left[-1]) ** 2),
    )
    for step in range(steps):
        kl += float(law @ means)
        change = ell + left[steps - 1 - step] - left[steps - step][:, None]
        variance += float(law @ (transitions.q * change**2).sum(axis=1))
        law = law @ transitions.q
    return kl, variance
