"""From rows to independent units: a unit is a row, or the rows of one sequence.

A sum over the rows of a sequence is named as estimators by factor name it (``factor_k3``): the
tokens of a sequence are its factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.given.blocks import Block
from mckl.estimation.given.ids import Ids
from mckl.estimation.values.integrands import Integrands

# By name: what one unit has. `ell` is there always, all sums over rows with sequences alone.
Units = Mapping[str, Vector]
_AT_ONCE = 4096  # sequences that are handed on together


def units(blocks: Iterable[Block], sequences: bool) -> Iterator[Units]:
    """The units of blocks, many at a time."""
    if not sequences:
        for block in blocks:
            out = {"ell": block.ell}
            if block.log_weight is not None:
                out["log_weight"] = block.log_weight
            yield out
        return
    made, held, count = Sequences(), [], 0
    for block in blocks:
        done = made.add(block)
        held.append(done)
        count += done["ell"].size
        if count >= _AT_ONCE:
            yield _joined(held)
            held, count = [], 0
    if (last := made.finish()) is not None:
        held.append(last)
    if held:
        yield _joined(held)


def _joined(parts: Sequence[Units]) -> Units:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Sequences:
    """The rows with one id, which stand together, are a unit."""

    def __init__(self) -> None:
        self._ids = Ids()
        self._open: Any = None
        self._sums: dict[str, Vector] = {}

    def add(self, block: Block) -> Units:
        """The sequences that a block completes: all but the one that it ends in."""
        ids = np.asarray(block.sequence)
        starts = np.concatenate(([0], 1 + np.flatnonzero(ids[1:] != ids[:-1])))
        sums = _sums(block, starts)
        if self._sums and ids[0] == self._open:
            for name, values in sums.items():
                values[0] += self._sums[name][0]
            self._ids.add(ids[starts[1:]])
        else:
            self._ids.add(ids[starts])
            if self._sums:
                sums = {name: np.append(self._sums[name], values) for name, values in sums.items()}
        self._open = ids[-1]
        self._sums = {name: values[-1:] for name, values in sums.items()}
        return {name: values[:-1] for name, values in sums.items()}

    def finish(self) -> Units | None:
        """The last sequence."""
        return self._sums or None


def _sums(block: Block, starts: np.ndarray) -> dict[str, Vector]:
    tokens = Integrands(block.ell)
    rows = {
        "ell": tokens.ell,
        "factor_half_square": tokens.half_square,
        "factor_ratio": tokens.ratio,
        "factor_k3": tokens.k3,
    }
    if block.log_weight is not None:
        rows["log_weight"] = block.log_weight
    if block.full_kl is not None:
        rows["factor_rb"] = block.full_kl
    out = {name: np.add.reduceat(values, starts) for name, values in rows.items()}
    out["length"] = np.diff(starts, append=block.ell.size).astype(np.float64)
    return out
