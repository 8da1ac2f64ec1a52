"""Reads columns from files of arrays, tables and JSON lines, whole or a piece at a time.

Files may be damaged, and far larger than the memory.
"""

from __future__ import annotations

import bz2
import contextlib
import csv
import gzip
import io
import itertools
import json
import lzma
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mckl.arrays import Cells, Lists, Vector, arrow_cells, cells_of_rows
from mckl.errors import UserError
from mckl.record.small import check_regular
from mckl.text import shortened

_LONGEST_HEADER = 2**16  # bytes; a small archive may contain a header of 4 GB
MOST_AT_ONCE = 2**24  # bytes of a piece of a file, or of the directory of an archive
BYTES_PER_NUMBER = 100  # for a vector and all that is computed from it
PIECE = 2**17  # rows of a piece, or values where rows have lists
LONGEST_ROW = 2**20  # bytes or characters of a row, where a file is read a piece at a time
_LONGEST_ID = 128  # characters, in a .csv file
_ROWS_LOOKED_AT = 1000  # the rows of a .csv file that decide which columns are numbers

# What a column may be used as: numbers, ids, or a mask of tokens.
Role = Literal["number", "id", "mask"]
Pieces = Iterator[list[Cells]]


class Column(NamedTuple):
    """What a file says of one of its columns before it is read.

    name       None if the file has no names; then its only column is the whole array
    kind       the type of the values
    roles      what the values may be; in a text file, only reading tells
    shape      the shape; in a text file the first size is -1, since only reading tells
    row_bytes  the size of a row of the file, as far as it is known
    lists      whether each row is a list, of any length
    """

    name: str | None
    kind: str
    roles: Sequence[str]
    shape: tuple[int, ...]
    row_bytes: int = 8
    lists: bool = False


class Source(NamedTuple):
    """The columns of a file, whose rows are read when they are needed.

    pieces   a function of positions of columns, and of the role of each. It returns an iterator
             over consecutive pieces of these columns, of some rows each
    look     a function that looks at the first rows of a .csv file, and returns whether each
             column has numbers in them
    """

    path: str
    columns: Sequence[Column]
    pieces: Callable[[Sequence[int], Sequence[Role]], Pieces]
    look: Callable[[], Sequence[bool]] | None = None

    def check(self, position: int, role: Role = "number", lists: bool = False) -> None:
        """Raise `UserError` if the column has no values of this role, or lists that may not be."""
        column = self.columns[position]
        if role not in column.roles or (column.lists and not lists):
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
                parts = [*source.pieces(group, ["number"] * len(group))]
                columns += [_joined(path, [part[i] for part in parts]) for i in range(len(group))]
        return columns

    if source.columns[0].name is None:
        return read([0])[0]
    names = [(column.name or "").strip().lower() for column in source.columns]
    with refused(path):
        numeric = source.look() if source.look else ["number" in c.roles for c in source.columns]
    return NamedColumns(names, numeric, read)


def _joined(path: str, parts: Sequence[Cells]) -> Vector:
    arrays = [part for part in parts if not isinstance(part, Lists)]
    if len(arrays) < len(parts):
        raise UserError(f"{path}: a list in each row, expected one number")
    if any(map(np.ma.is_masked, arrays)):
        raise UserError(f"{path}: some cells are empty, expected a number in each")
    array = np.concatenate(arrays) if len(arrays) > 1 else arrays[0] if arrays else np.zeros(0)
    if not array.size:
        raise UserError(f"{path}: no numbers in it")
    return np.ascontiguousarray(array, np.float64)


def open_source(path: str, longest_row: int | None = LONGEST_ROW) -> Source:
    """The columns of a file; raises `UserError` as `open_columns` does.

    Rows of a .csv file may have at most `longest_row` characters. With None the file is read whole,
    and has to fit into memory.
    """
    opened = _FORMATS.get(_suffix(path))
    if opened is None:
        expected = ", ".join("*" + s for s in _FORMATS)
        raise UserError(f"{shortened(path)}: expected a file named {expected}")
    check_regular(path)
    with refused(path):
        source = opened(path, longest_row)
    if not source.columns:
        raise UserError(f"{path}: no numbers in it")
    return source


