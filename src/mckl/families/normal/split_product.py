"""Products of float64 matrices without rounding.

Each matrix is split into slices with so few digits that a product of two slices is exact (Ozaki,
Ogita, Oishi & Rump, "Error-free transformations of matrix multiplication", 2012).
"""

from __future__ import annotations

import numpy as np

from mckl.arrays import Vector

_MOST = 8  # slices of one matrix; what they leave is below 2^-150 of the largest number of a row


def product(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """The product a @ b as a sum of two arrays, of which the second is below the first's rounding.

    `a` has shape (rows, n), `b` has shape (n, columns).
    """
    bits = (53 - (a.shape[1] - 1).bit_length()) // 2
    left, right = _slices(a, bits), [s.T for s in _slices(b.T, bits)]
    total = rest = np.zeros((a.shape[0], b.shape[1]))
    for x in left:
        for y in right:
            total, lost = two_sum(total, x @ y)
            rest = rest + lost
    return two_sum(total, rest)


def two_sum(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """The sum a + b as rounded, and what rounding took off (Knuth)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def _slices(matrix: Vector, bits: int) -> list[Vector]:
    """Matrices that add up to this one; in a row of each all numbers have the same last digit."""
    out: list[Vector] = []
    while matrix.any() and len(out) < _MOST:
        largest = np.abs(matrix).max(axis=1, keepdims=True)
        exponent = np.frexp(largest)[1] + 53 - bits
        anchor = np.ldexp(np.where(largest > 0.0, 1.0, 0.0), exponent)
        top = (matrix + anchor) - anchor
        out.append(top)
        matrix = matrix - top
    return out
