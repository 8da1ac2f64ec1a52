"""Reads the rows of columns in .npy, .npz, .csv and .parquet files, a piece at a time.

Files may be far larger than the memory, which only holds one piece of each file at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from mckl.errors import UserError
from mckl.record.columns import MOST_AT_ONCE, archive, member_header, npy_header, reader, refused
from mckl.text import nearest, quoted

PIECE = 2**17  # rows of a piece
_LONGEST_ROW = 2**20  # bytes or characters
_LONGEST_ID = 128  # characters, in a .csv file
_IDS = f"U{_LONGEST_ID}"  # the type of ids in a .csv file, which may be any text

Pieces = Iterator[list[NDArray[Any]]]


class Source(NamedTuple):
    """Columns of one file.

    path    the path, for messages
    rows    the number of rows; None if only reading the file tells
    pieces  a function that returns an iterator over pieces of the columns
    """

    path: str
    rows: int | None
    pieces: Callable[[], Pieces]


def columns(
    wanted: Mapping[str, tuple[str, str | None]],
) -> tuple[int | None, Iterator[dict[str, NDArray[Any]]]]:
    """The number of rows, None if it is not known, and an iterator over pieces of the columns.

    Columns may be in one file or in several, which are read in step.

    Parameters
    ----------
    wanted
        For each name, the path of a file and the name of its column; None for the only column.

    Raises
    ------
    UserError
        For a file that is missing, damaged, without rows or without the column, and for files of
        different lengths.
    """
    by_path: dict[str, list[str]] = {}
    for name, (path, _) in wanted.items():
        by_path.setdefault(path, []).append(name)
    sources = [
        _open(path, [wanted[name][1] for name in names], [name == "sequence" for name in names])
        for path, names in by_path.items()
    ]
    known = [source for source in sources if source.rows is not None]
    for source in known:
        if source.rows == 0:
            raise UserError(f"{source.path}: no rows in it")
        if source.rows != known[0].rows:
            raise UserError(
                f"{source.path}: {source.rows} rows, expected {known[0].rows} as in {known[0].path}"
            )
    return known[0].rows if known else None, _in_step(sources, list(by_path.values()))


def _in_step(sources: Sequence[Source], names: Sequence[Sequence[str]]) -> Iterator[dict[str, Any]]:
    pieces = [_safely(source) for source in sources]
    held: list[list[NDArray[Any]]] = [[] for _ in sources]
    total = 0
    while True:
        for i, of_source in enumerate(pieces):
            if not held[i]:
                held[i] = next(of_source, [])
        ended = [source.path for source, columns in zip(sources, held, strict=True) if not columns]
        if ended:
            break
        rows = min(columns[0].size for columns in held)
        yield {
            name: column[:rows]
            for group, columns in zip(names, held, strict=True)
            for name, column in zip(group, columns, strict=True)
        }
        total += rows
        held = [[c[rows:] for c in columns] if columns[0].size > rows else [] for columns in held]
    if len(ended) < len(sources):
        longer = next(s.path for s in sources if s.path not in ended)
        raise UserError(f"{ended[0]}: {total} rows, and {longer} has more")
    if not total:
        raise UserError(f"{ended[0]}: no rows in it")


def _safely(source: Source) -> Pieces:
    with refused(source.path):
        yield from source.pieces()


def _open(path: str, names: Sequence[str | None], ids: Sequence[bool]) -> Source:
    opened = reader(path, _FORMATS)
    with refused(path):
        return opened(path, names, ids)


def _chosen(path: str, known: Sequence[str], name: str | None) -> int:
    """The position of a column; None means the only one."""
    if name is None:
        if len(known) == 1:
            return 0
        raise UserError(f"{path}: {len(known)} columns, expected one: name it with --columns")
    if name not in known:
        raise UserError(f"{path}: no column {quoted(name)}: {nearest(name, known)}")
    return list(known).index(name)


def _check(path: str, dtype: np.dtype[Any], shape: Sequence[int], is_id: bool) -> None:
    if not (dtype.kind in "fiu" or (is_id and dtype.kind in "SU")):
        raise UserError(f"{path}: values of type {str(dtype)[:60]}, expected numbers")
    if not 0 < dtype.itemsize <= _LONGEST_ROW:
        raise UserError(f"{path}: rows of {dtype.itemsize} bytes, expected 1 to {_LONGEST_ROW:,}")
    if len(shape) != 1 and not (len(shape) == 2 and shape[1] == 1):
        raise UserError(
            f"{path}: shape {tuple(shape)}, expected one column of numbers (of tokens: one row a "
            "token, and their sequence's id in another column)"
        )


def _from_npy(path: str, names: Sequence[str | None], ids: Sequence[bool]) -> Source:
    shape, dtype = npy_header(path)
    if not 0 < dtype.itemsize <= _LONGEST_ROW:  # of one with fields, whose types are checked below
        raise UserError(f"{path}: rows of {dtype.itemsize} bytes, expected 1 to {_LONGEST_ROW:,}")
    # Mapping only tells where the rows begin. Mapped pages would count as memory of this process.
    offset = np.load(path, mmap_mode="r", allow_pickle=False).offset
    at_once = min(PIECE, MOST_AT_ONCE // dtype.itemsize)
    fields = [None if dtype.names is None else dtype.names[_chosen(path, dtype.names, name)]
              for name in names]  # fmt: skip
    for field, is_id in zip(fields, ids, strict=True):
        _check(path, dtype if field is None else dtype[field], shape, is_id)

    def pieces() -> Pieces:
        with open(path, "rb") as file:
            file.seek(offset)
            left = shape[0]
            while left:
                piece = np.fromfile(file, dtype, min(left, at_once))
                if not piece.size:
                    raise UserError(f"{path}: the file ends {left} rows early")
                left -= piece.size
                yield [piece if field is None else piece[field] for field in fields]

    return Source(path, shape[0], pieces)


def _from_npz(path: str, names: Sequence[str | None], ids: Sequence[bool]) -> Source:
    with archive(path) as opened:
        members = opened.namelist()
    known = [member.removesuffix(".npy") for member in members]
    chosen = [members[_chosen(path, known, name)] for name in names]

    rows, sizes = [], []
    with archive(path) as opened:
        headers = [member_header(opened, member) for member in chosen]
    for member, is_id, (shape, dtype) in zip(chosen, ids, headers, strict=True):
        _check(f"{path}: {member.removesuffix('.npy')}", dtype, shape, is_id)
        rows.append(shape[0])
        sizes.append(shape[0] * dtype.itemsize)
    for count, member in zip(rows, chosen, strict=True):
        if count != rows[0]:
            raise UserError(
                f"{path}: {count} rows of {member.removesuffix('.npy')}, expected {rows[0]} as in "
                f"{chosen[0].removesuffix('.npy')}"
            )

    def pieces() -> Pieces:
        with archive(path) as opened:
            files = [opened.open(member) for member in chosen]
            for file, member, size in zip(files, chosen, sizes, strict=True):
                file.read(opened.getinfo(member).file_size - size)  # its header
            at_once = min(PIECE, MOST_AT_ONCE // max(dtype.itemsize for _, dtype in headers))
            for start in range(0, rows[0], at_once):
                count = min(at_once, rows[0] - start)
                yield [
                    np.frombuffer(file.read(count * dtype.itemsize), dtype)
                    for file, (_, dtype) in zip(files, headers, strict=True)
                ]

    return Source(path, rows[0], pieces)


def _from_csv(path: str, names: Sequence[str | None], ids: Sequence[bool]) -> Source:
    cells = _header(path)
    if not cells:
        raise UserError(f"{path}: no rows in it")
    headed = not all(map(_is_number, cells))
    known = cells if headed else [""] * len(cells)
    if not headed and any(name is not None for name in names):
        raise UserError(f"{path}: its columns have no names")
    chosen = [_chosen(path, known, name) for name in names]
    kinds = [_IDS if is_id else "f8" for is_id in ids]
    dtype = np.dtype([(str(i), kind) for i, kind in enumerate(kinds)])

    def pieces() -> Pieces:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            lines = _lines(path, file)
            if headed:
                next(lines)
            for some in _texts(lines):
                try:
                    table = np.loadtxt(
                        some, dtype, delimiter=",", comments=None, quotechar='"',
                        usecols=chosen, ndmin=1,
                    )  # fmt: skip
                except ValueError as error:
                    why = str(error)[:100]
                    raise UserError(f"{path}: not a table of numbers ({why})") from None
                columns = [np.ascontiguousarray(table[str(i)]) for i in range(len(chosen))]
                for column in columns:
                    if column.dtype == _IDS and np.strings.str_len(column).max() == _LONGEST_ID:
                        raise UserError(
                            f"{path}: an id of {_LONGEST_ID} characters or more, expected fewer"
                        )
                yield columns

    return Source(path, None, pieces)


def _lines(path: str, file: TextIO) -> Iterator[str]:
    """The lines that are not empty; raises `UserError` for one that is too long to be a row."""
    while line := file.readline(_LONGEST_ROW):
        if len(line) == _LONGEST_ROW:
            raise UserError(f"{path}: a row has {_LONGEST_ROW:,} characters or more")
        if line.strip():
            yield line


def _texts(lines: Iterator[str]) -> Iterator[list[str]]:
    """The lines in lists of at most `PIECE`, which are shorter if lines are long."""
    held, size = [], 0
    for line in lines:
        held.append(line)
        size += len(line)
        if len(held) == PIECE or size >= MOST_AT_ONCE:
            yield held
            held, size = [], 0
    if held:
        yield held


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _from_parquet(path: str, names: Sequence[str | None], ids: Sequence[bool]) -> Source:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise UserError(f"{path}: reading Parquet takes pyarrow: pip install pyarrow") from None
    # Without a buffer, a whole column chunk would be read at once.
    options = {"buffer_size": 2**20, "pre_buffer": False}
    file = pq.ParquetFile(path, **options)
    schema = file.schema_arrow
    chosen = [schema.names[_chosen(path, schema.names, name)] for name in names]
    # A text that every row repeats is only read once.
    texts = [name for name in chosen if str(schema.field(name).type) in ("string", "large_string")]
    file = pq.ParquetFile(path, **options, read_dictionary=texts)
    for name, is_id in zip(chosen, ids, strict=True):
        kind = schema.field(name).type
        number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        if not number and (not is_id or pa.types.is_nested(kind)):
            raise UserError(f"{path}: column '{name[:20]}' is of type {kind}, expected numbers")

    def values(batch: Any, name: str, before: int) -> NDArray[Any]:
        column = batch.column(name)
        if column.null_count:
            row = before + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise UserError(f"{path}: column '{name[:20]}' has an empty cell in row {row}")
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            return np.asarray(column.to_numpy(zero_copy_only=False))
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = np.array(coded.dictionary.to_pylist(), dtype=object)
        return np.asarray(words[coded.indices.to_numpy(zero_copy_only=False)])

    def pieces() -> Pieces:
        before = 0
        for batch in file.iter_batches(PIECE, columns=[*dict.fromkeys(chosen)], use_threads=False):
            yield [values(batch, name, before) for name in chosen]
            before += batch.num_rows

    return Source(path, file.metadata.num_rows, pieces)


_FORMATS: Mapping[str, Callable[[str, Sequence[str | None], Sequence[bool]], Source]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".csv": _from_csv,
    ".parquet": _from_parquet,
}


def names_of(path: str) -> list[str]:
    """The names of a table's columns, unchanged; raises `UserError` as `columns` does."""
    reader(path, _FORMATS)
    suffix = Path(path).suffix.lower()
    with refused(path):
        if suffix == ".csv":
            return _header(path)
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(pq.read_schema(path).names)
        if suffix == ".npz":
            with archive(path) as opened:
                return [member.removesuffix(".npy") for member in opened.namelist()]
        return list(npy_header(path)[1].names or [])


def _header(path: str) -> list[str]:
    """The cells of the first line that is not empty."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = next(_lines(path, file), "")
    return [cell.strip().strip('"') for cell in first.rstrip("\n").split(",")] if first else []
