"""The arrays that the whole package uses, and columns with a list in each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Vector = NDArray[np.float64]
Complex = NDArray[np.complex128]


def vectors(frame: pd.DataFrame, *names: str) -> tuple[Vector, ...]:
    """Columns of a data frame as arrays of float64."""
    return tuple(frame[name].to_numpy(float) for name in names)


def in_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The columns of rows that all have the same names."""
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


@dataclass(frozen=True, eq=False)
class Lists:
    """A column with a list in each row: all values one after another, and the lists' lengths."""

    values: NDArray[Any]
    lengths: NDArray[np.int64]

    def __getitem__(self, rows: slice) -> Lists:
        first, last, _ = rows.indices(len(self))
        start = int(self.lengths[:first].sum())
        lengths = self.lengths[first:last]
        return Lists(self.values[start : start + int(lengths.sum())], lengths)

    def __len__(self) -> int:
        return self.lengths.size


# The rows of a column. Missing numbers are masked, and missing ids are None.
Cells = NDArray[Any] | Lists


def as_lists(array: NDArray[Any]) -> Cells:
    """The array; if it has two axes, as lists of equal length.

    >>> as_lists(np.zeros((2, 3))).lengths
    array([3, 3])
    """
    if array.ndim != 2:
        return array
    return Lists(array.reshape(-1), np.full(array.shape[0], array.shape[1]))


def arrow_cells(column: Any) -> Cells:
    """The rows of an array of Arrow; raises ValueError for lists of anything but plain values."""
    import pyarrow as pa
    from pyarrow.compute import list_value_length

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return arrow_cells(column.storage)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        values = arrow_cells(column.flatten())
        if isinstance(values, Lists):
            raise ValueError("lists of lists, expected one list of numbers a row")
        lengths = list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        return Lists(values, lengths.astype(np.int64))
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        if not column.null_count:
            return np.asarray(column.to_numpy(zero_copy_only=False))
        values = column.fill_null(0 if not pa.types.is_boolean(kind) else False)
        return np.ma.MaskedArray(
            values.to_numpy(zero_copy_only=False), column.is_null().to_numpy(zero_copy_only=False)
        )
    if pa.types.is_nested(kind):
        raise ValueError(f"values of type {str(kind)[:60]}")
    # A text that every row repeats is only converted once.
    coded = column if pa.types.is_dictionary(kind) else column.dictionary_encode()
    words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return np.asarray(words[coded.indices.fill_null(len(words) - 1).to_numpy()])


def cells_of_rows(
    rows: Sequence[Any], convert: Callable[[Any], NDArray[Any]] = np.asarray
) -> Cells:
    """Rows of Python as one array, or as lists if each is a list; None stands for a missing one.

    `convert` makes an array of a row. Raises ValueError for mappings, for rows of which only
    some are lists, and for lists of lists.

    >>> cells_of_rows([[1.0, 2.0], [3.0]]).lengths
    array([2, 1])
    """
    if any(isinstance(row, Mapping) for row in rows):
        raise ValueError("a value is a mapping, expected numbers, texts or lists")
    nested = [hasattr(row, "__len__") and not isinstance(row, str | bytes) for row in rows]
    if not any(nested):
        return _with_missing(rows)
    if not all(is_list or row is None for is_list, row in zip(nested, rows, strict=True)):
        raise ValueError("some rows are lists and others are not, expected one kind")
    try:
        parts = [_with_missing([] if row is None else convert(row)) for row in rows]
    except ValueError:  # NumPy's, for lists of unequal length or depth
        parts = [np.zeros((0, 0))]
    if any(part.ndim != 1 for part in parts):
        raise ValueError("lists within some lists, expected one list of numbers a row")
    filled = [part for part in parts if part.size] or [np.zeros(0)]
    values: NDArray[Any] = np.concatenate([np.asarray(part) for part in filled])
    if any(isinstance(part, np.ma.MaskedArray) for part in filled):
        missing = np.concatenate([np.ma.getmaskarray(part) for part in filled])
        values = np.ma.MaskedArray(values, missing)
    return Lists(values, np.array([part.size for part in parts]))


def _with_missing(values: Any) -> NDArray[Any]:
    """The values as one array, in which missing numbers are masked."""
    array: NDArray[Any] = np.asanyarray(values)
    if array.dtype != object or array.ndim != 1:
        return array
    missing = np.array([v is None or type(v).__name__ == "NAType" for v in array.tolist()], bool)
    if not missing.any():
        return array
    there = np.array(array[~missing].tolist())
    if there.dtype.kind not in "fiub":
        array[missing] = None
        return array
    numbers: NDArray[Any] = np.ma.MaskedArray(np.zeros(array.size, there.dtype), missing)
    numbers[~missing] = there
    return numbers
