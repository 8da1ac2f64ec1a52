"""Power series in several variables, truncated after a total degree.

A series is an array whose last axis has one coefficient for each monomial, in the order of
`Algebra.monomials`: first the constant, then degree by degree. Coefficients include no factorials,
so those of E e^{t X} are moments divided by factorials.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector


class Algebra:
    """The arithmetic of series in so many variables up to a total degree.

    Attributes
    ----------
    monomials
        The exponents of each monomial.
    degrees
        The total degree of each monomial.
    factorials
        For each monomial, the product of the factorials of its exponents.
    one
        The series 1, shape (size,).
    """

    def __init__(self, variables: int, order: int) -> None:
        every = itertools.product(range(order + 1), repeat=variables)
        self.monomials = sorted((m for m in every if sum(m) <= order), key=lambda m: (sum(m), m))
        self.degrees = np.array([sum(m) for m in self.monomials])
        self.factorials = np.array([math.prod(map(math.factorial, m)) for m in self.monomials])
        self.one = np.eye(1, self.size)[0]
        where = {m: k for k, m in enumerate(self.monomials)}
        # Entry [a, b] is the monomial whose product with a is b, or `size` if there is none.
        self._factors: NDArray[np.intp] = np.array(
            [
                [where.get(tuple(y - x for x, y in zip(a, b, strict=True)), self.size)
                 for b in self.monomials]
                for a in self.monomials
            ]
        )  # fmt: skip

    @property
    def size(self) -> int:
        """The number of monomials."""
        return len(self.monomials)

    def multiples(self, f: Vector) -> Vector:
        """The products of f, of shape (..., size), with every monomial: shape (..., size, size).

        The product of f and g is ``g @ multiples(f)``.
        """
        padded = np.concatenate((f, np.zeros((*f.shape[:-1], 1))), axis=-1)
        return padded[..., self._factors]

    def divisor(self, g: Vector) -> Vector:
        """The matrix D, shape (size, size), with which ``f @ D`` is the series f / g.

        g has shape (size,) and a constant other than 0.
        """
        return np.asarray(np.linalg.inv(self.multiples(g)))

    def log(self, g: Vector, excess: float, divisor: Vector | None = None) -> Vector:
        """The logarithm of one series g, shape (size,), whose constant is 1 + excess.

        It follows from g D(log g) = D g, where D multiplies every coefficient by its degree.
        `divisor` is `self.divisor(g)`, if it has been computed already.
        """
        out = (self.degrees * g) @ (self.divisor(g) if divisor is None else divisor)
        out[1:] /= self.degrees[1:]
        out[0] = math.log1p(excess) if abs(excess) < 0.5 else math.log(g[0])
        return out


@lru_cache(maxsize=32)
def algebra(variables: int, order: int) -> Algebra:
    """The algebra of such series, which is built once and kept."""
    return Algebra(variables, order)