def _suffix(path: str) -> str:
    """What says the format; the suffix of a compression after that of a text does not count."""
    *_, before, last = ["", "", *(suffix.lower() for suffix in Path(path).suffixes)]
    return before if last in _COMPRESSED and before in _TEXTS else last


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
    """Raise `UserError` if the numbers do not fit into memory; small files may have many."""
    if not hasattr(os, "sysconf"):  # Windows does not tell
        return
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if numbers * BYTES_PER_NUMBER > there_is:
        raise UserError(
            f"{path}: {numbers:.3g} numbers take {numbers * BYTES_PER_NUMBER / 1e9:.3g} GB of "
            f"memory, and this machine has {there_is / 1e9:.3g}"
        )


class _Header(NamedTuple):
    """What the header of an array says: `by_column` if the first axis runs fastest."""

    shape: tuple[int, ...]
    by_column: bool
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def columns(self, name: str | None = None) -> list[Column]:
        """The columns of the array; with a name, it is one."""
        names = [None] if name is not None else self.dtype.names or [None]
        return [self._column(name or n, self.dtype if n is None else self.dtype[n]) for n in names]

    def _column(self, name: str | None, dtype: np.dtype[Any]) -> Column:
        kind, shape = dtype.base.kind, (*self.shape, *dtype.shape)
        roles = {"f": ("number", "id", "mask"), "b": ("mask",), "S": ("id",), "U": ("id",)}
        uses = roles.get("f" if kind in "iu" else kind, ())
        return Column(name, str(dtype.base), uses, shape, self.row_bytes)


def _npy_header(start: IO[bytes]) -> _Header:
    """The header with which the bytes of an array begin."""
    version = npy.read_magic(start)
    if version == (1, 0):
        return _Header(*npy.read_array_header_1_0(start))
    return _Header(*npy.read_array_header_2_0(start))  # 3.0 differs only in the names of fields


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


def _member_header(opened: zipfile.ZipFile, member: str) -> _Header:
    """The header of an array in an .npz file; raises ValueError if it is untrue.

    The other compressions of .zip files would unpack a gigabyte of zeros at once.
    """
    name, info = member.removesuffix(".npy")[:20], opened.getinfo(member)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"'{name}' is neither stored nor deflated")
    with opened.open(info) as file:
        head = io.BytesIO(file.read(_LONGEST_HEADER))
    header = _npy_header(head)
    itemsize = header.dtype.itemsize
    if not header.dtype.hasobject and (
        info.file_size != head.tell() + math.prod(header.shape) * itemsize
    ):
        raise ValueError(f"'{name}' has another size than its header says")
    return header


def _in_pieces(read: Callable[[int], bytes], header: _Header, at_once: int) -> Iterator[Any]:
    """The rows of an array that is stored row by row."""
    left = header.shape[0]
    if not header.row_bytes:
        yield np.zeros(header.shape, header.dtype)
        return
    while left:
        data = read(min(left, at_once) * header.row_bytes)
        rows = len(data) // header.row_bytes
        if not rows:
            raise ValueError(f"the file ends {left} rows early")
        left -= rows
        whole = memoryview(data)[: rows * header.row_bytes]
        yield np.frombuffer(whole, header.dtype).reshape(rows, *header.shape[1:])


