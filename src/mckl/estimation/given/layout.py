"""Turns columns of every shape into flat ones: (sequences, tokens) arrays, lists, masks, nulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Cells, Lists
from mckl.errors import UserError
from mckl.estimation.given.blocks import RowError

# The columns with a value for each row or token, and those whose ids may stand once for a list.
VALUES = ("log_q", "log_p", "log_ratio", "log_sampler", "full_kl")
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
        self._names: Sequence[str] = ()
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
        self._names, self._size, self._keep = [*piece], flat[first].size, None
        if (mask := flat.pop("mask", None)) is not None:
            if "sequence" not in flat:
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
                raise UserError(
                    f"{name}: {self._row(name, i)} has {cells.lengths[i]} values, expected "
                    f"{lengths[i]} as of {first}{self._count(name)}"
                )
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
        for name, where in missing.items():
            partly = np.flatnonzero((where != empty) & counts)
            if partly.size:
                row = int(partly[0])
                lacks = next(n for n, w in missing.items() if w[row])
                other = next(n for n, w in missing.items() if not w[row])
                raise UserError(
                    f"{lacks}: {self._place(lacks, row)} is empty, and {other} has a value there"
                    f"{self._count(lacks)}"
                )
        self._keep = counts & ~empty

    def explained(self, error: RowError, rows: slice | NDArray[Any]) -> UserError:
        """The error with the place where the row was given; `rows` are its part's in the piece."""
        name = "log_q" if error.name not in self._names else error.name
        kept = np.arange(self._size) if self._keep is None else np.flatnonzero(self._keep)
        place = self._place(name, int(kept[rows][error.row]))
        return UserError(f"{error.name}: {place} {error.why}{self._count(name)}")

    def _place(self, name: str, row: int) -> str:
        if self._lengths is None:
            return self._row(name, row)
        ends = self._lengths.cumsum()
        i = int(np.searchsorted(ends, row, side="right"))
        token = row - int(ends[i] - self._lengths[i])
        if name in self.origin:
            return f"{self._row(name, i)}, token {token + 1}"
        return f"{self._row(name, i)}, column {token}"

    def _row(self, name: str, row: int) -> str:
        if name not in self.origin:
            return f"row {row}"
        path, before = self.origin[name]
        return f"row {before + row + 1} of {path}"

    def _count(self, name: str) -> str:
        return f" (rows count from {int(name in self.origin)})"


def _truth(mask: NDArray[Any]) -> NDArray[np.bool_]:
    if np.ma.is_masked(mask):
        raise UserError("mask: some values are masked, expected none: leave them out")
    given = np.asarray(mask)
    keep = given.astype(bool) if given.dtype.kind in "biuf" else np.zeros(given.size, bool)
    if given.dtype.kind not in "biuf" or not (given == keep).all():
        raise UserError("mask: expected True or False, or 1 or 0")
    return keep
