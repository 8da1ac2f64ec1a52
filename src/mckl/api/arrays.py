"""Arrays that people have, as NumPy arrays: of torch, TensorFlow, pandas, JAX and lists."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.errors import UserError


def as_numpy(name: str, values: Any) -> NDArray[Any]:
    """The values in memory as NumPy sees them, without a copy where there need be none.

    >>> as_numpy("log_q", [-1.0, -2.5])
    array([-1. , -2.5])
    """
    if hasattr(values, "detach"):  # torch, whose bfloat16 NumPy does not have
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
    """The same for real numbers; raises `UserError` for anything else."""
    array = as_numpy(name, values)
    if array.dtype == object:  # such as of pandas, with missing values
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise UserError(f"{name}: values that are no numbers, expected numbers") from None
    if array.dtype.kind not in "fiu":
        raise UserError(f"{name}: values of type {array.dtype}, expected numbers")
    return array
