"""Lower triangular factors of covariances from what libraries hold, without their product.

Arrays have any number of leading axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mckl.api.conversion import as_numpy
from mckl.arrays import Vector


def triangular(root: Vector) -> Vector:
    """The lower triangular L, its diagonal not negative, with L L^T = A A^T; A is (..., D, m)."""
    upper = np.linalg.qr(np.swapaxes(root, -1, -2), mode="r")
    signs = np.where(np.diagonal(upper, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return np.tril(np.swapaxes(signs[..., None] * upper, -1, -2))


def of_low_rank(diagonal: Vector, columns: Vector) -> Vector:
    """The factor of diag(d) + U U^T for d of shape (..., D) and U of shape (..., D, m)."""
    batch = np.broadcast_shapes(diagonal.shape[:-1], columns.shape[:-2])
    parts = (np.sqrt(diagonal)[..., None] * np.eye(diagonal.shape[-1]), columns)
    return triangular(np.concatenate([np.broadcast_to(v, batch + v.shape[-2:]) for v in parts], -1))


def of_scale(operator: Any) -> Vector:
    """The factor of S S^T, S being TensorFlow's linear operator diag(d) + U diag(m) U^T."""
    if not hasattr(operator, "base_operator"):
        return triangular(np.asarray(as_numpy("scale", operator.to_dense()), np.float64))
    d, u = (
        np.asarray(as_numpy("scale", v), np.float64)
        for v in (operator.base_operator.diag_part(), operator.u)
    )
    m = np.ones(u.shape[-1])
    if operator.diag_update is not None:
        m = np.asarray(as_numpy("scale", operator.diag_update), np.float64)
    update = (u * m[..., None, :]) @ np.swapaxes(u, -1, -2)
    return triangular(d[..., None] * np.eye(d.shape[-1]) + update)


def of_precision(precision: Vector) -> Vector:
    """The factor of the inverse of a precision matrix, from the precision's own factor."""
    flipped = np.linalg.cholesky(precision[..., ::-1, ::-1])
    # Lower triangular, and the precision is root^T root.
    root = np.swapaxes(flipped[..., ::-1, ::-1], -1, -2)
    return np.tril(np.linalg.inv(root))


def symmetric(matrix: Vector) -> Vector:
    """The matrix with its lower triangle mirrored: libraries read no other part of it."""
    lower = np.tril(matrix)
    return np.asarray(lower + np.swapaxes(np.tril(matrix, -1), -1, -2))
