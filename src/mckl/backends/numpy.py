"""The NumPy backend: draws into one buffer that stays in cache and reduces it there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from mckl.gaussians import Vector
from mckl.points.base import Draw
from mckl.quantiles import chisquare_of_normal
from mckl.reduction import Form

# How many random numbers the kernel handles at a time: 64 KiB of them and their squares stay
# in a core's L2 cache, and products this small are never split over BLAS threads.
TILE = 8192


class Stream:
    """The random numbers of one replicate; an array is valid until the next draw."""

    def __init__(self, seed: np.random.SeedSequence) -> None:
        # Apart, so that the numbers do not depend on how many rows are asked for at a time.
        self._generator, self._chisquares = (
            np.random.Generator(np.random.SFC64(s)) for s in (seed, *seed.spawn(1))
        )
        self._buffer = np.empty(0)

    def normals(self, rows: int, columns: int) -> Vector:
        if self._buffer.size < rows * columns:
            self._buffer = np.empty(rows * columns)
        flat = self._buffer[: rows * columns]
        self._generator.standard_normal(out=flat)
        return flat.reshape(rows, columns)

    def chisquares(self, rows: int, dof: Vector) -> Vector:
        if dof.size == 1:  # one number of degrees of freedom: NumPy's fast path
            return self._chisquares.chisquare(dof[0], rows)[:, None]
        return self._chisquares.chisquare(dof, (rows, dof.size))

    def normal_quantiles(self, u: Vector) -> Vector:
        return np.asarray(ndtri(u))

    def chisquare_quantiles(self, u: Vector, dof: Vector) -> Vector:
        out = np.empty(u.shape)
        for j, k in enumerate(dof):
            out[:, j] = chisquare_of_normal(float(k))(ndtri(u[:, j]))
        return out


class Kernel:
    """Evaluates log density ratios with NumPy and one BLAS product a term."""

    def __init__(self, form: Form, signs: int, units: int | None = None) -> None:
        self._form = form
        # A multiple of 4 rows, in which OpenBLAS works, so that no row's bits depend on
        # how many rows are asked for at once.
        rows = TILE // form.numbers
        self._rows = max(rows - rows % 4, 1)
        self._constant = form.kl - float(form.square.sum()) - float((form.chi * form.dof).sum())
        self._signs = signs
        self._squares = np.empty(self._rows * form.square.size)

    def log_density_ratios(self, draws: Sequence[Draw], units: int) -> Vector:
        """The next `units` units of l, shape (points per unit, replicates, units).

        `draws` holds one `Draw` a replicate; for antithetic pairs the first axis has both signs.
        """
        out = np.empty((self._signs, len(draws), units))
        for replicate, draw in enumerate(draws):
            for start in range(0, units, self._rows):
                rows = min(self._rows, units - start)
                self._tile(*draw(rows), out[:, replicate, start : start + rows])
        return out

    def _tile(self, normals: Vector, chisquares: Vector, out: Vector) -> None:
        form = self._form
        linear = normals @ form.linear
        squares = self._squares[: normals.size].reshape(normals.shape)
        np.multiply(normals, normals, out=squares)
        even = squares @ form.square
        even += self._constant
        if form.chi.size:
            even += chisquares @ form.chi
        np.add(even, linear, out=out[0])
        if self._signs == 2:
            np.subtract(even, linear, out=out[1])
