"""The NumPy backend: draws into one buffer that stays in cache and reduces it there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from mckl.draw.points.base import Draw
from mckl.draw.quantiles import chisquare_of_normal
from mckl.draw.reduction import Form
from mckl.families.normal import Vector

# How many random numbers the kernel handles at a time: 256 KiB of them stay in a core's L2
# cache, and products this small are never split over BLAS threads.
TILE = 32768


class Stream:
    """The random numbers of one replicate; an array is the caller's until the next draw."""

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
        if not dof.size:
            return np.empty((rows, 0))
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


class Sums:
    """Weighted sums over the numbers of a sample, one a form.

    Forms whose weights are all alike, as in a sweep, share the plain sum.
    """

    def __init__(self, weights: Sequence[Vector]) -> None:
        alike = [w.size > 0 and bool((w == w[0]).all()) for w in weights]
        self._factor = [float(w[0]) if one else 1.0 for w, one in zip(weights, alike, strict=True)]
        patterns = [np.ones(w.size) if one else w for w, one in zip(weights, alike, strict=True)]
        keys = [-1 if one else i for i, one in enumerate(alike)]
        self._patterns = dict(zip(keys, patterns, strict=True))
        self._keys = keys
        self._sums: dict[int, Vector] = {}

    def resize(self, shape: tuple[int, ...]) -> None:
        """Make room for sums of shape (replicates, units)."""
        self._sums = {key: np.empty(shape) for key in self._patterns}

    def add(self, numbers: Vector, replicate: int, start: int, stop: int) -> None:
        """Take in the numbers, shape (rows, numbers), of units start to stop."""
        for key, pattern in self._patterns.items():
            np.matmul(numbers, pattern, out=self._sums[key][replicate, start:stop])

    def of(self, form: int) -> Vector:
        """The sums of a form, shape (replicates, units)."""
        return self._factor[form] * self._sums[self._keys[form]]


class Kernel:
    """Evaluates log density ratios with NumPy: BLAS products tile by tile, the rest at once."""

    def __init__(self, forms: Sequence[Form], signs: int, units: int | None = None) -> None:
        self._constants = [
            f.kl - float(f.square.sum()) - float((f.chi * f.dof).sum()) for f in forms
        ]
        self._linear = Sums([f.linear for f in forms])
        self._square = Sums([f.square for f in forms])
        self._chi = Sums([f.chi for f in forms]) if forms[0].chi.size else None
        # A multiple of 4 rows, in which OpenBLAS works, so that no row's bits depend on
        # how many rows are asked for at once.
        rows = TILE // forms[0].numbers
        self._rows = max(rows - rows % 4, 1)
        self._out = np.empty((signs, len(forms), 0, 0))

    def log_density_ratios(self, draws: Sequence[Draw], units: int) -> Vector:
        """The next `units` units of l, shape (points per unit, forms, replicates, units).

        `draws` holds one `Draw` a replicate; for antithetic pairs the first axis has both signs.
        """
        shape = (len(draws), units)
        if self._out.shape[2:] != shape:
            self._out = np.empty((*self._out.shape[:2], *shape))
            for sums in filter(None, (self._linear, self._square, self._chi)):
                sums.resize(shape)
        for replicate, draw in enumerate(draws):
            for start in range(0, units, self._rows):
                stop = min(start + self._rows, units)
                normals, chisquares = draw(stop - start)
                self._linear.add(normals, replicate, start, stop)
                np.multiply(normals, normals, out=normals)
                self._square.add(normals, replicate, start, stop)
                if self._chi is not None:
                    self._chi.add(chisquares, replicate, start, stop)
        for i, constant in enumerate(self._constants):
            even = self._square.of(i)
            even += constant
            if self._chi is not None:
                even += self._chi.of(i)
            odd = self._linear.of(i)
            np.add(even, odd, out=self._out[0, i])
            if len(self._out) == 2:
                np.subtract(even, odd, out=self._out[1, i])
        return self._out
