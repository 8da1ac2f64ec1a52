"""How many numbers stand for one sample: every coordinate, or two a group.

Either way a sample's log density ratio is a quadratic form in independent standard normals g
and chi-squares w,

    l = KL + sum_i square_i (g_i^2 - 1) + linear_i g_i + sum_j chi_j (w_j - dof_j).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mckl.families.normal import Pair, Vector, coefficients


class Form(NamedTuple):
    """The quadratic form of a reduction.

    kl      KL(q||p), the mean of l
    square  coefficients of g^2 - 1, shape (normals,)
    linear  coefficients of g, shape (normals,)
    chi     coefficients of w - dof, shape (chi-squares,)
    dof     degrees of freedom of each w, shape (chi-squares,)
    pair    the pair itself where each g is a coordinate, so that there is a point z with
            densities; None where it is not
    """

    kl: float
    square: Vector
    linear: Vector
    chi: Vector
    dof: Vector
    pair: Pair | None = None

    @property
    def numbers(self) -> int:
        """How many random numbers one sample takes."""
        return self.square.size + self.chi.size

    @property
    def shape(self) -> str:
        """What one sample draws, for the key of its stream: how many normals, and every dof."""
        return "+".join([str(self.square.size), *(repr(float(k)) for k in self.dof)])


_NONE = np.empty(0)


def full(pair: Pair) -> Form:
    """One normal a coordinate: the textbook way."""
    c = coefficients(pair)
    repeats = c.weight.astype(np.int64)
    kl = float(np.sum(c.kl * c.weight))
    return Form(kl, np.repeat(c.a, repeats), np.repeat(c.b, repeats), _NONE, _NONE, pair)


def radial(pair: Pair) -> Form:
    """Two numbers a group of coordinates with equal a, whatever the dimension.

    Within a group l depends on epsilon through its squared length and its projection on
    b/|b| alone. The projection is one normal g, and what the length has besides is a
    chi-square w with (group size - 1) degrees of freedom, independent of g: the same law
    in two numbers (docs/theory.md, section 5).
    """
    c = coefficients(pair)
    a, group = np.unique(c.a, return_inverse=True)
    size = np.bincount(group, weights=c.weight).astype(np.float64)
    length = np.sqrt(np.bincount(group, weights=c.weight * c.b * c.b))
    several = size > 1
    kl = float(np.sum(c.kl * c.weight))
    return Form(kl, a, length, a[several], size[several] - 1.0)
