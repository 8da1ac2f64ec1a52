"""Turns rows into independent units: a unit is one row, or all the rows of one sequence.

The tokens of a sequence are its factors, so sums over the rows of a sequence have the names that
estimators by factor use, such as ``factor_k3``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from mckl.arrays import Vector
from mckl.errors import UserError
from mckl.estimation.given.blocks import Block
from mckl.estimation.given.ids import Ids
from mckl.estimation.values.integrands import Integrands
from mckl.exact.factor_sums import SUMS

# The values of units, by name. `ell` is always there; sums over rows are there with sequences, and
# `cluster`, the id of each unit's cluster, if clusters are given.
Units = Mapping[str, Vector]
_OF_SAMPLERS = ("log_weight", "log_sampled")
_AT_ONCE = 4096  # the least number of sequences that are passed on together


class UnitStream:
    """Makes units of blocks that come one by one, and passes on many at a time."""

    def __init__(self, sequences: bool) -> None:
        self._made = Sequences() if sequences else None
        self._held: list[Units] = []
        self._count = 0

    def add(self, block: Block) -> Iterator[Units]:
        """The units that are complete and have not been passed on."""
        if self._made is None:
            more = {name: getattr(block, name) for name in (*_OF_SAMPLERS, "cluster")}
            yield {"ell": block.ell} | {n: v for n, v in more.items() if v is not None}
            return
        done = self._made.add(block)
        self._held.append(done)
        self._count += done["ell"].size
        if self._count >= _AT_ONCE:
            yield joined_units(self._held)
            self._held, self._count = [], 0

    def finish(self) -> Iterator[Units]:
        """The units that are left after the last block."""
        if self._made is not None and (last := self._made.finish()) is not None:
            yield joined_units([*self._held, last])


def joined_units(parts: Sequence[Units]) -> Units:
    """The units of all parts."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Sequences:
    """Collects the consecutive rows that have the same id, each sequence as one unit."""

    def __init__(self) -> None:
        self._ids = Ids()
        self._open: Any = None
        self._sums: dict[str, Vector] = {}

    def add(self, block: Block) -> Units:
        """The sequences that end within the block; the last one may go on in the next block."""
        ids = np.asarray(block.sequence)
        starts = np.concatenate(([0], 1 + np.flatnonzero(ids[1:] != ids[:-1])))
        sums = _sums(block, starts)
        if self._sums and ids[0] == self._open:
            for name, values in sums.items():
                if name != "cluster":
                    values[0] += self._sums[name][0]
                elif values[0] != self._sums[name][0]:
                    _cut_through(ids[0])
            self._ids.add(ids[starts[1:]])
        else:
            self._ids.add(ids[starts])
            if self._sums:
                sums = {name: np.append(self._sums[name], values) for name, values in sums.items()}
        self._open = ids[-1]
        self._sums = {name: values[-1:] for name, values in sums.items()}
        return {name: values[:-1] for name, values in sums.items()}

    def finish(self) -> Units | None:
        """The last sequence; None if there were no rows."""
        return self._sums or None


def _sums(block: Block, starts: np.ndarray) -> dict[str, Vector]:
    tokens = Integrands(block.ell)
    rows = {"ell": tokens.ell} | {f"factor_{name}": getattr(tokens, name) for name in SUMS}
    rows |= {n: v for n in _OF_SAMPLERS if (v := getattr(block, n)) is not None}
    if block.full_kl is not None:
        rows["factor_rb"] = block.full_kl
        rows["factor_rb_fit"] = block.full_kl * (block.full_kl - tokens.k3)
    out = {name: np.add.reduceat(values, starts) for name, values in rows.items()}
    if block.cluster is not None:
        cuts = block.cluster[1:] != block.cluster[:-1]
        cuts[starts[1:] - 1] = False
        if cuts.any():
            _cut_through(block.sequence[int(np.argmax(cuts))])
        out["cluster"] = block.cluster[starts]
    # Of a sequence in two blocks these two add up, which is an upper bound.
    out["largest_ratio"] = np.maximum.reduceat(tokens.ratio, starts)
    out["length"] = np.diff(starts, append=block.ell.size).astype(np.float64)
    return out


def _cut_through(sequence: Any) -> NoReturn:
    raise UserError(
        f"cluster: sequence {sequence} has tokens in two clusters, expected whole sequences"
    )
