"""The NumPy backend. It draws tiles of numbers that stay in cache, and sums them up there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from mckl.arrays import Vector
from mckl.draw.backends import Following, Replicates
from mckl.draw.form import Form
from mckl.draw.points.base import Draw, PointSet
from mckl.draw.streams import Stream

# How many random numbers the kernel handles at a time. They take 256 KiB, which stay in a core's
# L2 cache, and BLAS never splits products of this size over threads.
TILE = 32768


class NumpyKernel:
    """Evaluates l and sums over factors, tile by tile. All replicates share its memory."""

    def __init__(self, forms: Sequence[Form], signs: int, names: Sequence[str] = ()) -> None:
        self._evaluator = forms[0].evaluator(forms, signs, names)
        # A multiple of 4 rows, as OpenBLAS works on 4 rows at a time. So no row's bits depend on
        # how many rows are asked for at once.
        rows = TILE // forms[0].numbers
        self._rows = max(rows - rows % 4, 1)
        self._out = np.empty((1 + len(names), signs, len(forms), 0, 0))

    @np.errstate(all="ignore")
    def evaluate(self, draws: Sequence[Draw], units: int) -> Vector:
        """l and the sums at the next `units` units, for one `Draw` of each replicate.

        They are not finite where a density at a drawn point leaves float64, without a warning.
        """
        shape = (len(draws), units)
        if self._out.shape[3:] != shape:
            self._out = np.empty((*self._out.shape[:3], *shape))
            self._evaluator.resize(*shape)
        for replicate, draw in enumerate(draws):
            for start in range(0, units, self._rows):
                stop = min(start + self._rows, units)
                self._evaluator.add(draw(stop - start), replicate, start, stop)
        self._evaluator.finish(self._out)
        return self._out


def sums(
    forms: Sequence[Form], points: PointSet, names: Sequence[str] = (), units: int | None = None
) -> Replicates:
    """The NumPy backend (`mckl.draw.backends.Sums`)."""
    kernel = NumpyKernel(forms, points.points, names)

    def replicates(keys: Sequence[np.random.SeedSequence]) -> Following:
        draws = [points.start(Stream(key), forms[0], key) for key in keys]
        evaluate = partial(kernel.evaluate, draws)
        return evaluate if forms[0].block == 1 else _whole_blocks(evaluate, forms[0].block)

    return replicates


def _whole_blocks(evaluate: Following, block: int) -> Following:
    """As `evaluate`, which is only asked for multiples of `block`; the units left are kept."""
    left: Vector | None = None

    def following(units: int) -> Vector:
        nonlocal left
        lacking = units - (0 if left is None else left.shape[-1])
        if lacking > 0:
            new = evaluate(-(-lacking // block) * block)
            left = new if left is None else np.concatenate((left, new), axis=-1)
        assert left is not None
        out, left = left[..., :units], left[..., units:].copy()
        return out

    return following
