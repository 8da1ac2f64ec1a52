"""Reads the rows of columns in .npy, .npz, .csv and .parquet files, a piece at a time.

Files may be far larger than the memory, which only holds one piece of each file at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from mckl.errors import UserError
from mckl.record.columns import LONGEST_ROW, Pieces, Source, open_source, refused
from mckl.text import nearest, quoted


class Selection(NamedTuple):
    """Columns of one file, and the number of its rows; None if only reading tells."""

    path: str
    rows: int | None
    pieces: Pieces


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
        _selection(path, [(wanted[name][1], name == "sequence") for name in names])
        for path, names in by_path.items()
    ]
    measured = [source for source in sources if source.rows is not None]
    first = measured[0] if measured else None
    for path, rows, _ in measured:
        if rows == 0:
            raise UserError(f"{path}: no rows in it")
        if first and rows != first.rows:
            raise UserError(f"{path}: {rows} rows, expected {first.rows} as in {first.path}")
    return first and first.rows, _in_step(sources, list(by_path.values()))


def _in_step(
    sources: Sequence[Selection], names: Sequence[Sequence[str]]
) -> Iterator[dict[str, Any]]:
    held: list[list[NDArray[Any]]] = [[] for _ in sources]
    total = 0
    while True:
        for i, source in enumerate(sources):
            if not held[i]:
                held[i] = next(source.pieces, [])
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


def _selection(path: str, wanted: Sequence[tuple[str | None, bool]]) -> Selection:
    """The columns with these names, each with a flag that says whether it has ids."""
    source = open_source(path)
    positions = [_position(source, name) for name, _ in wanted]
    rows = -1
    for i, (_, is_id) in zip(positions, wanted, strict=True):
        source.check(i, is_id)
        _check_rows(source, i)
        count = source.columns[i].shape[0]
        if rows not in (-1, count):
            raise UserError(
                f"{path}: {count} rows of {source.columns[i].name}, expected {rows} as in "
                f"{source.columns[positions[0]].name}"
            )
        rows = count

    def pieces() -> Pieces:
        with refused(path):
            for piece in source.pieces(positions, [is_id for _, is_id in wanted]):
                yield [column.reshape(-1) for column in piece]

    return Selection(path, None if rows < 0 else rows, pieces())


def _position(source: Source, name: str | None) -> int:
    """The position of a column; None means the only one."""
    names = [column.name for column in source.columns]
    if name is None:
        if len(names) == 1:
            return 0
        raise UserError(
            f"{source.path}: {len(names)} columns, expected one: name it with --columns"
        )
    if names == [None]:
        raise UserError(f"{source.path}: its columns have no names")
    if name not in names:
        hint = nearest(name, [n for n in names if n is not None])
        raise UserError(f"{source.path}: no column {quoted(name)}: {hint}")
    return names.index(name)


def _check_rows(source: Source, position: int) -> None:
    """Raise `UserError` for a column with more than one value a row, or with vast rows."""
    column = source.columns[position]
    if not 0 < column.row_bytes <= LONGEST_ROW:
        raise UserError(
            f"{source.path}: rows of {column.row_bytes} bytes, expected 1 to {LONGEST_ROW:,}"
        )
    if not column.single and column.shape[0] < 0:
        raise UserError(f"{source.path}: {column.shape[1]} columns without names, expected one")
    if not column.single:
        raise UserError(
            f"{source.path}: shape {column.shape}, expected one column of numbers (of tokens: one "
            "row a token, and their sequence's id in another column)"
        )
