"""Converts arrays of torch, TensorFlow, pandas, Polars, Arrow and JAX, and lists, to NumPy."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Cells, Lists, arrow_cells, as_lists, cells_of_rows
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


def as_cells(name: str, values: Any) -> Cells:
    """The values as a column: one value a row, or a list; `name` is for messages.

    Arrays with two axes are lists of one length, and missing values are masked. Raises `UserError`
    for arrays with more axes, lists of unequal depth, and objects that fail.

    >>> as_cells("log_q", [[-1.0, -2.5], [-0.5]]).lengths
    array([2, 1])
    """
    try:
        cells = _cells(values)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    except Exception as error:
        why = f"{type(error).__name__}: {shortened(plain(error))}"
        raise UserError(f"{name}: it cannot be made an array ({why})") from error
    if not isinstance(cells, Lists) and cells.ndim != 1:
        raise UserError(
            f"{name}: shape {cells.shape}, expected (samples,), (tokens,) or (sequences, tokens)"
        )
    return cells


def _cells(values: Any) -> Cells:
    library = type(values).__module__.partition(".")[0]
    if library == "polars":
        values, library = values.to_arrow(), "pyarrow"
    if library == "pyarrow":
        return arrow_cells(values.combine_chunks() if hasattr(values, "chunks") else values)
    if getattr(values, "is_nested", False) is True:  # a nested tensor of torch
        return cells_of_rows([*values.unbind()], _converted)
    nullable = library == "pandas" and not isinstance(getattr(values, "dtype", None), np.dtype)
    if nullable and hasattr(values, "dtype") and values.isna().any():
        return cells_of_rows(values.to_numpy(dtype=object), _converted)
    rows = values if isinstance(values, list | tuple) and len(values) else None
    if rows is None or not hasattr(rows[0], "detach"):
        with contextlib.suppress(ValueError):  # rows of different lengths
            array = _converted(values)
            if array.dtype != object or array.ndim != 1:
                return as_lists(array)
            return cells_of_rows([*array], _converted)
    return cells_of_rows(values if rows is None else rows, _converted)


def real_numbers(name: str, values: Any) -> NDArray[Any]:
    """As `as_numpy`, for real numbers; raises `UserError` for anything else."""
    return _real(name, as_numpy(name, values))


def real_cells(name: str, values: Any) -> Cells:
    """As `as_cells`, for real numbers; raises `UserError` for anything else."""
    cells = as_cells(name, values)
    if isinstance(cells, Lists):
        return Lists(_real(name, cells.values), cells.lengths)
    return _real(name, cells)


def _real(name: str, array: NDArray[Any]) -> NDArray[Any]:
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
