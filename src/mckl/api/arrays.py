"""Converts arrays of torch, TensorFlow, pandas and JAX, and lists, to NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.errors import UserError


def as_numpy(name: str, values: Any) -> NDArray[Any]:
    """The values as a NumPy array, without a copy where none is needed; `name` is for messages.

    Raises `UserError` for rows of different lengths.

    >>> as_numpy("log_q", [-1.0, -2.5])
    array([-1. , -2.5])
    """
    if hasattr(values, "detach"):  # torch; NumPy has no bfloat16
        values = values.detach().cpu()
        if str(values.dtype) in ("torch.bfloat16", "torch.float16"):
            values = values.float()
    for method in ("to_numpy", "numpy"):  # pandas and Polars; torch and TensorFlow
        if callable(getattr(values, method, None)):
            values = getattr(values, method)()
            break
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(f"{name}: rows of different lengths, expected one array") from None


def numbers(name: str, values: Any) -> NDArray[Any]:
    """As `as_numpy`, for real numbers; raises `UserError` for anything else."""
    array = as_numpy(name, values)
    if array.dtype == object:  # such as a column of pandas with missing values
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise UserError(f"{name}: some values are not numbers, expected numbers") from None
    if array.dtype.kind not in "fiu":
        raise UserError(f"{name}: values of type {array.dtype}, expected numbers")
    return array
