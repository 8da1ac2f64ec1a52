"""Random streams with keys: the numbers depend on the key alone, not on when they are drawn.

The generator is SFC64. It is the fastest of NumPy's at drawing normals, has 256 bits of state, and
no known statistical failure. Streams are independent because each is seeded with a digest of its
key through `SeedSequence`, which pools 128 bits.
"""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.quantiles import chisquare_of_normal


def seed_sequence(seed: int, *key: str | int) -> np.random.SeedSequence:
    """The seed of the stream with this key, such as (what is drawn, backend, replicate)."""
    text = "\x1f".join(str(part) for part in (seed, *key))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest, "little"))


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """The generator of the stream with this key."""
    return np.random.Generator(np.random.SFC64(seed_sequence(seed, *key)))


class Drawn(Protocol):
    """A law whose samples a stream can draw."""

    @property
    def kind(self) -> str:
        """A text that says what is drawn: it names the law's own generator."""

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> NDArray[Any]:
        """Independent samples, of shape `shape`."""


class Quantiles(Protocol):
    """A law with a quantile function."""

    def quantile(self, u: Vector) -> Vector:
        """The quantiles of u."""


class Stream:
    """The random numbers of one replicate, in shape (rows, columns).

    An array may be used until the next draw.
    """

    def __init__(self, seed: np.random.SeedSequence) -> None:
        # Separate generators, so that numbers do not depend on how many rows are drawn at a time.
        self._generator, self._chisquares = (
            np.random.Generator(np.random.SFC64(s)) for s in (seed, *seed.spawn(1))
        )
        self._seed = seed
        self._generators: dict[str, np.random.Generator] = {}
        self._buffer = np.empty(0)

    def normals(self, rows: int, columns: int) -> Vector:
        """Independent standard normals."""
        if self._buffer.size < rows * columns:
            self._buffer = np.empty(rows * columns)
        flat = self._buffer[: rows * columns]
        self._generator.standard_normal(out=flat)
        return flat.reshape(rows, columns)

    def chisquares(self, rows: int, dof: Vector) -> Vector:
        """Independent chi-squares, one column for each number of degrees of freedom in `dof`."""
        if not dof.size:
            return np.empty((rows, 0))
        if dof.size == 1:  # NumPy is faster with a scalar
            return self._chisquares.chisquare(dof[0], rows)[:, None]
        return self._chisquares.chisquare(dof, (rows, dof.size))

    def normal_quantiles(self, u: Vector) -> Vector:
        """The standard normal quantiles of u."""
        return np.asarray(scipy.special.ndtri(u))

    def chisquare_quantiles(self, u: Vector, dof: Vector) -> Vector:
        """The chi-square quantiles of u, one column for each number of degrees of freedom."""
        out = np.empty(u.shape)
        for j, k in enumerate(dof):
            out[:, j] = chisquare_of_normal(float(k))(scipy.special.ndtri(u[:, j]))
        return out

    def generator(self, kind: str) -> np.random.Generator:
        """The generator of the samples of one kind of law."""
        # One generator for each kind of law, for the same reason.
        if kind not in self._generators:
            (own,) = self._seed.spawn(1)
            self._generators[kind] = np.random.Generator(np.random.SFC64(own))
        return self._generators[kind]

    def sample(self, law: Drawn, rows: int, columns: int) -> NDArray[Any]:
        """Independent samples of a law."""
        return law.draw(self.generator(law.kind), (rows, columns))

    def quantiles(self, law: Quantiles, u: Vector) -> Vector:
        """The quantiles of u under a one-dimensional law."""
        return law.quantile(u)
