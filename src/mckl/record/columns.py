"""Reads columns from .npy, .npz, .csv and .parquet files, whole or a piece at a time.

Files may be damaged, and far larger than the memory.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TextIO

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
PIECE = 2**17  # rows of a piece
LONGEST_ROW = 2**20  # bytes or characters of a row, where a file is read a piece at a time
_LONGEST_ID = 128  # characters, in a .csv file
_ROWS_LOOKED_AT = 1000  # the rows of a .csv file that decide which columns are numbers

Pieces = Iterator[list[NDArray[Any]]]


class Column(NamedTuple):
    """What a file says of one of its columns before it is read.

    name       None if the file has no names; then its only column is the whole array
    kind       the type of the values
    numeric    whether these are real numbers; in a .csv file, only reading tells
    textual    whether they may be ids
    shape      the shape; in a .csv file the first size is -1, since only reading tells
    row_bytes  the size of a row of the file, as far as it is known
    """

    name: str | None
    kind: str
    numeric: bool
    textual: bool
    shape: tuple[int, ...]
    row_bytes: int = 8

    @property
    def single(self) -> bool:
        """Whether there is one value a row."""
        return len(self.shape) == 1 or (len(self.shape) == 2 and self.shape[1] == 1)


class Source(NamedTuple):
    """The columns of a file, whose rows are read when they are needed.

    pieces   a function of positions of columns, and of flags that say which of them are ids. It
             returns an iterator over consecutive pieces of these columns; columns with more than
             one value a row are one piece.
    look     a function that looks at the first rows of a .csv file, and returns whether each
             column has numbers in them
    """

    path: str
    columns: Sequence[Column]
    pieces: Callable[[Sequence[int], Sequence[bool]], Pieces]
    look: Callable[[], Sequence[bool]] | None = None

    def check(self, position: int, is_id: bool = False) -> None:
        """Raise `UserError` if the column has neither numbers nor, with `is_id`, ids."""
        column = self.columns[position]
        if not (column.numeric or (is_id and column.textual)):
            what = "values are" if column.name is None else f"column '{column.name[:20]}' is"
            raise UserError(f"{self.path}: {what} of type {column.kind[:60]}, expected numbers")


class NamedColumns(NamedTuple):
    """The named columns of a file, which are read when they are needed.

    names    the names, stripped and in lower case
    numeric  whether each column has numbers; in a .csv file, whether one of its first cells has
    read     a function that reads the columns at these positions, as float64; columns of an .npz
             file may differ in shape
    """

    names: Sequence[str]
    numeric: Sequence[bool]
    read: Callable[[Sequence[int]], list[Vector]]


def open_columns(path: str) -> NamedColumns | Vector:
    """The columns of a file; if they have no names, one array with one or two axes.

    Raises `UserError`, here or when columns are read, for a file that is missing, damaged, too
    large for the memory, or in another format.
    """
    source = open_source(path, longest_row=None)

    def read(positions: Sequence[int]) -> list[Vector]:
        for i in positions:
            source.check(i)
        shapes = [source.columns[i].shape for i in positions]
        check_memory(path, sum(max(math.prod(shape), 0) for shape in shapes))
        together = len({shape[:1] for shape in shapes}) == 1
        columns = []
        with refused(path):
            for group in [positions] if together else [[i] for i in positions]:
                parts = [*source.pieces(group, [False] * len(group))]
                columns += [_joined(path, [part[i] for part in parts]) for i in range(len(group))]
        return columns

    if source.columns[0].name is None:
        return read([0])[0]
    names = [(column.name or "").strip().lower() for column in source.columns]
    with refused(path):
        numeric = source.look() if source.look else [c.numeric for c in source.columns]
    return NamedColumns(names, numeric, read)


def _joined(path: str, parts: Sequence[NDArray[Any]]) -> Vector:
    array = np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else np.zeros(0)
    if not array.size:
        raise UserError(f"{path}: no numbers in it")
    return np.ascontiguousarray(array, np.float64)


def open_source(path: str, longest_row: int | None = LONGEST_ROW) -> Source:
    """The columns of a file; raises `UserError` as `open_columns` does.

    Rows of a .csv file may have at most `longest_row` characters. With None the file is read whole,
    and has to fit into memory.
    """
    opened = _FORMATS.get(Path(path).suffix.lower())
    if opened is None:
        expected = ", ".join("*" + s for s in _FORMATS)
        raise UserError(f"{shortened(path)}: expected a file named {expected}")
    check_regular(path)
    with refused(path):
        source = opened(path, longest_row)
    if not source.columns:
        raise UserError(f"{path}: no numbers in it")
    return source


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


def check_memory(path: str, numbers: int) -> None:
    """Raise `UserError` if so many numbers do not fit into memory; small files may have many."""
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if numbers * BYTES_PER_NUMBER > there_is:
        raise UserError(
            f"{path}: {numbers:.3g} numbers take {numbers * BYTES_PER_NUMBER / 1e9:.3g} GB of "
            f"memory, and this machine has {there_is / 1e9:.3g}"
        )


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
def _archive(path: str) -> Iterator[zipfile.ZipFile]:
    """An .npz file, whose members are read when they are needed."""
    with _Bounded(io.FileIO(path)) as file, zipfile.ZipFile(file) as opened:
        yield opened


def _member_header(opened: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
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


def _column(name: str | None, dtype: np.dtype[Any], shape: tuple[int, ...], row: int) -> Column:
    kind = dtype.base.kind
    return Column(name, str(dtype.base), kind in "fiu", kind in "SU", (*shape, *dtype.shape), row)


def _from_npy(path: str, _: int | None) -> Source:
    with open(path, "rb") as file:
        shape, dtype = _npy_header(io.BytesIO(file.read(_LONGEST_HEADER)))
    columns = [
        _column(name, dtype if name is None else dtype[name], shape, dtype.itemsize)
        for name in dtype.names or [None]
    ]

    def pieces(positions: Sequence[int], ids: Sequence[bool]) -> Pieces:
        # Mapping refuses a header with a wrong size before memory is taken, and tells where the
        # rows begin. Mapped pages would count as memory of this process.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        names = [columns[i].name for i in positions]
        if not all(columns[i].single for i in positions):
            yield [array if name is None else array[name] for name in names]
            return
        with open(path, "rb") as file:
            file.seek(array.offset)
            left, at_once = shape[0], min(PIECE, MOST_AT_ONCE // dtype.itemsize)
            while left:
                piece = np.fromfile(file, dtype, min(left, at_once))
                if not piece.size:
                    raise UserError(f"{path}: the file ends {left} rows early")
                left -= piece.size
                piece = piece.reshape(-1, *shape[1:])
                yield [piece if name is None else piece[name] for name in names]

    return Source(path, columns, pieces)


def _from_npz(path: str, _: int | None) -> Source:
    with _archive(path) as opened:
        members = opened.namelist()
        headers = [_member_header(opened, member) for member in members]
    columns = [
        _column(member.removesuffix(".npy"), dtype, shape, dtype.itemsize)
        for member, (shape, dtype) in zip(members, headers, strict=True)
    ]
    if members == ["arr_0.npy"]:  # the name that numpy.savez gives to an array without a name
        columns = [columns[0]._replace(name=None)]

    def pieces(positions: Sequence[int], ids: Sequence[bool]) -> Pieces:
        with _archive(path) as opened, contextlib.ExitStack() as stack:
            files = [stack.enter_context(opened.open(members[i])) for i in positions]
            if not all(columns[i].single for i in positions):
                yield [npy.read_array(file, allow_pickle=False) for file in files]
                return
            shapes, dtypes = zip(*(headers[i] for i in positions), strict=True)
            rows = shapes[0][0]
            for i, file, dtype in zip(positions, files, dtypes, strict=True):
                file.read(
                    opened.getinfo(members[i]).file_size - rows * dtype.itemsize
                )  # the header
            at_once = min(PIECE, MOST_AT_ONCE // max(dtype.itemsize for dtype in dtypes))
            for start in range(0, rows, at_once):
                count = min(at_once, rows - start)
                yield [
                    np.frombuffer(file.read(count * dtype.itemsize), dtype).reshape(-1, *shape[1:])
                    for file, shape, dtype in zip(files, shapes, dtypes, strict=True)
                ]

    return Source(path, columns, pieces)


def _from_csv(path: str, longest_row: int | None) -> Source:
    if longest_row is None:
        check_memory(path, 4 * os.stat(path).st_size // BYTES_PER_NUMBER)  # as text
        with open(path, "rb") as raw:
            blocks = iter(lambda: raw.read(2**20), b"")
            check_memory(path, sum(block.count(b",") + block.count(b"\n") for block in blocks))
    with _text(path) as file:
        cells = [cell.strip() for cell in _cells(_lines(path, file, longest_row))]
    headed = not all(map(_is_number, cells))
    columns = [Column(name, "text", True, True, (-1,)) for name in cells]
    if cells and not headed:
        columns = [Column(None, "text", True, True, (-1, len(cells)))]

    def look() -> list[bool]:
        with _text(path) as file:
            rows = csv.reader(_lines(path, file, longest_row))
            top = [*itertools.islice(filter(None, rows), 1 + _ROWS_LOOKED_AT)][1:]
        if not top:
            raise UserError(f"{path}: no numbers in it")
        if any(len(row) != len(cells) for row in top):
            raise _ragged(path, len(cells))
        return [any(map(_is_number, column)) for column in zip(*top, strict=True)]

    def pieces(positions: Sequence[int], ids: Sequence[bool]) -> Pieces:
        kinds = [f"U{_LONGEST_ID}" if is_id else "f8" for is_id in ids]
        dtype = np.dtype(kinds[0])
        if headed:
            # Other columns are read as one character a cell, so that rows of other lengths are
            # noticed.
            chosen = dict(zip(positions, kinds, strict=True))
            dtype = np.dtype([(str(i), chosen.get(i, "U1")) for i in range(len(cells))])
        with _text(path) as file:
            lines = _lines(path, file, longest_row)
            if headed:
                _cells(lines)
            for batch in [file] if longest_row is None else _batches(lines):
                table = _loaded(path, batch, dtype, len(cells) if headed else None)
                arrays = [
                    np.ascontiguousarray(table[str(i)] if headed else table) for i in positions
                ]
                for column, is_id in zip(arrays, ids, strict=True):
                    if is_id and np.strings.str_len(column).max() == _LONGEST_ID:
                        raise UserError(
                            f"{path}: an id of {_LONGEST_ID} characters or more, expected fewer"
                        )
                yield arrays

    return Source(path, columns, pieces, look)


def _text(path: str) -> TextIO:
    return open(path, encoding="utf-8-sig", errors="replace")


def _lines(path: str, file: TextIO, longest: int | None) -> Iterator[str]:
    """The lines that are not empty; raises `UserError` for one that is too long to be a row."""
    while line := file.readline(-1 if longest is None else longest):
        if len(line) == longest:
            raise UserError(f"{path}: a row has {longest:,} characters or more")
        if line.strip():
            yield line


def _batches(lines: Iterator[str]) -> Iterator[list[str]]:
    """The lines in lists of at most `PIECE`, which are shorter if lines are long."""
    batch, size = [], 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) == PIECE or size >= MOST_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _cells(lines: Iterable[str]) -> list[str]:
    """The cells of the first line."""
    return next(filter(None, csv.reader(lines)), [])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _ragged(path: str, names: int | None) -> UserError:
    expected = "the first row" if names is None else f"the {names} names"
    return UserError(f"{path}: rows that have more or fewer cells than {expected}")


def _loaded(path: str, lines: Iterable[str], dtype: np.dtype[Any], names: int | None) -> Any:
    """The rows of a table with so many names, or of one without."""
    ndmin: Literal[1, 2] = 2 if names is None else 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of a file without rows, refused later
        try:
            return np.loadtxt(
                lines, dtype, delimiter=",", comments=None, quotechar='"', ndmin=ndmin
            )
        except ValueError as error:
            if "usecols" in str(error):  # NumPy's advice on rows of different lengths
                raise _ragged(path, names) from None
            raise UserError(f"{path}: not a table of numbers ({str(error)[:100]})") from None


def _from_parquet(path: str, _: int | None) -> Source:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise UserError(f"{path}: reading Parquet takes pyarrow: pip install pyarrow") from None
    # Without a buffer, a whole column chunk would be read at once.
    options = {"buffer_size": 2**20, "pre_buffer": False}
    file = pq.ParquetFile(path, **options)
    schema, rows = file.schema_arrow, file.metadata.num_rows

    def is_real(kind: Any) -> bool:
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))

    columns = [
        Column(name, str(kind), is_real(kind), not pa.types.is_nested(kind), (rows,))
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]

    def values(batch: Any, name: str, before: int) -> NDArray[Any]:
        column = batch.column(name)
        if column.null_count:
            row = before + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise UserError(f"{path}: column '{name[:20]}' has an empty cell in row {row}")
        if is_real(column.type):
            return np.asarray(column.to_numpy(zero_copy_only=False))
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = np.array(coded.dictionary.to_pylist(), dtype=object)
        return np.asarray(words[coded.indices.to_numpy(zero_copy_only=False)])

    def pieces(positions: Sequence[int], ids: Sequence[bool]) -> Pieces:
        names = [schema.names[i] for i in positions]
        # A text that every row repeats is only read once.
        texts = [n for n in names if str(schema.field(n).type) in ("string", "large_string")]
        file = pq.ParquetFile(path, **options, read_dictionary=texts)
        before = 0
        for batch in file.iter_batches(PIECE, columns=[*dict.fromkeys(names)], use_threads=False):
            yield [values(batch, name, before) for name in names]
            before += batch.num_rows

    return Source(path, columns, pieces)


_FORMATS: dict[str, Callable[[str, int | None], Source]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".csv": _from_csv,
    ".parquet": _from_parquet,
}
SUFFIXES = tuple(_FORMATS)
