"""Reads columns of numbers from .npy, .npz, .csv and .parquet files, which may be damaged."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TextIO, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.errors import UserError
from mckl.record.small import check_regular
from mckl.text import shortened

_LONGEST_HEADER = 2**16  # bytes; a small archive may contain a header of 4 GB
MOST_AT_ONCE = 2**24  # bytes of a piece of a file, or of the directory of an archive
BYTES_PER_NUMBER = 100  # for a vector and all that is computed from it
_Reader = TypeVar("_Reader")
_ROWS_LOOKED_AT = 1000  # the rows of a .csv file that decide which columns are numbers


class Table(NamedTuple):
    """The named columns of a file, which are read when they are needed.

    names    the names, stripped and in lower case
    numeric  whether each column has numbers; in a .csv file, whether one of its first cells has
    read     a function that reads the columns at these positions, as float64; columns of an .npz
             file may differ in shape
    """

    names: Sequence[str]
    numeric: Sequence[bool]
    read: Callable[[Sequence[int]], list[Vector]]


def open_columns(path: str) -> Table | Vector:
    """The columns of a file; if they have no names, one array with one or two axes.

    Raises `UserError`, here or when columns are read, for a file that is missing, damaged, too
    large for the memory, or in another format.
    """
    opened = reader(path, _FORMATS)
    with refused(path):
        found = opened(path)
    if not isinstance(found, Table):
        return _with_numbers(path, found)

    def read(positions: Sequence[int]) -> list[Vector]:
        with refused(path):
            return [_with_numbers(path, column) for column in found.read(positions)]

    return Table([name.strip().lower() for name in found.names], found.numeric, read)


def reader(path: str, formats: Mapping[str, _Reader]) -> _Reader:
    """The reader for a file's suffix; raises `UserError` for other suffixes and missing files."""
    found = formats.get(Path(path).suffix.lower())
    if found is None:
        expected = ", ".join("*" + s for s in formats)
        raise UserError(f"{shortened(path)}: expected a file named {expected}")
    check_regular(path)
    return found


@contextlib.contextmanager
def refused(path: str) -> Iterator[None]:
    """Turn any exception of a damaged file into a `UserError` of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:100] or type(error).__name__
        if "pickle" in why:  # NumPy's guess at a file that is not its own, with unsafe advice
            why = "its content is something else, or Python objects"
        raise UserError(f"{path}: not a readable {Path(path).suffix} file ({why})") from error


def _with_numbers(path: str, array: Vector) -> Vector:
    if not array.size:
        raise UserError(f"{path}: no numbers in it")
    return array


def check_memory(path: str, numbers: int) -> None:
    """Raise `UserError` if so many numbers do not fit into memory; small files may have many."""
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if numbers * BYTES_PER_NUMBER > there_is:
        raise UserError(
            f"{path}: {numbers:.3g} numbers take {numbers * BYTES_PER_NUMBER / 1e9:.3g} GB of "
            f"memory, and this machine has {there_is / 1e9:.3g}"
        )


def _is_real(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "fiu"


def _check_real(path: str, dtype: np.dtype[Any]) -> None:
    if not _is_real(dtype):
        raise UserError(f"{path}: numbers of type {dtype}, expected real ones")


def _real(path: str, array: Any) -> Vector:
    _check_real(path, array.dtype)
    return np.ascontiguousarray(array, dtype=np.float64)


def _npy_header(start: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the type of an array, from the header with which the bytes begin."""
    version = npy.read_magic(start)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(start)
    else:  # 3.0 differs from 2.0 only in the names of fields
        shape, _, dtype = npy.read_array_header_2_0(start)
    return shape, dtype


class _Bounded(io.BufferedReader):
    """A file that is never read whole."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_AT_ONCE:
            raise ValueError(f"its directory takes {size:.3g} bytes")
        return super().read(size)


@contextlib.contextmanager
def archive(path: str) -> Iterator[zipfile.ZipFile]:
    """An .npz file, whose members are read when they are needed."""
    with _Bounded(io.FileIO(path)) as file, zipfile.ZipFile(file) as opened:
        yield opened


def member_header(opened: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the type of an array in an .npz file; raises ValueError if they are untrue.

    The other compressions of .zip files would unpack a gigabyte of zeros at once.
    """
    name, info = member.removesuffix(".npy")[:20], opened.getinfo(member)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"'{name}' is neither stored nor deflated")
    with opened.open(info) as file:
        head = io.BytesIO(file.read(_LONGEST_HEADER))
    shape, dtype = _npy_header(head)
    if not dtype.hasobject and info.file_size != head.tell() + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"'{name}' has another size than its header says")
    return shape, dtype


