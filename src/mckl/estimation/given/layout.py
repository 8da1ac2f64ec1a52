"""Turns columns of every shape into flat ones: (sequences, tokens) arrays, lists, masks, nulls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Cells, Lists
from mckl.errors import UserError
from mckl.estimation.given.blocks import VALUES, RowError

# The columns whose ids may stand once for a list.
IDS = ("sequence", "cluster", "group")


class Layout:
    """Makes flat columns of pieces of any shape, and tells where a row of the latest came from.

    Attributes
    ----------
    origin
        For each column that was read from a file, the file and the rows before the latest piece.
    """

    def __init__(self) -> None:
        self.origin: dict[str, tuple[str, int]] = {}
        self._lengths: NDArray[np.int64] | None = None
        self._keep: NDArray[np.bool_] | None = None
        self._size = self._sequences = 0

    def flat(self, piece: Mapping[str, Cells]) -> dict[str, NDArray[Any]]:
        """The tokens that count, or the samples, of a piece: columns of one length.

        Without ids of sequences, each list is one. A `mask` decides which tokens count; of these,
        those that are missing in every column do not. Raises `UserError`, which names the row, for
        columns that do not fit together.
        """
        first = next(name for name in VALUES if name in piece)
        whole = piece[first]
        lengths = self._lengths = whole.lengths if isinstance(whole, Lists) else None
        flat = {name: self._fitted(name, cells, first) for name, cells in piece.items()}
        if lengths is not None and "sequence" not in flat:
            flat["sequence"] = np.repeat(np.arange(lengths.size) + self._sequences, lengths)
            self._sequences += lengths.size
        self._size, self._keep = flat[first].size, None
        if (mask := flat.pop("mask", None)) is not None:
            if "sequence" not in flat and self._size:
                raise UserError(
                    "mask: only with arrays of shape (sequences, tokens), lists, or sequence"
                )
            self._keep = _truth(mask)
        self._leave_out_missing(flat)
        kept = self._keep
        if kept is not None and not kept.all():
            flat = {name: column[kept] for name, column in flat.items()}
        for name, column in flat.items():
            if np.ma.is_masked(column):
                raise UserError(f"{name}: some values are masked, expected none: leave them out")
        return {name: np.asarray(column) for name, column in flat.items()}

    def _fitted(self, name: str, cells: Cells, first: str) -> NDArray[Any]:
        """A column with one value for each value of the column `first`."""
        lengths = self._lengths
        if isinstance(cells, Lists):
            if lengths is None:
                raise UserError(f"{name}: lists or rows of several values, and {first} has neither")
            differ = np.flatnonzero(cells.lengths != lengths)
            if differ.size:
                i = int(differ[0])
                why = f"has {cells.lengths[i]} values, expected {lengths[i]} as of {first}"
                raise self._refusal(name, i, None, why)
            return cells.values
        if lengths is None:
            return cells
        if name not in IDS:
            raise UserError(f"{name}: one value a row, expected as many as of {first}")
        return np.repeat(cells, lengths)

    def _leave_out_missing(self, flat: Mapping[str, NDArray[Any]]) -> None:
        columns = {name: flat[name] for name in VALUES if name in flat}
        if not any(map(np.ma.is_masked, columns.values())):
            return
        missing = {name: np.ma.getmaskarray(column) for name, column in columns.items()}
        empty = np.logical_or.reduce([*missing.values()])
        counts = np.ones(empty.size, bool) if self._keep is None else self._keep
        for where in missing.values():
            partly = np.flatnonzero((where != empty) & counts)
            if partly.size:
                row = int(partly[0])
                lacks = next(n for n, w in missing.items() if w[row])
                other = next(n for n, w in missing.items() if not w[row])
                why = f"is empty, and {other} has a value there"
                raise self._refusal(lacks, *self._place(row), why)
        self._keep = counts & ~empty

    def refusal(self, error: RowError, rows: slice | NDArray[Any]) -> UserError:
        """The error with the place where the row was given; `rows` are its part's in the piece."""
        kept = np.arange(self._size) if self._keep is None else np.flatnonzero(self._keep)
        return self._refusal(error.name, *self._place(int(kept[rows][error.row])), error.why)

    def _place(self, row: int) -> tuple[int, int | None]:
        """The given row, and the token in it if it has a list, of a row of the flat piece."""
        if self._lengths is None:
            return row, None
        ends = self._lengths.cumsum()
        i = int(np.searchsorted(ends, row, side="right"))
        return i, row - int(ends[i] - self._lengths[i])

    def _refusal(self, name: str, row: int, token: int | None, why: str) -> UserError:
        """Arrays are counted from 0, and the rows of files from 1."""
        path, before = self.origin.get(name, next(iter(self.origin.values()), ("", 0)))
        first = 1 if path else 0
        file = f"{path}: " if path else ""
        within = "" if token is None else f", {'token' if path else 'column'} {token + first}"
        row += before + first
        return UserError(f"{file}{name}: row {row}{within} {why} (rows count from {first})")


@contextlib.contextmanager
def explained(layout: Layout | None, rows: slice | NDArray[Any]) -> Iterator[None]:
    """Name the place of a `RowError` as the user counts; `rows` are its part's in the piece."""
    try:
        yield
    except RowError as error:
        if layout is None:
            raise
        raise layout.refusal(error, rows) from None


def _truth(mask: NDArray[Any]) -> NDArray[np.bool_]:
    if np.ma.is_masked(mask):
        raise UserError("mask: some values are masked, expected none: leave them out")
    given = np.asarray(mask)
    keep = given.astype(bool) if given.dtype.kind in "biuf" else np.zeros(given.size, bool)
    if given.dtype.kind not in "biuf" or not (given == keep).all():
        raise UserError("mask: expected True or False, or 1 or 0")
    return keep
