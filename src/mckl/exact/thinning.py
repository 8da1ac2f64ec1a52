"""Sums over many consecutive whole numbers, from some of them: blocks on which summands are smooth.

On a block of L values a rule with 16 of them is exact for polynomials up to degree 15, and one with
every second of these up to degree 7. The difference of the two is far more than the first leaves.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector

_NODES, _LEAST = 16, 64  # blocks are from _LEAST values on
_MOST_CHANGE = 0.25  # of the logarithm of a weight within a block
_AWAY = 8.0  # the ends of the values are at least this many times the length of a block away
_FEW = 2048  # so few values are all taken


class Thinned(NamedTuple):
    """Values that are taken, as places in the window.

    places  in ascending order
    log     the logarithm of how many values each stands for
    coarse  the weights of the rule with fewer nodes over those of the other
    left    how many values nearby are left out, as their weights are too small to count
    """

    places: NDArray[np.intp]
    log: Vector
    coarse: Vector
    left: Vector


class _Rule(NamedTuple):
    """The nodes of a block, from 0 on, their weights, and the weights of every second over them."""

    nodes: NDArray[np.intp]
    weights: Vector
    coarse: Vector


@lru_cache(maxsize=64)
def _rule(length: int) -> _Rule:
    angles = math.pi * (np.arange(_NODES) + 0.5) / _NODES
    nodes = np.rint(0.5 * (length - 1.0) * (1.0 - np.cos(angles))).astype(np.intp)
    weights = _weights(nodes, length)
    coarse = np.zeros(_NODES)
    coarse[::2] = _weights(nodes[::2], length)
    return _Rule(nodes, weights, coarse / weights)


def _weights(nodes: NDArray[np.intp], length: int) -> Vector:
    """The weights that add up polynomials through the nodes over a whole block."""
    degree = nodes.size - 1
    # Sums over the block of Legendre polynomials in t from -1 to 1: exactly by Gauss's rule with
    # Euler and Maclaurin's terms, which end, at the ends of the values' own intervals.
    h = 2.0 / length
    basis = np.eye(degree + 1)
    integral = np.polynomial.legendre.legint(basis, axis=1)
    ends = np.array([-1.0, 1.0])
    at = np.polynomial.legendre.legval(ends, integral.T)
    sums = (at[:, 1] - at[:, 0]) / h
    for k, times in enumerate(_midpoint_terms(degree), start=1):
        derivative = np.polynomial.legendre.legder(basis, 2 * k - 1, axis=1)
        at = np.polynomial.legendre.legval(ends, derivative.T)
        sums = sums + times * h ** (2 * k - 1) * (at[:, 1] - at[:, 0])
    t = (nodes + 0.5) * h - 1.0
    return np.asarray(np.linalg.solve(np.polynomial.legendre.legvander(t, degree).T, sums))


def _midpoint_terms(degree: int) -> list[float]:
    """The coefficients of the midpoint rule's sum over its integral, of odd derivatives.

    They are those of the powers of x in (x / 2) / sinh(x / 2) beyond the first.
    """
    count = (degree + 1) // 2
    sinh = [1.0 / (4.0**k * math.factorial(2 * k + 1)) for k in range(count + 1)]
    out = [1.0]
    for k in range(1, count + 1):
        out.append(-math.fsum(sinh[j] * out[k - j] for j in range(1, k + 1)))
    return out[1:]


def places_taken(weights: Vector, first: float, last: float, fall: float) -> Thinned:
    """The values of a window to be taken.

    weights  the logarithms of the weights, shape (weights, values); -inf where one is 0
    first    how far the window's first value is from the end of all values below
    last     the same for its last value and the end above, which may be inf
    fall     weights that are so much smaller than the largest, as a logarithm, do not count
    """
    size = weights.shape[1]
    if size <= _FEW:
        return Thinned(np.arange(size), np.zeros(size), np.ones(size), np.zeros(size))
    largest = weights.max(axis=1, keepdims=True)
    blocks = size // _LEAST
    split = weights[:, : blocks * _LEAST].reshape(len(weights), blocks, _LEAST)
    top, bottom = split.max(axis=2), split.min(axis=2)
    dead = (top < largest - fall).all(axis=0)
    taken = np.ones(size, dtype=bool)
    log, coarse = np.zeros(size), np.ones(size)
    taken[: blocks * _LEAST] = np.repeat(~dead, _LEAST)
    levels = [(_LEAST, top, bottom)]
    while levels[-1][1].shape[1] >= 2:
        length, top, bottom = levels[-1]
        even = top.shape[1] // 2 * 2
        top = np.maximum(top[:, 0:even:2], top[:, 1:even:2])
        bottom = np.minimum(bottom[:, 0:even:2], bottom[:, 1:even:2])
        levels.append((2 * length, top, bottom))
    covered = dead.copy()
    for length, top, bottom in reversed(levels):
        start = np.arange(top.shape[1]) * length
        smooth = (first + start >= _AWAY * length) & (
            last + (size - start - length) >= _AWAY * length
        )
        with np.errstate(invalid="ignore"):
            level = (top - bottom <= _MOST_CHANGE) | (top < largest - fall)
        smooth &= level.all(axis=0)
        inside = covered[: start.size * (length // _LEAST)].reshape(start.size, -1)
        smooth &= ~inside.any(axis=1)
        inside[smooth] = True
        rule = _rule(length)
        for s in start[smooth]:
            taken[s : s + length] = False
            places = s + rule.nodes
            taken[places], log[places] = True, np.log(rule.weights)
            coarse[places] = rule.coarse
    places = np.flatnonzero(taken)
    return Thinned(places, log[places], coarse[places], _left(dead, places))


def _left(dead: NDArray[np.bool_], places: NDArray[np.intp]) -> Vector:
    """The values of each run of dead blocks, for the places that are taken beside it."""
    out = np.zeros(places.size)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], dead.astype(int), [0]))))
    for begin, end in edges.reshape(-1, 2) * _LEAST:
        after = int(np.searchsorted(places, begin))
        for place in (after - 1, after):
            if 0 <= place < places.size:
                # Its weight may be smaller than at the run by what a block changes.
                out[place] += 2.0 * (end - begin)
    return out
