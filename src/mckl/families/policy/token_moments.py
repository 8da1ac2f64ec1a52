"""Joint moments of two sums over the tokens of a Markov chain, by one recursion over its length.

At a token that leads from state a to state b, let

    G_t = [a = x] (e(b) + f(b) R_(t+1)) + G_(t+1),        R_t = v(a, b) + R_(t+1),

where e and f belong to an entry (x, y) of the transition table. G is one entry of a gradient
estimator. Each token counts alone if f = 0, and otherwise together with the sum R over the tokens
after it, the return to go. By the binomial theorem the moments E[G^i R^j prod m(a, b)] follow
backwards from the last token, for all entries at once. The factors m(a, b) are the transition
probabilities of the chain, or those weighted by e^(s l).
"""

from __future__ import annotations

import math

import numpy as np

from mckl.arrays import Vector


def token_moments(
    start: Vector,
    m: Vector,
    v: Vector,
    e: Vector,
    f: Vector | None,
    tokens: int,
    highest: int,
    degree: int = 0,
) -> Vector:
    """The moments E[G^i R^j prod m] for every entry (x, y) of the transition table.

    start            The weights of the state before the first token, shape (states,).
    m, v             The weight of each transition, and its term in R, shape (states, states).
    e, f             The coefficients of G, shape (states x, states y, states b). None for f means f
                     = 0.
    tokens           The number of tokens of a sequence.
    highest, degree  The highest i and the highest j that are wanted.

    Returns an array of shape (highest + 1, degree + 1, states, states), indexed by i, j, x, y.
    """
    states = start.size
    # With f, the moments of G^i need those of G^(i - 1) with one more power of R.
    sizes = [degree + 1 + (highest - i if f is not None else 0) for i in range(highest + 1)]
    step = _step(m, v, max(sizes))
    step_at_x = np.moveaxis(step, 3, 0)  # [x, l, b, j], for transitions that leave x
    diagonal = np.arange(states)
    # For every i, the moments of G^i R^j from a token on, [x, y, j, state]. For i = 0 they do not
    # depend on the entry (x, y).
    later = [
        np.zeros((states if i else 1, states if i else 1, size, states))
        for i, size in enumerate(sizes)
    ]
    later[0][:, :, 0] = 1.0
    for _ in range(tokens):
        new = []
        for i, size in enumerate(sizes):
            flat, shape = size * states, later[i].shape
            onward = step[:size, :, :size].reshape(flat, flat)
            total = (later[i].reshape(-1, flat) @ onward).reshape(shape)
            if i:
                here_and_later = _powers(e, f, later, i, size)
                at_x = step_at_x[:, :size, :, :size].reshape(states, flat, size)
                total[diagonal, :, :, diagonal] += (
                    here_and_later.reshape(states, states, flat) @ at_x
                )
            new.append(total)
        later = new
    out = np.empty((highest + 1, degree + 1, states, states))
    for i, moments in enumerate(later):
        out[i] = np.moveaxis(moments[:, :, : degree + 1] @ start, 2, 0)
    return out


def _step(m: Vector, v: Vector, size: int) -> Vector:
    """The coefficient of E R'^l at the next state b in E R^j = E (v + R')^j at a: [l, b, j, a]."""
    out = np.zeros((size, len(m), size, len(m)))
    for j in range(size):
        for l in range(j + 1):  # noqa: E741 - the power of R'
            out[l, :, j, :] = (math.comb(j, l) * m * v ** (j - l)).T
    return out


def _powers(e: Vector, f: Vector | None, later: list[Vector], i: int, size: int) -> Vector:
    """E[(((e + f R') + G')^i - G'^i) R'^l] at the next state, indexed [x, y, l, b]."""
    total = np.zeros(later[i].shape)
    for k in range(1, i + 1):
        for p in range(k + 1 if f is not None else 1):
            factor = math.comb(i, k) * math.comb(k, p) * e ** (k - p)
            if f is not None:
                factor = factor * f**p
            total += factor[:, :, None, :] * later[i - k][:, :, p : p + size]
    return total
