"""Remembers the ids of sequences, so that an id that returns later is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.errors import UserError

# The most ids that are remembered. If they have only risen, later ids are only checked to rise.
_REMEMBERED = 2**20


class Ids:
    """The ids of all sequences so far, 8 bytes each; no more memory for numbers that only rise.

    They are kept in sorted arrays, each more than twice as long as the next.
    """

    def __init__(self) -> None:
        self._sorted: list[NDArray[np.int64]] = []
        self._count = 0
        self._highest: int | None = None
        self._rises = True

    def add(self, ids: NDArray[Any]) -> None:
        """Add the ids of the sequences that begin in a block, in their order.

        Raises `UserError` for an id that was added before.
        """
        if not ids.size:
            return
        keys = _keys(ids)
        self._rises &= bool((keys[1:] > keys[:-1]).all()) and (
            self._highest is None or keys[0] > self._highest
        )
        if self._rises:
            self._highest = int(keys[-1])
        elif self._count > _REMEMBERED and not self._sorted:
            fall = int(np.argmax(keys <= np.append(self._highest or 0, keys[:-1])))
            raise UserError(
                f"sequence: id {ids[fall]} comes after higher ones, though the ids of "
                f"{self._count:,} sequences rose, so it may have come before (sort the rows by id)"
            )
        if not self._rises:
            self._refuse_returning(ids, keys)
        self._count += keys.size
        if self._rises and self._count > _REMEMBERED:
            self._sorted = []
        else:
            self._insert(np.sort(keys))

    def _refuse_returning(self, ids: NDArray[Any], keys: NDArray[np.int64]) -> None:
        returns = np.ones(keys.size, bool)
        returns[np.unique(keys, return_index=True)[1]] = False
        for known in self._sorted:
            place = np.searchsorted(known, keys)
            returns |= known[np.minimum(place, known.size - 1)] == keys
        if returns.any():
            raise UserError(
                f"sequence: id {ids[int(np.argmax(returns))]} returns after another one: the rows "
                "of a sequence must follow each other (sort the rows by id)"
            )

    def _insert(self, keys: NDArray[np.int64]) -> None:
        while self._sorted and self._sorted[-1].size <= 2 * keys.size:
            keys = np.concatenate((self._sorted.pop(), keys))
            keys.sort(kind="stable")  # merges runs that are sorted already
        self._sorted.append(keys)


def _keys(ids: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers that represent the ids: whole numbers themselves, hashes of anything else."""
    if ids.dtype.kind in "iu" and ids.dtype != np.uint64:
        return ids.astype(np.int64)
    try:
        return np.fromiter(map(hash, ids.tolist()), np.int64, ids.size)
    except TypeError:
        raise UserError("sequence: an id is a list or a mapping, not a number or a text") from None
