"""Vectors in files: .npy, .csv and .parquet, read without trusting what is in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.errors import UserError

SUFFIXES = (".npy", ".csv", ".parquet")
_BYTES_PER_NUMBER = 100  # of a vector and what is calculated from it


def read_vector(path: str) -> Vector:
    """The one vector in a file: an array of one axis, or a table of one column.

    Raises `UserError` with one line for a file that is missing, damaged or something else.
    """
    _, columns = _columns(path)
    if len(columns) != 1:
        raise UserError(f"{path}: {len(columns)} columns, expected one")
    return columns[0]


def read_gaussian(path: str) -> tuple[Vector, Vector]:
    """Means and standard deviations: the columns `mean` and `sd`, or two without names.

    Raises `UserError` as `read_vector` does.
    """
    names, columns = _columns(path)
    if names is not None:
        lower = [name.strip().lower() for name in names]
        for name in ("mean", "sd"):
            if lower.count(name) != 1:
                raise UserError(
                    f"{path}: columns {_listed(names)}, expected one 'mean' and one 'sd'"
                )
        return columns[lower.index("mean")], columns[lower.index("sd")]
    if len(columns) != 2:
        raise UserError(f"{path}: {len(columns)} columns, expected two: means, then sds")
    return columns[0], columns[1]


def _listed(names: Sequence[str]) -> str:
    shown = [" ".join(name.split())[:20] for name in names[:4]]
    return ", ".join(shown) + (", ..." if len(names) > 4 else "")


def _columns(path: str) -> tuple[list[str] | None, list[Vector]]:
    """Names (None where the file has none) and columns, all of one length."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file named {', '.join('*' + s for s in SUFFIXES)}")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    names, columns = _from_array(path) if suffix == ".npy" else _from_table(path, suffix)
    if not columns or not columns[0].size:
        raise UserError(f"{path}: no numbers in it")
    return names, columns


def _from_array(path: str) -> tuple[list[str] | None, list[Vector]]:
    try:
        # Mapped, so that a header that lies about the size is refused before memory is taken.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header raises nearly anything
        raise UserError(f"{path}: not a readable .npy file ({_why(error)})") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: an archive of arrays, expected one array")
    _check_memory(path, array.size)
    if array.dtype.names:
        columns = [array[name] for name in array.dtype.names]
        if any(column.ndim != 1 for column in columns):
            raise UserError(f"{path}: shape {array.shape}, expected one axis")
        return list(array.dtype.names), [_real(path, column) for column in columns]
    if array.ndim > 2:
        raise UserError(f"{path}: shape {array.shape}, expected one axis, or two columns")
    real = _real(path, array)
    if real.ndim < 2:
        return None, [real.reshape(-1)]
    if real.shape[1] > 2:
        raise UserError(f"{path}: shape {array.shape}, expected one row a coordinate")
    return None, [np.ascontiguousarray(column) for column in real.T]


def _real(path: str, array: Any) -> Vector:
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: numbers of type {array.dtype}, expected real ones")
    return np.asarray(array, dtype=np.float64)


def _from_table(path: str, suffix: str) -> tuple[list[str] | None, list[Vector]]:
    import pyarrow as pa

    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            file = pq.ParquetFile(path)
            _check_memory(path, file.metadata.num_rows * file.metadata.num_columns)
            table = file.read()
            named = True
        else:
            from pyarrow import csv

            named = _has_header(path)
            options = csv.ReadOptions(autogenerate_column_names=not named)
            table = csv.read_csv(path, read_options=options)
            _check_memory(path, table.num_rows * table.num_columns)
        columns = []
        for name, column in zip(table.column_names, table.columns, strict=True):
            kind = column.type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                raise UserError(f"{path}: column '{_listed([name])}' is not all numbers")
            if column.null_count:
                raise UserError(f"{path}: column '{_listed([name])}' has empty cells")
            columns.append(np.asarray(column.to_numpy(), dtype=np.float64))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable {suffix} file ({_why(error)})") from error
    # One nameless meaning: a table of one column needs no particular name.
    return (list(table.column_names) if named and len(columns) > 1 else None), columns


def _check_memory(path: str, numbers: int) -> None:
    """Refuse what does not fit, before any memory is taken: a few bytes can stand for very many."""
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if numbers * _BYTES_PER_NUMBER > there_is:
        raise UserError(
            f"{path}: {numbers:.3g} numbers take {numbers * _BYTES_PER_NUMBER / 1e9:.3g} GB of "
            f"memory, and there are {there_is / 1e9:.3g}"
        )


def _has_header(path: str) -> bool:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(65536)
        while first.isspace():  # Arrow skips empty lines, too
            first = file.readline(65536)
    try:
        [float(cell.strip().strip('"')) for cell in first.split(",")]
    except ValueError:
        return True
    return False


def _why(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
