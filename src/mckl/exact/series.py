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
    """

    def __init__(self, variables: int, order: int) -> None:
        every = itertools.product(range(order + 1), repeat=variables)
        self.monomials = sorted((m for m in every if sum(m) <= order), key=lambda m: (sum(m), m))
        self.degrees = np.array([sum(m) for m in self.monomials])
        self.factorials = np.array([math.prod(map(math.factorial, m)) for m in self.monomials])
        where = {m: k for k, m in enumerate(self.monomials)}
        # targets[a][b]: the monomial a b, for every b with which a stays below the cut.
        self.targets: list[NDArray[np.intp]] = []
        for a, degree in zip(self.monomials, self.degrees, strict=True):
            fits = [b for b in self.monomials if sum(b) <= order - degree]
            products = [where[tuple(x + y for x, y in zip(a, b, strict=True))] for b in fits]
            self.targets.append(np.array(products, dtype=np.intp))

    @property
    def size(self) -> int:
        """How many monomials there are."""
        return len(self.monomials)

    def divide(self, f: Vector, g: Vector) -> Vector:
        """The series f / g; f of shape (..., size), g a single one with a constant other than 0."""
        out = np.array(f)
        for k in range(self.size):
            out[..., k] /= g[0]
            # What this coefficient makes of those after it.
            targets = self.targets[k][1:]
            out[..., targets] -= out[..., k, None] * g[1 : 1 + targets.size]
        return out

    def log(self, g: Vector, excess: float) -> Vector:
        """The logarithm of a single series whose constant is 1 + excess.

        With D the operator that multiplies a coefficient by its degree, g D(log g) = D g.
        """
        out = self.divide(self.degrees * g, g)
        out[1:] /= self.degrees[1:]
        out[0] = math.log1p(excess) if abs(excess) < 0.5 else math.log(g[0])
        return out


@lru_cache(maxsize=32)
def algebra(variables: int, order: int) -> Algebra:
    """The algebra of such series, made once."""
    return Algebra(variables, order)
