"""Converts arrays of torch, TensorFlow, pandas and JAX, and lists, to NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.errors import UserError
from mckl.text import plain, shortened


def as_numpy(name: str, values: Any) -> NDArray[Any]:
    """The values as a NumPy array, without a copy where none is needed; `name` is for messages.

    Raises `UserError` for rows of different lengths, masked values, and objects that fail.

    >>> as_numpy("log_q", [-1.0, -2.5])
    array([-1. , -2.5])
    """
    try:
        array = _converted(values)
    except ValueError:
        raise UserError(f"{name}: rows of different lengths, expected one array") from None
    except Exception as error:
        why = f"{type(error).__name__}: {shortened(plain(error))}"
        raise UserError(f"{name}: it cannot be made an array ({why})") from error
    if np.ma.is_masked(array):
        raise UserError(f"{name}: some values are masked, expected none: leave them out")
    return np.asarray(array)


def _converted(values: Any) -> NDArray[Any]:
    """The values as an array, which may be masked."""
    if hasattr(values, "detach"):  # torch; NumPy has no bfloat16
        values = values.detach().cpu()
        if str(values.dtype) in ("torch.bfloat16", "torch.float16"):
            values = values.float()
    for method in ("to_numpy", "numpy"):  # pandas and Polars; torch and TensorFlow
        if callable(getattr(values, method, None)):
            values = getattr(values, method)()
            break
    return np.asanyarray(values)


def real_numbers(name: str, values: Any) -> NDArray[Any]:
    """As `as_numpy`, for real numbers; raises `UserError` for anything else."""
    array = as_numpy(name, values)
    if array.dtype == object:  # such as a column of pandas with missing values
        try:
            if any(isinstance(value, str | bytes) for value in array.flat):
                raise TypeError
            array = array.astype(np.float64)
        except OverflowError:
            raise UserError(
                f"{name}: some values are beyond 10^308, expected smaller ones"
            ) from None
        except (TypeError, ValueError):
            raise UserError(f"{name}: some values are not numbers, expected numbers") from None
    if array.dtype.kind not in "fiu":
        raise UserError(f"{name}: values of type {str(array.dtype)[:60]}, expected numbers")
    return array


def check_parameters(side: str, given: Any) -> None:
    """Raise `UserError` for a mapping of parameters with an array of anything but numbers."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            if hasattr(value, "dtype"):
                real_numbers(f"{side}: {plain(name)}", value)
