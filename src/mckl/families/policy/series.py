"""Power series in one variable, truncated after some degree.

A series is an array whose last axis has the coefficients of the powers 0, 1, ... They include no
factorials, so that those of E e^{t X} are moments divided by factorials.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector


def factorials(order: int) -> Vector:
    """The factorials of 0 to `order`."""
    return np.array([math.factorial(k) for k in range(order + 1)], dtype=float)


def multiples(f: Vector) -> Vector:
    """The products of f, of shape (..., size), with every power: shape (..., size, size).

    The product of f and g is ``g @ multiples(f)``.
    """
    padded = np.concatenate((f, np.zeros((*f.shape[:-1], 1))), axis=-1)
    return padded[..., _quotients(f.shape[-1])]


@lru_cache(maxsize=16)
def _quotients(size: int) -> NDArray[np.intp]:
    """The power whose product with power i is power j, at [i, j]; -1 if there is none."""
    k = np.arange(size)
    return np.where(k >= k[:, None], k - k[:, None], -1)


def divisor(g: Vector) -> Vector:
    """The matrix D, shape (size, size), with which ``f @ D`` is the series f / g.

    g has shape (size,) and a constant other than 0.
    """
    return np.asarray(np.linalg.inv(multiples(g)))


def log_series(g: Vector, excess: float, of_g: Vector | None = None) -> Vector:
    """The logarithm of one series g, shape (size,), whose constant is 1 + excess.

    It follows from g D(log g) = D g, where D multiplies every coefficient by its degree. `of_g` is
    the divisor of g, if it has been computed already.
    """
    degrees = np.arange(g.size)
    out = (degrees * g) @ (divisor(g) if of_g is None else of_g)
    out[1:] /= degrees[1:]
    out[0] = math.log1p(excess) if abs(excess) < 0.5 else math.log(g[0])
    return out
