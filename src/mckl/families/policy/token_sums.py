"""Joint cumulants of sums over the tokens of a Markov chain, by the law of total cumulance.

Let X_a be a sum of g(previous, next) over the tokens that are still to come after state a. If b is
the next of these, X_a = g(a, b) + X_b, and

    X_a - E X_a = d + (X_b - E X_b),        d = g(a, b) + E X_b - E X_a,

where d has mean 0. So the cumulants after a follow from the moments of d and from the cumulants
after b, backwards from the last token. Variances add up from means of squares; no square of a mean
is subtracted. After every token the cumulants of one state, the reference, are taken off all
others and added to the total. Once the rest no longer changes, each remaining token adds the same.

Errors are carried along: those of the tables and of the probabilities, and every rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.moments import EPS, Moments, settled

_LARGEST_IGNORED_CHANGE = 4.0 * EPS  # the largest relative change in a step that is ignored
_SMALLEST = 5e-324  # the spacing of numbers near 0
_ENTRIES = 2**15  # table entries that are handled at a time, so that arrays stay in cache


class TransitionTable(NamedTuple):
    """A function g(previous, next), and its means over the next token.

    Both are `Moments`, of shape (states, states) and (states,). The means keep their digits where
    g has both signs.
    """

    values: Moments
    means: Moments


def probability_error(q: Vector) -> Vector:
    """A bound on the error of probabilities, which may be exponentials of logits."""
    return EPS * q * (2.0 - np.log(np.where(q > 0, q, 1.0))) + _SMALLEST * (q > 0)


@np.errstate(over="ignore", invalid="ignore")
def token_sums(
    q: Vector, start: Vector, tables: Sequence[TransitionTable], tokens: int, order: int
) -> Moments:
    """The joint cumulants of the tables' sums over a sequence; entries of order 1 are the means.

    q, start  The transition probabilities, shape (states, states), and the law of the state before
              the first token, shape (states,).
    tables    What is added up.
    tokens    The number of tokens.
    order     The largest total order. The result has the shape (order + 1,) * len(tables).
    """
    n = len(tables)
    # Tables are scaled by powers of two, so that powers of their entries do not overflow.
    units = [_unit(table.values.value) for table in tables]
    tables = [
        TransitionTable(*(Moments(*(np.ldexp(x, -unit) for x in part)) for part in table))
        for table, unit in zip(tables, units, strict=True)
    ]
    shape = (order + 1,) * n
    after = Moments(*np.zeros((2, *shape, start.size)))
    total = np.zeros((*shape, 1))
    reference, q_error = int(np.argmax(start @ q)), probability_error(q)
    for step in range(tokens):
        new = _before(q, q_error, tables, after, order)
        share = new.value[..., reference, None]
        apart = new.value - share
        error = new.error + EPS * np.abs(apart)
        moved = _largest(apart - after.value)
        size = np.maximum(_largest(apart), np.abs(share))
        grown = np.maximum((error - after.error).max(axis=-1, keepdims=True), 0.0)
        total = total + share
        error += EPS * np.abs(total)
        # A change within the bound of a step's own rounding does not count.
        if not (moved > np.maximum(_LARGEST_IGNORED_CHANGE * size, grown)).any():
            left = tokens - 1 - step
            total = total + left * share
            error += left * (grown + moved + EPS * np.abs(share))
            after = Moments(apart, error)
            break
        after = Moments(apart, error)
    nothing = Moments(*np.zeros((2, 1, start.size))), Moments(*np.zeros((2, 1)))
    first = _before(
        start[None], probability_error(start[None]), [TransitionTable(*nothing)] * n, after, order
    )
    value = (total + first.value)[..., 0]
    error = first.error[..., 0] + EPS * np.abs(value)
    scale = sum(unit * power for unit, power in zip(units, np.indices(shape), strict=True))
    return settled(np.ldexp(value, scale), np.ldexp(error, scale))


def _unit(table: Vector) -> int:
    finite = np.abs(table[np.isfinite(table)])
    return int(np.frexp(finite.max())[1]) if finite.size else 0


def _largest(x: Vector) -> Vector:
    return np.asarray(np.abs(x).max(axis=-1, keepdims=True))


def _before(
    q: Vector, q_error: Vector, tables: Sequence[TransitionTable], after: Moments, order: int
) -> Moments:
    """The cumulants before a token with probabilities q, shape (rows, states), from those after."""
    n, (rows, states) = len(tables), q.shape
    mu = joint.central_moments(after, n)
    out = Moments(*np.zeros((2, *(order + 1,) * n, rows)))
    for k in range(0, rows, size := max(1, _ENTRIES // states)):
        chunk = slice(k, k + size)
        some = [
            TransitionTable(*(Moments(*(x[chunk] for x in part)) for part in table))
            for table in tables
        ]
        for array, part in zip(
            out, _rows_before(q[chunk], q_error[chunk], some, after, mu, order), strict=True
        ):
            array[..., chunk] = part
    return out


def _rows_before(
    q: Vector,
    q_error: Vector,
    tables: Sequence[TransitionTable],
    after: Moments,
    mu: Moments,
    order: int,
) -> Moments:
    n = len(tables)
    value, error = np.zeros((2, *(order + 1,) * n, len(q)))
    away, away_most = [], []  # d of each table, and |d| plus its error
    firsts = joint.firsts(n)
    for first, ((g, g_error), (mean, mean_error)) in zip(firsts, tables, strict=True):
        x, x_error = after.value[first], after.error[first]
        value[first] = mean + q @ x
        error[first] = mean_error + q @ x_error + (q_error + 2.0 * EPS * q) @ np.abs(x)
        error[first] += EPS * (np.abs(mean) + np.abs(value[first]))
        d = g + (x - value[first][:, None])
        d_error = g_error + x_error + error[first][:, None]
        d_error += EPS * (np.abs(x) + np.abs(value[first][:, None]) + np.abs(g))
        away.append(d)
        away_most.append(np.abs(d) + d_error)
    powers = {(0,) * n: (q, q + q_error)}
    flat_mu, flat_error = (x.reshape(-1, x.shape[-1]) for x in mu)
    flat, flat_out = (x.reshape(-1, len(q)) for x in (value, error))
    for index, lower, axis, left, both, times in _products(n, order):
        if any(index):
            product, most = powers[lower]
            powers[index] = product * away[axis], most * away_most[axis]
        if not left.size:
            continue
        product, most = powers[index]
        later, known_error = flat_mu[left].T, flat_error[left].T
        terms = product @ later
        rounding = most - np.abs(product) + (sum(index) + 2.0) * EPS * most
        terms_error = most @ known_error + rounding @ np.abs(later)
        flat[both] += times * terms.T
        flat_out[both] += times * terms_error.T
    means = [(value[first].copy(), error[first].copy()) for first in firsts]
    out = joint.cumulants(settled(value, error), n)
    for first, (product, most) in zip(firsts, means, strict=True):
        out.value[first], out.error[first] = product, most
    return out


class _Product(NamedTuple):
    """A product of powers of d, and the moments after a token that it is multiplied by.

    powers  the powers: those of `lower`, with one more of the variable `axis`
    left    the positions of these moments in a flat array of moments
    both    the positions of the moments that they add to
    times   the binomial coefficients, shape (moments, 1)
    """

    powers: joint.Index
    lower: joint.Index
    axis: int
    left: NDArray[np.intp]
    both: NDArray[np.intp]
    times: Vector


@lru_cache(maxsize=32)
def _products(n: int, order: int) -> list[_Product]:
    shape, out = (order + 1,) * n, []
    for index in joint.indices(n, order):
        axis = next((k for k, power in enumerate(index) if power), 0)
        lower = tuple(power - (k == axis) for k, power in enumerate(index))
        left = [j for j in joint.indices(n, order - sum(index)) if sum(j) != 1]
        left = [j for j in left if sum(j) + sum(index) > 1]
        both = [tuple(a + b for a, b in zip(index, j, strict=True)) for j in left]
        times = [float(math.prod(map(math.comb, i, j))) for i, j in zip(both, left, strict=True)]
        positions = [
            np.array([np.ravel_multi_index(i, shape) for i in some], dtype=np.intp)
            for some in (left, both)
        ]
        by = np.array(times)[:, None]
        out.append(_Product(index, lower, axis, positions[0], positions[1], by))
    return out
