"""Moments of whole sequences with a weight that is a product over their tokens.

Over the tokens that are still to come after a state let W = prod m be the weight, R = prod r - 1,
and Y a sum of y(previous, next), to which rest (R of the tokens joined) may be added. For a token
with m, x = r - 1 and y, and with W', R' and Y' over the tokens after it,

    W = m W',        R = x + r R',        Y = y + Y' + rest x R'.

So E[W R^i Y^j] follows backwards from the last token. With y = k3 and rest = 1, Y is k3 of the
sequence; with rest = 0, Y is a sum. With 1 in the place of r, R is the sum of r - 1. The same
recursion with absolute values bounds every rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mckl.arrays import Vector
from mckl.exact import joint
from mckl.exact.moments import EPS, Bounded, Moments

_R_SUM = ((1, 0, 0, 0, 0), (0, 1, 0, 1, 0))  # x + r R', in powers of (x, r, y, R', Y')
_Y_SUM = ((0, 0, 1, 0, 0), (0, 0, 0, 0, 1))  # y + Y'
_JOINED = (1, 0, 0, 1, 0)  # x R'


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def weighted_products(
    start: Vector, m: Moments, y: Moments, tokens: int, wanted: Sequence[joint.Index],
    x: Moments | None = None, r: Moments | None = None, joined: bool = True,
) -> list[Bounded]:  # fmt: skip
    """The moments E[W R^i Y^j] of a sequence for each wanted (i, j), with bounds.

    start   The law of the state before the first token, shape (states,).
    m       The probability of each transition times its weight, with bounds, shape (states,
            states).
    y       The term of Y of each transition, with bounds.
    tokens  The number of tokens.
    wanted  The powers of R and Y.
    x, r    r - 1 and r of each transition, with bounds; without them i is 0. With x alone, R is the
            sum of x.
    joined  Whether R of the tokens joins Y, if there is an x.
    """
    one = Moments(np.ones_like(m.value), np.zeros_like(m.value))
    factors = (x or one, r or one, y)
    moments, steps = _steps(max(i + j for i, j in wanted), x is not None, joined)
    every = {powers for step in steps for powers, _, _ in step}
    tables = {powers: _product(m, factors, powers) for powers in every}
    first = np.zeros((len(moments), start.size))
    first[0] = 1.0
    later = [first, first, first]
    for _ in range(tokens):
        new = [np.zeros_like(first) for _ in later]
        for kind, (old, out) in enumerate(zip(later, new, strict=True)):
            products = {powers: old @ made[kind].T for powers, made in tables.items()}
            for row, step in enumerate(steps):
                for powers, column, times in step:
                    out[row] += times * products[powers][column]
        later = new
    value, size, most = (array @ start for array in later)
    terms = max(map(len, steps))
    rounding = (0.5 * start.size + terms + 16.0) * (tokens + 1) * EPS
    error = (most - size) + rounding * most
    return [
        Bounded(float(value[k]), float(error[k]))
        for k in (moments.index((i, j)) for i, j in wanted)
    ]


def _product(m: Moments, factors: Sequence[Moments], powers: joint.Index) -> list[Vector]:
    """A product of tables: its values, these without signs, and with all errors added."""
    out = _sizes(m)
    for factor, power in zip(factors, powers, strict=True):
        if power:
            out = [a * b**power for a, b in zip(out, _sizes(factor), strict=True)]
    return out


def _sizes(table: Moments) -> list[Vector]:
    size = np.abs(table.value)
    return [table.value, size, size + table.error]


@lru_cache(maxsize=8)
def _steps(
    order: int, both: bool, joined: bool
) -> tuple[list[joint.Index], list[list[tuple[joint.Index, int, float]]]]:
    """The moments (i, j) of (R, Y), and the terms of each in those of the tokens after it.

    A term is (the powers of x, r and y of the token, the place of a moment, the coefficient).
    """
    moments = [index for index in joint.indices(2, order) if both or not index[0]]
    sums = (_R_SUM, (*_Y_SUM, _JOINED) if both and joined else _Y_SUM)
    steps = []
    for moment in moments:
        product = joint.power_product(sums, moment)
        steps.append(
            [(powers[:3], moments.index(powers[3:]), times) for powers, times in product.items()]
        )
    return moments, steps
