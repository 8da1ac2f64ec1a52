"""The NumPy backend. It draws tiles of numbers that stay in cache, and sums them up there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from mckl.arrays import Vector
from mckl.draw.form import Form
from mckl.draw.points.base import Draw
from mckl.draw.quantiles import chisquare_of_normal

# How many random numbers the kernel handles at a time. They take 256 KiB, which stay in a core's
# L2 cache, and BLAS never splits products of this size over threads.
TILE = 32768


class NumpyStream:
    """The random numbers of one replicate. An array may be used until the next draw."""

    def __init__(self, seed: np.random.SeedSequence) -> None:
        # Separate generators, so that numbers do not depend on how many rows are drawn at a time.
        self._generator, self._chisquares = (
            np.random.Generator(np.random.SFC64(s)) for s in (seed, *seed.spawn(1))
        )
        self._seed = seed
        self._generators: dict[str, np.random.Generator] = {}
        self._buffer = np.empty(0)

    def normals(self, rows: int, columns: int) -> Vector:
        if self._buffer.size < rows * columns:
            self._buffer = np.empty(rows * columns)
        flat = self._buffer[: rows * columns]
        self._generator.standard_normal(out=flat)
        return flat.reshape(rows, columns)

    def chisquares(self, rows: int, dof: Vector) -> Vector:
        if not dof.size:
            return np.empty((rows, 0))
        if dof.size == 1:  # NumPy is faster with a scalar
            return self._chisquares.chisquare(dof[0], rows)[:, None]
        return self._chisquares.chisquare(dof, (rows, dof.size))

    def normal_quantiles(self, u: Vector) -> Vector:
        return np.asarray(ndtri(u))

    def chisquare_quantiles(self, u: Vector, dof: Vector) -> Vector:
        out = np.empty(u.shape)
        for j, k in enumerate(dof):
            out[:, j] = chisquare_of_normal(float(k))(ndtri(u[:, j]))
        return out

    def generator(self, kind: str) -> np.random.Generator:
        # One generator for each kind of law, for the same reason.
        if kind not in self._generators:
            (own,) = self._seed.spawn(1)
            self._generators[kind] = np.random.Generator(np.random.SFC64(own))
        return self._generators[kind]

    def sample(self, law: Any, rows: int, columns: int) -> Vector:
        return np.asarray(law.draw(self.generator(law.kind), (rows, columns)))

    def quantiles(self, law: Any, u: Vector) -> Vector:
        return np.asarray(law.quantile(u))


class NumpyKernel:
    """Evaluates log density ratios with NumPy, tile by tile."""

    def __init__(
        self,
        forms: Sequence[Form],
        signs: int,
        units: int | None = None,
        sums: Sequence[str] = (),
    ) -> None:
        self._evaluator = forms[0].evaluator(forms, signs, sums)
        # A multiple of 4 rows, as OpenBLAS works on 4 rows at a time. So no row's bits depend on
        # how many rows are asked for at once.
        rows = TILE // forms[0].numbers
        self._rows = max(rows - rows % 4, 1)
        self._out = np.empty((1 + len(sums), signs, len(forms), 0, 0))
        self._block = forms[0].block
        self.restart()

    def restart(self) -> None:
        """Forget the units that are left, so that the next call may bring other draws."""
        self._left = self._out[..., :0]

    def evaluate(self, draws: Sequence[Draw], units: int) -> Vector:
        """l and the sums at the next `units` units, for one `Draw` of each replicate.

        Shape (1 + sums, points per unit, forms, replicates, units). For antithetic pairs the second
        axis has the sample and its mirror image.
        """
        if self._block == 1:
            return self._evaluate(draws, units)
        lacking = units - self._left.shape[-1]
        if lacking > 0:
            new = self._evaluate(draws, -(-lacking // self._block) * self._block)
            whole = self._left.shape[-1] > 0
            self._left = np.concatenate((self._left, new), axis=-1) if whole else new
        out, self._left = self._left[..., :units], self._left[..., units:].copy()
        return out

    def _evaluate(self, draws: Sequence[Draw], units: int) -> Vector:
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


STREAM, KERNEL = NumpyStream, NumpyKernel
