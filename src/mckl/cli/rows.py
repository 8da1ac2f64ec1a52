"""Reads the rows of columns in files, a piece at a time; several files are one after another.

Files may be far larger than the memory, which only holds one piece of each file at a time.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mckl.arrays import Cells, Lists, as_lists
from mckl.errors import UserError
from mckl.estimation.given.layout import Layout
from mckl.record.columns import (
    LONGEST_ROW,
    MOST_AT_ONCE,
    Role,
    Source,
    is_readable,
    open_source,
    refused,
)
from mckl.text import quoted, shortened, some

# The paths of files that are one after another, and the name of a column in them.
Place = tuple[tuple[str, ...], str | None]
_ROLES: Mapping[str, Role] = {"sequence": "id", "cluster": "id", "group": "id", "mask": "mask"}


class _ShardRows(NamedTuple):
    """One piece of columns: the file, the rows of the file before it, and each column's rows."""

    path: str
    before: int
    cells: list[Cells]


def tables_of(path: str) -> list[str]:
    """The files that a path means: itself, those of a folder, or those that match a pattern.

    Numbers in names are in the order of numbers. Raises `UserError` if there are none.
    """
    if os.path.isdir(path):
        paths = [
            str(file) for file in Path(path).rglob("*")
            if is_readable(file.name) and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]  # fmt: skip
        if not paths:
            raise UserError(f"{shortened(path)}: not a regular file, and a folder without tables")
    elif glob.has_magic(path) and not os.path.exists(path):
        paths = [file for file in glob.glob(path, recursive=True) if os.path.isfile(file)]
        if not paths:
            raise UserError(f"{shortened(path)}: no file matches")
    else:
        return [path]
    return sorted(paths, key=lambda file: re.sub(r"\d+", lambda digits: digits[0].zfill(20), file))


def columns(
    wanted: Mapping[str, Place], layout: Layout
) -> tuple[int | None, Iterator[tuple[int, dict[str, Any]]]]:
    """The number of rows, None if it is not known; the rows of each piece, and its flat columns.

    Columns may be in one file or in several, which are read in step.

    Parameters
    ----------
    wanted
        For each name, the paths of files and the name of the column; None for the only column.
    layout
        What makes flat columns, and is told where rows come from.

    Raises
    ------
    UserError
        For a file that is missing, damaged, without rows or without the column, for shards with
        other columns, and for files of different lengths.
    """
    by_paths: dict[tuple[str, ...], list[str]] = {}
    for name, (paths, _) in wanted.items():
        by_paths.setdefault(paths, []).append(name)
    counts, streams = [], []
    for paths, names in by_paths.items():
        shards = [_Shard(path, [(name, wanted[name][1]) for name in names]) for path in paths]
        sizes = [shard.rows for shard in shards]
        counts.append((None if -1 in sizes else sum(sizes), paths[0]))
        streams.append(itertools.chain.from_iterable(shard.parts() for shard in shards))
    measured = [(rows, path) for rows, path in counts if rows is not None]
    for rows, path in measured:
        if rows == 0:
            raise UserError(f"{path}: no rows in it")
        if rows != measured[0][0]:
            raise UserError(
                f"{path}: {rows} rows, expected {measured[0][0]} as in {measured[0][1]}"
            )
    stream = _in_step(streams, [*by_paths], [*by_paths.values()], layout)
    return measured[0][0] if measured else None, stream


def _in_step(
    streams: Sequence[Iterator[_ShardRows]], paths: Sequence[Sequence[str]],
    names: Sequence[Sequence[str]], layout: Layout,
) -> Iterator[tuple[int, dict[str, Any]]]:  # fmt: skip
    held: list[_ShardRows | None] = [None for _ in streams]
    total = 0
    while True:
        held = [part or next(stream, None) for part, stream in zip(held, streams, strict=True)]
        parts = [part for part in held if part is not None]
        if len(parts) < len(held):
            break
        rows = min(len(part.cells[0]) for part in parts)
        piece = {}
        for group, part in zip(names, parts, strict=True):
            for name, cells in zip(group, part.cells, strict=True):
                piece[name] = cells[:rows]
                layout.origin[name] = part.path, part.before
        yield rows, layout.flat(piece)
        total += rows
        held = [
            part._replace(before=part.before + rows, cells=[c[rows:] for c in part.cells])
            if len(part.cells[0]) > rows else None
            for part in parts
        ]  # fmt: skip
    ended = [path for path, part in zip(paths, held, strict=True) if part is None]
    if parts:
        raise UserError(f"{ended[0][-1]}: {total} rows, and {parts[0].path} has more")
    if not total:
        raise UserError(f"{ended[0][0]}: no rows in it")


class _Shard:
    """Columns of one file, each with what it is used as."""

    def __init__(self, path: str, wanted: Sequence[tuple[str, str | None]]) -> None:
        self._source = source = open_source(path)
        self._positions = [_position(source, name, column) for name, column in wanted]
        self._roles: list[Role] = [_ROLES.get(name, "number") for name, _ in wanted]
        self.rows = -1
        for i, role in zip(self._positions, self._roles, strict=True):
            source.check(i, role, lists=True)
            _check_rows(source, i)
            count = source.columns[i].shape[0]
            if self.rows not in (-1, count):
                raise UserError(
                    f"{path}: {count} rows of {source.columns[i].name}, expected {self.rows} as in "
                    f"{source.columns[self._positions[0]].name}"
                )
            self.rows = count

    def parts(self) -> Iterator[_ShardRows]:
        before = 0
        columns = [self._source.columns[i] for i in self._positions]
        with refused(self._source.path):
            for piece in self._source.pieces(self._positions, self._roles):
                if not len(piece[0]):
                    continue
                cells = [
                    rows if isinstance(rows, Lists)
                    else as_lists(rows.reshape(-1) if column.shape == (-1, 1) else rows)
                    for rows, column in zip(piece, columns, strict=True)
                ]  # fmt: skip
                yield _ShardRows(self._source.path, before, cells)
                before += len(piece[0])


def _position(source: Source, name: str, column: str | None) -> int:
    """The position of a column; None means the only one, or that called like the argument."""
    names = [c.name for c in source.columns]
    if column is None:
        if len(names) == 1 or name in names:
            return 0 if len(names) == 1 else names.index(name)
        raise UserError(
            f"{source.path}: {len(names)} columns, expected one: name it with --columns"
        )
    if names == [None]:
        raise UserError(f"{source.path}: its columns have no names")
    if column not in names:
        raise UserError(f"{source.path}: no column {quoted(column)}, but {names_of(source)}")
    return names.index(column)


def names_of(source: Source) -> str:
    """The names of the file's columns as a text."""
    return some([quoted(c.name) for c in source.columns if c.name is not None]) or "none"


def _check_rows(source: Source, position: int) -> None:
    """Raise `UserError` for a column of more than lists of numbers, or with vast rows."""
    column = source.columns[position]
    most = MOST_AT_ONCE if len(column.shape) == 2 else LONGEST_ROW
    if not 0 < column.row_bytes <= most:
        raise UserError(f"{source.path}: rows of {column.row_bytes} bytes, expected 1 to {most:,}")
    if column.shape[0:1] == (-1,) and len(column.shape) == 2 and column.shape[1] > 1:
        raise UserError(f"{source.path}: {column.shape[1]} columns without names, expected one")
    if len(column.shape) not in (1, 2):
        raise UserError(
            f"{source.path}: shape {column.shape}, expected (samples,) or (sequences, tokens)"
        )