def _rows_at_once(row_bytes: int) -> int:
    return max(1, min(PIECE, 8 * PIECE // max(row_bytes, 1)))


def _from_npy(path: str, _: int | None) -> Source:
    with open(path, "rb") as file:
        header = _npy_header(io.BytesIO(file.read(_LONGEST_HEADER)))
    columns = header.columns()

    def pieces(positions: Sequence[int], roles: Sequence[Role]) -> Pieces:
        # Mapping refuses a header with a wrong size before memory is taken, and tells where the
        # rows begin. Mapped pages would count as memory of this process.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        names = [columns[i].name for i in positions]
        at_once = _rows_at_once(header.row_bytes)
        with open(path, "rb") as file:
            file.seek(array.offset)
            parts = _in_pieces(file.read, header, at_once)
            for part in _cut(array, at_once) if header.by_column or not header.shape else parts:
                yield [np.asarray(part if name is None else part[name]) for name in names]

    return Source(path, columns, pieces)


def _from_npz(path: str, _: int | None) -> Source:
    with _archive(path) as opened:
        members = opened.namelist()
        headers = [_member_header(opened, member) for member in members]
    columns = [
        header.columns(member.removesuffix(".npy"))[0]
        for member, header in zip(members, headers, strict=True)
    ]
    if members == ["arr_0.npy"]:  # the name that numpy.savez gives to an array without a name
        columns = [columns[0]._replace(name=None)]

    def pieces(positions: Sequence[int], roles: Sequence[Role]) -> Pieces:
        with _archive(path) as opened, contextlib.ExitStack() as stack:
            at_once = _rows_at_once(max(headers[i].row_bytes for i in positions))
            parts = []
            for i in positions:
                header, file = headers[i], stack.enter_context(opened.open(members[i]))
                if header.by_column or not header.shape:
                    parts.append(_cut(npy.read_array(file, allow_pickle=False), at_once))
                    continue
                _npy_header(file)
                parts.append(_in_pieces(file.read, header, at_once))
            yield from map(list, zip(*parts, strict=True))

    return Source(path, columns, pieces)


def _cut(array: NDArray[Any], at_once: int) -> Iterator[NDArray[Any]]:
    if not array.ndim:
        yield array
        return
    for start in range(0, array.shape[0], at_once):
        yield array[start : start + at_once]


def _from_csv(path: str, longest_row: int | None) -> Source:
    delimiter = "\t" if _suffix(path) == ".tsv" else ","
    if longest_row is None:
        check_memory(path, 4 * os.stat(path).st_size // BYTES_PER_NUMBER)  # as text
        with _opened(path) as raw:
            blocks = iter(lambda: raw.read(2**20), b"")
            size = numbers = 0
            for block in blocks:
                size += len(block)
                numbers += block.count(delimiter.encode()) + block.count(b"\n")
                check_memory(path, max(4 * size // BYTES_PER_NUMBER, numbers))  # as text
    with _text(path) as file:
        cells = [cell.strip() for cell in _cells(_lines(path, file, longest_row), delimiter)]
    headed = not all(map(_is_number, cells))
    columns = [Column(name, "text", ("number", "id", "mask"), (-1,)) for name in cells]
    if cells and not headed:
        columns = [Column(None, "text", ("number", "id", "mask"), (-1, len(cells)))]

    def look() -> list[bool]:
        with _text(path) as file:
            rows = csv.reader(_lines(path, file, longest_row), delimiter=delimiter)
            top = [*itertools.islice(filter(None, rows), 1 + _ROWS_LOOKED_AT)][1:]
        if not top:
            raise UserError(f"{path}: no numbers in it")
        if any(len(row) != len(cells) for row in top):
            raise _ragged(path, len(cells))
        return [any(map(_is_number, column)) for column in zip(*top, strict=True)]

    def pieces(positions: Sequence[int], roles: Sequence[Role]) -> Pieces:
        kinds = ["f8" if role == "number" else f"U{_LONGEST_ID}" for role in roles]
        dtype = np.dtype(kinds[0])
        if headed:
            # Other columns are read as one character a cell, so that rows of other lengths are
            # noticed.
            chosen = dict(zip(positions, kinds, strict=True))
            dtype = np.dtype([(str(i), chosen.get(i, "U1")) for i in range(len(cells))])
        with _text(path) as file:
            lines = _lines(path, file, longest_row)
            if headed:
                _cells(lines, delimiter)
            for batch in [file] if longest_row is None else _batches(lines):
                table = _loaded(path, batch, dtype, delimiter, len(cells) if headed else None)
                arrays = [
                    np.ascontiguousarray(table[str(i)] if headed else table) for i in positions
                ]
                for column, role in zip(arrays, roles, strict=True):
                    if role == "id" and np.strings.str_len(column).max() == _LONGEST_ID:
                        raise UserError(
                            f"{path}: an id of {_LONGEST_ID} characters or more, expected fewer"
                        )
                yield [
                    _truths(path, column) if role == "mask" else column
                    for column, role in zip(arrays, roles, strict=True)
                ]

    return Source(path, columns, pieces, look)


def _truths(path: str, texts: NDArray[Any]) -> NDArray[Any]:
    """True and False from a mask's texts."""
    low = np.strings.lower(np.strings.strip(texts))
    true, false = (np.isin(low, words) for words in (("true", "1", "1.0"), ("false", "0", "0.0")))
    if not (true | false).all():
        raise UserError(f"{path}: a mask with other values than True and False, or 1 and 0")
    return true


def _from_json_lines(path: str, _: int | None) -> Source:
    with _text(path) as file:
        first = next(_objects(path, _lines(path, file, MOST_AT_ONCE)), {})
    columns = [
        Column(name, "JSON", ("number", "id", "mask"), (-1,), lists=isinstance(value, list))
        for name, value in first.items()
        if not isinstance(value, dict)
    ]

    def pieces(positions: Sequence[int], roles: Sequence[Role]) -> Pieces:
        with _text(path) as file:
            before = 0
            for batch in _batches(_lines(path, file, MOST_AT_ONCE)):
                rows = [*_objects(path, batch, before)]
                before += len(rows)
                yield [
                    _json_cells(path, rows, columns[i], role)
                    for i, role in zip(positions, roles, strict=True)
                ]

    return Source(path, columns, pieces)


def _objects(path: str, lines: Iterable[str], before: int = 0) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, before + 1):
        row = json.loads(line)
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number} is no object with a value for each column")
        yield row


def _json_cells(path: str, rows: Sequence[dict[str, Any]], column: Column, role: Role) -> Cells:
    named = f"{path}: column '{str(column.name)[:20]}' has"
    try:
        cells = cells_of_rows([row.get(str(column.name)) for row in rows])
    except ValueError as error:
        raise UserError(f"{named} {error}") from None
    values = cells.values if isinstance(cells, Lists) else cells
    if role != "id" and values.size and values.dtype.kind not in "fiub":
        raise UserError(f"{named} values that are not numbers, expected numbers")
    if column.lists and not isinstance(cells, Lists):  # none of these rows has a list
        return Lists(np.zeros(0), np.zeros(len(rows), np.int64))
    return cells


# How a file is opened, by the suffix of its compression.
_COMPRESSED: dict[str, Callable[[str, Literal["rb"]], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}


def _opened(path: str) -> IO[bytes]:
    """A file as bytes, uncompressed."""
    file: IO[bytes] = _COMPRESSED.get(Path(path).suffix.lower(), open)(path, "rb")
    return file


def _text(path: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(_opened(path), encoding="utf-8-sig", errors="replace")


def _lines(path: str, file: io.TextIOWrapper, longest: int | None) -> Iterator[str]:
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


def _cells(lines: Iterable[str], delimiter: str) -> list[str]:
    """The cells of the first line."""
    return next(filter(None, csv.reader(lines, delimiter=delimiter)), [])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _ragged(path: str, names: int | None) -> UserError:
    expected = "the first row" if names is None else f"the {names} names"
    return UserError(f"{path}: rows that have more or fewer cells than {expected}")


def _loaded(
    path: str, lines: Iterable[str], dtype: np.dtype[Any], delimiter: str, names: int | None
) -> Any:
    """The rows of a table with this number of names, or of one without names."""
    ndmin: Literal[1, 2] = 2 if names is None else 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of a file without rows, refused later
        try:
            return np.loadtxt(
                lines, dtype, delimiter=delimiter, comments=None, quotechar='"', ndmin=ndmin
            )
        except ValueError as error:
            if "usecols" in str(error):  # NumPy's advice on rows of different lengths
                raise _ragged(path, names) from None
            raise UserError(f"{path}: not a table of numbers ({str(error)[:100]})") from None


def _arrow(path: str) -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise UserError(
            f"{path}: reading {_suffix(path)} files takes pyarrow: pip install pyarrow"
        ) from None
    return pyarrow


def _arrow_columns(pa: Any, schema: Any, rows: int) -> list[Column]:
    return [
        _arrow_column(pa, name, kind, rows)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]


def _arrow_column(pa: Any, name: str, kind: Any, rows: int) -> Column:
    is_list = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    lists = any(of_kind(kind) for of_kind in is_list)
    value = kind.value_type if lists else kind
    real = pa.types.is_floating(value) or pa.types.is_integer(value)
    roles = [("number", real), ("id", not pa.types.is_nested(value)),
             ("mask", real or pa.types.is_boolean(value))]  # fmt: skip
    return Column(name, str(kind), [role for role, may in roles if may], (rows,), lists=lists)


def _arrow_pieces(batches: Iterable[Any], positions: Sequence[int]) -> Pieces:
    """The columns of record batches, cut where their lists are long."""
    for batch in batches:
        columns = [batch.column(i) for i in positions]
        at_once = _rows_at_once(max(c.nbytes for c in columns) // max(batch.num_rows, 1))
        for start in range(0, batch.num_rows, at_once):
            yield [arrow_cells(column.slice(start, at_once)) for column in columns]


def _from_parquet(path: str, _: int | None) -> Source:
    pa = _arrow(path)
    import pyarrow.parquet as pq

    # Without a buffer, a whole column chunk would be read at once.
    options = {"buffer_size": 2**20, "pre_buffer": False}
    with pq.ParquetFile(path, **options) as file:
        schema, about = file.schema_arrow, file.metadata
    columns = _arrow_columns(pa, schema, about.num_rows)

    def pieces(positions: Sequence[int], roles: Sequence[Role]) -> Pieces:
        names = [*dict.fromkeys(schema.names[i] for i in positions)]
        # A text that every row repeats is only read once.
        texts = [n for n in names if str(schema.field(n).type) in ("string", "large_string")]
        longest = max([1, *(_values_a_row(about, n) for n in names)])
        with pq.ParquetFile(path, **options, read_dictionary=texts) as file:
            batches = file.iter_batches(max(1, PIECE // longest), columns=names, use_threads=False)
            for batch in batches:
                yield [arrow_cells(batch.column(schema.names[i])) for i in positions]

    return Source(path, columns, pieces)


def _values_a_row(about: Any, name: str) -> int:
    """The most values that a row has in a row group on average."""
    most = 1
    for i in range(about.num_row_groups):
        group = about.row_group(i)
        values = [group.column(j).num_values for j in range(group.num_columns)
                  if group.column(j).path_in_schema.partition(".")[0] == name]  # fmt: skip
        most = max([most, *(v // max(group.num_rows, 1) for v in values)])
    return most


def _from_arrow(path: str, _: int | None) -> Source:
    pa = _arrow(path)
    with pa.memory_map(path) as file:
        indexed = file.read(6) == b"ARROW1"  # or else a stream, as the library datasets writes

    opened = pa.ipc.open_file if indexed else pa.ipc.open_stream
    with pa.memory_map(path) as file:
        columns = _arrow_columns(pa, opened(file).schema, -1)

    def pieces(positions: Sequence[int], roles: Sequence[Role]) -> Pieces:
        fields = sorted({*positions})
        with pa.memory_map(path) as file:
            options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
            reader = opened(file, options=options)
            read = reader
            if indexed:
                read = map(reader.get_batch, range(reader.num_record_batches))
            yield from _arrow_pieces(read, [fields.index(i) for i in positions])

    return Source(path, columns, pieces)


_FORMATS: dict[str, Callable[[str, int | None], Source]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".csv": _from_csv,
    ".tsv": _from_csv,
    ".parquet": _from_parquet,
    ".arrow": _from_arrow,
    ".feather": _from_arrow,
    ".jsonl": _from_json_lines,
}
_TEXTS = (".csv", ".tsv", ".jsonl")
SUFFIXES = (".npy", ".npz", ".csv", ".parquet")  # of files with parameters of q and p


def is_readable(path: str) -> bool:
    """Whether a file of this name is one of columns."""
    return _suffix(path) in _FORMATS
