"""Draws sequences of tokens, and sums over their tokens while they are drawn.

All sequences of all replicates take each step together. A token takes one uniform number, two
look-ups in an alias table and one look-up of what it adds to every sum. The latter is a row of a
table that is indexed by the drawn cell of the alias table and by which of its two tokens was drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.alias import Alias, alias_tables
from mckl.draw.form import Form, Numbers
from mckl.draw.streams import Stream
from mckl.exact.moments import Function
from mckl.families.policy.law import Transitions

# Sequences of one replicate that are drawn together. Their random numbers depend on it.
_BLOCK, _BLOCK_TOKENS, _LEAST_BLOCK = 1024, 2**20, 64
# Tokens of a sequence whose shares are looked up and summed at a time. Last bits depend on it.
_STEPS = 8
_WIDTHS = (4, 2, 1)  # sizes of rows that NumPy copies at once


class PolicyForm(Form):
    """How a sequence of tokens is drawn from q."""

    transitions: Transitions
    stop: int | None

    def __init__(self, transitions: Transitions, tokens: int, stop: int | None) -> None:
        self.transitions, self.stop = transitions, stop
        self.numbers = tokens
        digest = hashlib.sha256(transitions.q.tobytes() + transitions.start.tobytes())
        end = "" if stop is None else f" to {stop}"
        self.shape: str = f"{tokens} tokens{end} of policy {digest.hexdigest()}"
        self.block: int = max(min(_BLOCK, _BLOCK_TOKENS // tokens), _LEAST_BLOCK)

    def draw(self, stream: Stream, rows: int) -> np.random.Generator:
        """The generator of the stream: the evaluator draws from it, token by token."""
        return stream.generator(self.shape)

    def evaluator(
        self, forms: Sequence[PolicyForm], signs: int, sums: Sequence[str] = ()
    ) -> SequenceEvaluator:
        return SequenceEvaluator(forms, ("ell", *sums))

    @cached_property
    def cells(self) -> AliasCells:
        """The alias tables of the next token."""
        return AliasCells(self.transitions)


class AliasCells:
    """Alias tables of the next token: token x has the S cells x S + i, each equally likely.

    threshold  For each cell, the number in [i, i + 1) below which its own token is drawn, else the
               other.
    token      The two tokens of each cell: its own at index 2 cell, the other at 2 cell + 1.
    """

    def __init__(self, transitions: Transitions) -> None:
        states = len(transitions.q)
        own = np.tile(np.arange(states), (states, 1))
        alias = alias_tables(transitions.q)
        self.threshold: Vector = (own + alias.fraction).ravel()
        self.token: NDArray[np.int64] = np.stack((own, alias.other), axis=-1).ravel()
        self.first: Alias = alias_tables(transitions.start[None])

    def of_table(self, table: Vector) -> Vector:
        """A table g(previous, next), rearranged to the indices of `token`."""
        states = len(table)
        return np.take_along_axis(table, self.token.reshape(states, -1), axis=1).ravel()


class SequenceEvaluator:
    """Draws sequences from one q, and computes the named sums over tokens for several forms."""

    def __init__(self, forms: Sequence[PolicyForm], names: Sequence[str]) -> None:
        self._form, cells = forms[0], forms[0].cells
        self._states = len(cells.first.fraction[0])
        self._threshold, self._next = cells.threshold, cells.token * self._states
        self._names, self._forms = len(names), len(forms)
        columns = [
            cells.of_table(form.transitions.table(Function(name)).values.value)
            for name in names
            for form in forms
        ]
        self._tables, done = [], 0
        for width in _WIDTHS:
            while len(columns) - done >= width:
                self._tables.append(np.stack(columns[done : done + width], axis=1))
                done += width
        self._generators: list[np.random.Generator | None] = []
        self._units = 0

    def resize(self, replicates: int, units: int) -> None:
        self._generators, self._units = [None] * replicates, units

    def add(self, draw: Numbers, replicate: int, start: int, stop: int) -> None:
        assert isinstance(draw, np.random.Generator)
        self._generators[replicate] = draw

    def finish(self, out: Vector) -> None:
        block, R = self._form.block, len(self._generators)
        shape = (self._names, self._forms, R)
        for start in range(0, self._units, block):
            rows = min(block, self._units - start)
            sums = np.concatenate(self._block(rows), axis=-1)
            out[:, 0, ..., start : start + rows] = np.moveaxis(sums, -1, 0).reshape(*shape, rows)

    def _block(self, rows: int) -> list[Vector]:
        """The sums of the next `rows` sequences: arrays of shape (replicates, rows, width)."""
        live = np.arange(len(self._generators))
        x = np.stack([self._first(int(r), rows) for r in live])
        total = [np.zeros((*x.shape, table.shape[1])) for table in self._tables]
        left, end = self._form.numbers, self._form.stop
        while left and live.size:
            steps = min(left, _STEPS)
            left -= steps
            drawn = self._steps(live, x, steps)
            for k, table in enumerate(self._tables):
                shares = table.take(drawn, axis=0, mode="clip").sum(axis=0)
                if live.size == len(total[k]):
                    total[k] += shares
                else:
                    total[k][live] += shares
            if end is not None:
                # A replicate stops drawing once all its sequences have ended.
                going = (x != end * self._states).any(axis=1)
                live, x = live[going], x[going]
        return total

    def _first(self, replicate: int, rows: int) -> NDArray[np.intp]:
        (fraction,), (other,) = self._form.cells.first
        u = self._random(replicate, rows) * self._states
        cell = u.astype(np.intp)
        return np.where(u - cell < fraction[cell], cell, other[cell]) * self._states

    def _random(self, replicate: int, *shape: int) -> Vector:
        generator = self._generators[replicate]
        assert generator is not None
        return generator.random(shape)

    def _steps(self, live: NDArray[np.intp], x: NDArray[np.intp], steps: int) -> NDArray[np.intp]:
        """Draw the next tokens of all sequences; x has the first cell of each state.

        x is overwritten with the new states. Returns the indices of the drawn tokens in
        `AliasCells.token`, shape (steps, replicates, rows).
        """
        u = np.stack([self._random(int(r), steps, x.shape[1]) for r in live], axis=1)
        u *= self._states
        place = u.astype(np.intp)
        threshold, above = np.empty(x.shape), np.empty(x.shape, dtype=bool)
        for number, cell in zip(u, place, strict=True):
            cell += x
            self._threshold.take(cell, out=threshold, mode="clip")
            np.greater_equal(number, threshold, out=above)
            cell += cell
            cell += above
            self._next.take(cell, out=x, mode="clip")
        return place