def npy_header(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the type of the array in an .npy file."""
    with open(path, "rb") as file:
        return _npy_header(io.BytesIO(file.read(_LONGEST_HEADER)))


def _from_npy(path: str) -> Table | Vector:
    shape, dtype = npy_header(path)
    if dtype.names is None or not dtype.itemsize:  # NumPy 2.4 divides by a size of 0 and crashes
        _check_real(path, dtype)
    check_memory(path, math.prod(shape) * len(dtype.names or [""]))
    # The file is mapped, so that a header with a wrong size is refused before memory is taken.
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.names is None:
        return _real(path, array)
    fields = [array[name] for name in array.dtype.names]
    return Table(
        array.dtype.names,
        [_is_real(field.dtype) for field in fields],
        lambda positions: [_real(path, fields[i]) for i in positions],
    )


def _from_npz(path: str) -> Table | Vector:
    with archive(path) as opened:
        members = opened.namelist()
        headers = [member_header(opened, member) for member in members]

    def read(positions: Sequence[int]) -> list[Vector]:
        for i in positions:
            _check_real(path, headers[i][1])
        check_memory(path, sum(math.prod(headers[i][0]) for i in positions))
        columns = []
        with archive(path) as opened:
            for i in positions:
                with opened.open(members[i]) as file:
                    columns.append(_real(path, npy.read_array(file, allow_pickle=False)))
        return columns

    if members == ["arr_0.npy"]:  # the name that numpy.savez gives to an array without a name
        return read([0])[0]
    names = [member.removesuffix(".npy") for member in members]
    return Table(names, [_is_real(dtype) for _, dtype in headers], read)


def _from_csv(path: str) -> Table | Vector:
    check_memory(path, 4 * os.stat(path).st_size // BYTES_PER_NUMBER)  # as text
    with open(path, "rb") as raw:
        pieces = iter(lambda: raw.read(2**20), b"")
        check_memory(path, sum(piece.count(b",") + piece.count(b"\n") for piece in pieces))
    with _text(path) as file:
        names = _cells(file)
        if all(map(_is_number, names)):
            file.seek(0)
            return _numbers(path, file, np.dtype(np.float64), ndmin=2)
        top = itertools.islice(filter(None, csv.reader(file)), _ROWS_LOOKED_AT)
        rows = [[_is_number(cell) for cell in row] for row in top]
    if not rows:
        raise UserError(f"{path}: no numbers in it")
    if any(len(row) != len(names) for row in rows):
        raise UserError(f"{path}: rows that have more or fewer cells than the {len(names)} names")

    def read(positions: Sequence[int]) -> list[Vector]:
        # Other columns are read as one character a cell, so that rows of other lengths are noticed.
        kinds = [(str(i), np.float64 if i in positions else "U1") for i in range(len(names))]
        with _text(path) as file:
            _cells(file)
            table = _numbers(path, file, np.dtype(kinds), ndmin=1)
        return [np.ascontiguousarray(table[str(i)]) for i in positions]

    return Table(names, [any(column) for column in zip(*rows, strict=True)], read)


def _text(path: str) -> TextIO:
    return open(path, encoding="utf-8-sig", errors="replace")


def _cells(file: Iterable[str]) -> list[str]:
    """The cells of the next line that is not empty."""
    return next(filter(None, csv.reader(file)), [])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(path: str, file: TextIO, dtype: np.dtype[Any], ndmin: Literal[1, 2]) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of a file without rows, refused later
        try:
            return np.loadtxt(file, dtype, delimiter=",", comments=None, quotechar='"', ndmin=ndmin)
        except ValueError as error:
            raise UserError(f"{path}: not a table of numbers ({str(error)[:100]})") from error


def _from_parquet(path: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise UserError(f"{path}: reading Parquet takes pyarrow: pip install pyarrow") from None

    file = pq.ParquetFile(path)
    schema = file.schema_arrow

    def is_real(kind: Any) -> bool:
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))

    def read(positions: Sequence[int]) -> list[Vector]:
        groups = range(file.num_row_groups)
        rows = sum(file.metadata.row_group(i).num_rows for i in groups)
        check_memory(path, rows * len(positions))
        names = [schema.names[i] for i in positions]
        for i, name in zip(positions, names, strict=True):
            if not is_real(schema.types[i]):
                raise UserError(f"{path}: column '{name[:20]}' has cells that are not numbers")
        table = file.read(columns=names)
        for name in names:
            if table[name].null_count:
                raise UserError(f"{path}: column '{name[:20]}' has empty cells")
        return [np.asarray(table[name].to_numpy(), dtype=np.float64) for name in names]

    return Table(schema.names, [is_real(kind) for kind in schema.types], read)


_FORMATS: dict[str, Callable[[str], Table | Vector]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".csv": _from_csv,
    ".parquet": _from_parquet,
}
SUFFIXES = tuple(_FORMATS)
