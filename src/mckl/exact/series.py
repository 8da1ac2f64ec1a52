"""Power series in several variables, cut after a total degree.

A series is an array whose last axis has one coefficient a monomial, in the order of
`Algebra.monomials`: the constant first, then degree by degree. Coefficients are plain ones, so
those of E e^{t X} are moments divided by factorials.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector


class Algebra:
    """Series in so many variables, to a total degree.

    Attributes
    ----------
    monomials
        The exponents of each monomial.
    degrees
        Their total degrees.
    factorials
        Of each monomial the product of the factorials of its exponents.
    one
        The series 1.
    """

    def __init__(self, variables: int, order: int) -> None:
        every = itertools.product(range(order + 1), repeat=variables)
        self.monomials = sorted((m for m in every if sum(m) <= order), key=lambda m: (sum(m), m))
        self.degrees = np.array([sum(m) for m in self.monomials])
        self.factorials = np.array([math.prod(map(math.factorial, m)) for m in self.monomials])
        self.one = np.eye(1, self.size)[0]
        where = {m: k for k, m in enumerate(self.monomials)}
        # Entry [a, b]: which monomial times a is b; one beyond the last where none is.
        self._factors: NDArray[np.intp] = np.array(
            [
                [where.get(tuple(y - x for x, y in zip(a, b, strict=True)), self.size)
                 for b in self.monomials]
                for a in self.monomials
            ]
        )  # fmt: skip

    @property
    def size(self) -> int:
        """How many monomials there are."""
        return len(self.monomials)

    def multiples(self, f: Vector) -> Vector:
        """The products of f, of shape (..., size), with every monomial: shape (..., size, size).

        The product of f and g is ``g @ multiples(f)``.
        """
        padded = np.concatenate((f, np.zeros((*f.shape[:-1], 1))), axis=-1)
        return padded[..., self._factors]

    def divisor(self, g: Vector) -> Vector:
        """The matrix, shape (size, size), by which f is multiplied to give the series f / g.

        g is a single series with a constant other than 0.
        """
        return np.asarray(np.linalg.inv(self.multiples(g)))

    def log(self, g: Vector, excess: float, divisor: Vector | None = None) -> Vector:
        """The logarithm of a single series whose constant is 1 + excess.

        With D the operator that multiplies a coefficient by its degree, g D(log g) = D g.
        `divisor` is that of g, where it is known.
        """
        out = (self.degrees * g) @ (self.divisor(g) if divisor is None else divisor)
        out[1:] /= self.degrees[1:]
        out[0] = math.log1p(excess) if abs(excess) < 0.5 else math.log(g[0])
        return out


@lru_cache(maxsize=32)
def algebra(variables: int, order: int) -> Algebra:
    """The algebra of such series, made once."""
    return Algebra(variables, order)
