"""Sums over the coordinates of a quadratic form of functions of l_i = c + a g^2 + b g.

The way in which a coordinate is evaluated depends only on its coefficients, never on the draws, so
that the sums of a sample have the same bits whichever samples are evaluated together with it. If no
likely g makes l_i large, r_i - 1 and -l_i agree in many digits, and r_i - 1 + l_i is summed by its
series. If l_i is of a middle size, r_i - 1 is computed as expm1(-l_i), which keeps its digits.
Elsewhere it is e^-l_i less 1, which is faster. If all coordinates are alike, as in a sweep, l_i is
needed for nothing else: the sum of l_i is l, and that of its square follows from the power sums of
g, which all forms share.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.exact.remainders import LARGEST_OF_TAYLOR_SERIES, phi_over_x

_FAR = 9.0  # a standard normal is farther out with a probability of 2e-19
_MIDDLE = 0.25  # the root of E l_i^2 up to which r_i - 1 is expm1(-l_i)
_LARGE = 300.0  # the |l_i| above which c is added before the exponential, lest that overflows
_NUMBERS = 2**15  # the l_i that are evaluated at a time, so that they stay in cache

# The index of the sign of g (1 for the mirror image), and that of the form.
_Cell = tuple[int, int]


class _Part(NamedTuple):
    """Coordinates of a cell that are evaluated in one way.

    kind     ``small`` and ``middle`` as the module says; ``large`` elsewhere, and ``far`` if c is
             added before the exponential
    columns  the indices of the coordinates; None for all
    size     the number of coordinates
    a, b, c  the coefficients, of shape (1,) if they are all alike, else (coordinates,)
    """

    cell: _Cell
    kind: str
    columns: NDArray[np.intp] | None
    size: int
    a: Vector
    b: Vector
    c: Vector

    @property
    def alike(self) -> bool:
        """Whether these are all coordinates of the form, and the same."""
        return self.columns is None and self.a.size == self.b.size == self.c.size == 1

    @property
    def way(self) -> tuple[str | bool | int, ...]:
        """A key that is the same for parts that are evaluated together."""
        which = (-1, -1) if self.alike else self.cell
        return (self.kind, bool(self.a.any()), bool(self.b.any()), *which)


def _parts(cell: _Cell, a: Vector, b: Vector, c: Vector) -> Iterator[_Part]:
    """The parts of a cell, without coordinates in which q and p agree (where l_i is 0)."""
    reach = _FAR**2 * np.abs(a) + _FAR * np.abs(b) + np.abs(c)
    small = reach <= LARGEST_OF_TAYLOR_SERIES
    middle = ~small & ((a + c) ** 2 + 2.0 * a * a + b * b <= _MIDDLE**2)
    far = reach > _LARGE
    large = ~(small | middle | far)
    kinds = {"small": small & (reach > 0.0), "middle": middle, "large": large, "far": far}
    for kind, where in kinds.items():
        if where.any():
            columns = None if where.all() else np.flatnonzero(where)
            coefficients = (_alike(v[where]) for v in (a, b, c))
            yield _Part(cell, kind, columns, int(where.sum()), *coefficients)


def _alike(v: Vector) -> Vector:
    return v[:1] if (v == v[0]).all() else v


class _Stack:
    """Parts that are evaluated together: a single one, or alike ones of several cells."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        _, self.kind, self.columns, size, *_ = parts[0]
        self.alike, self.parts = parts[0].alike, len(parts)
        # The coefficients of -l_i, of shape (parts, 1, coordinates or 1).
        self._a = -np.stack([part.a for part in parts])[:, None]
        self._b = -np.stack([part.b for part in parts])[:, None]
        self._c = -np.stack([part.c for part in parts])[:, None]
        self._has_a, self._has_b = bool(self._a.any()), bool(self._b.any())
        weight = np.exp(self._c[:, 0]) if self.kind == "large" else 1.0
        self._weight = weight * np.ones((len(parts), size))

    def _without_c(self, g: Vector, some: slice, room: Vector) -> Vector:
        """Each -l_i + c of some parts, shape (parts, rows, coordinates), written into `room`."""
        a, b = self._a[some], self._b[some]
        out = room[: len(a) * g.size].reshape(-1, *g.shape)
        if not self._has_a:
            return np.multiply(g, b, out=out)
        np.multiply(g, a, out=out)
        if self._has_b:
            out += b
        out *= g
        return out

    def minus_ell(self, g: Vector, some: slice, room: Vector) -> Vector:
        """Each -l_i of some parts, written into `room`."""
        out = self._without_c(g, some, room)
        out += self._c[some]
        return out

    def remainder(self, g: Vector, some: slice, room: Vector, out: Vector) -> None:
        """Write the sums that take an exponential to `out`, shape (some of the parts, rows).

        They are sums of r_i - 1 + l_i for small l_i, of r_i - 1 for a middle size, else of r_i.
        """
        if self.kind == "large":
            x = self._without_c(g, some, room)
        else:
            x = self.minus_ell(g, some, room)
        if self.kind == "small":
            np.vecdot(phi_over_x(x), x, out=out)
        else:
            (np.expm1 if self.kind == "middle" else np.exp)(x, out=x)
            np.matmul(x, self._weight[some][..., None], out=out[..., None])


class _Total(NamedTuple):
    """How the sums over a cell follow from those over its parts.

    rows        the rows of the parts' sums
    small       the rows of parts with small l_i if the cell has other parts too; the sum of their
                l_i is subtracted, which leaves a sum of r_i - 1
    ones        the number of r_i that were summed without subtracting 1
    only_small  whether every l_i is small
    alike       whether all coordinates of the cell are alike
    """

    cell: _Cell
    rows: list[int]
    small: list[int]
    ones: int
    only_small: bool
    alike: bool

    @staticmethod
    def of(cell: _Cell, parts: Sequence[_Part], rows: list[int]) -> _Total:
        """The `_Total` of a cell with these parts, whose sums are in these rows."""
        small = [row for row, part in zip(rows, parts, strict=True) if part.kind == "small"]
        ones = sum(part.size for part in parts if part.kind in ("large", "far"))
        only_small = bool(small) and len(small) == len(rows)
        alike = all(part.alike for part in parts)
        return _Total(cell, rows, [] if only_small else small, ones, only_small, alike)


class FactorSums:
    """The sums over coordinates of several forms that share their draws.

    coefficients  (a, b, c) of every form, each of shape (coordinates,).
    signs         2 if the sums at the mirror images are wanted too, else 1.
    names         The names of the sums, in the order in which `finish` writes them.
    """

    def __init__(
        self,
        coefficients: Sequence[tuple[Vector, Vector, Vector]],
        signs: int,
        names: Sequence[str],
    ) -> None:
        self._names, self._exponentials = names, bool({"ratio", "k3"} & {*names})
        # If b is 0, a mirror image has the same sums as the sample itself.
        self._even = [i for i, (_, b, _) in enumerate(coefficients) if signs == 2 and not b.any()]
        cells = {
            (s, i): [*_parts((s, i), a, -b if s else b, c)]
            for i, (a, b, c) in enumerate(coefficients)
            for s in range(1 if i in self._even else signs)
        }
        parts = sorted(itertools.chain(*cells.values()), key=lambda part: part.way)
        self._stacks = [_Stack([*s]) for _, s in itertools.groupby(parts, lambda part: part.way)]
        row = {(part.cell, part.kind): i for i, part in enumerate(parts)}
        self._totals = [
            _Total.of(cell, some, [row[cell, part.kind] for part in some])
            for cell, some in cells.items()
        ]
        # If coordinates are alike, half the sum of l_i^2 is this combination of g's power sums.
        self._polynomial = np.zeros((signs, len(coefficients), 5))
        for part in parts:
            if part.alike:
                n, a, b, c = part.size, part.a, part.b, part.c
                powers = (n * c * c, 2.0 * b * c, b * b + 2.0 * a * c, 2.0 * a * b, a * a)
                self._polynomial[part.cell] = 0.5 * np.concatenate(powers)
        self._power_sums = "half_square" in names and any(part.alike for part in parts)
        nothing: Vector = np.empty(0)
        self._powers = self._remainder = self._ell = self._square = nothing
        self._half_squares = self._room = nothing

    def resize(self, replicates: int, units: int) -> None:
        """Make room for this number of replicates and units."""
        rows = sum(stack.parts for stack in self._stacks)
        self._remainder, self._ell, self._square = np.empty((3, rows, replicates, units))
        # There is one more place than units, since for a single one `einsum` would add up its terms
        # in another order.
        self._powers = np.ones((5, replicates, units + 1))
        self._half_squares = np.zeros((*self._polynomial.shape[:2], replicates, units + 1))

    def add(self, normals: Vector, replicate: int, start: int, stop: int) -> None:
        """Add the normals, shape (rows, coordinates), of the units from start to stop."""
        if self._room.size < max(normals.size, _NUMBERS):  # all forms share it: it stays in cache
            self._room = np.empty(max(normals.size, _NUMBERS))
        room, cells = self._room, (slice(None), replicate, slice(start, stop))
        if self._power_sums:
            self._add_powers(normals, self._powers[cells])
        remainder, sums, squares = self._remainder[cells], self._ell[cells], self._square[cells]
        row = 0
        with np.errstate(over="ignore"):  # r may be infinite
            for stack in self._stacks:
                g = normals if stack.columns is None else normals[:, stack.columns]
                if not stack.alike:
                    x = stack.minus_ell(g, slice(1), room)[0]
                    np.matmul(x, np.full(g.shape[1], -1.0), out=sums[row])
                    np.vecdot(x, x, out=squares[row])
                together = max(_NUMBERS // g.size, 1)
                for first in range(0, stack.parts if self._exponentials else 0, together):
                    some = slice(first, min(first + together, stack.parts))
                    stack.remainder(g, some, room, remainder[row + first : row + some.stop])
                row += stack.parts

    def _add_powers(self, g: Vector, out: Vector) -> None:
        """Write the sums over coordinates of g, g^2, g^3 and g^4; that of g^0 stays 1."""
        ones, x = np.ones(g.shape[1]), self._room[: g.size].reshape(g.shape)
        np.matmul(g, ones, out=out[1])
        np.multiply(g, g, out=x)
        np.matmul(x, ones, out=out[2])
        np.vecdot(x, x, out=out[4])
        x *= g
        np.matmul(x, ones, out=out[3])

    def finish(self, out: Vector, ell: Vector) -> None:
        """Write the sums to `out`, shape (names, signs, forms, replicates, units).

        `ell` has the log density ratios, shape (signs, forms, replicates, units).
        """
        rows = dict(zip(self._names, out, strict=True))
        if self._power_sums:
            flat = self._half_squares.reshape(-1, *self._half_squares.shape[2:])
            np.einsum("ik,k...->i...", self._polynomial.reshape(-1, 5), self._powers, out=flat)
            # Rounding may leave a negative number.
            np.abs(self._half_squares[..., :-1], out=rows["half_square"])
        for total in self._totals:
            if "half_square" in rows and not (self._power_sums and total.alike):
                np.multiply(
                    0.5, self._square[total.rows].sum(axis=0), out=rows["half_square"][total.cell]
                )
            if self._exponentials:
                self._ratio_and_k3(rows, total, ell[total.cell])
        for i in self._even:
            out[:, 1, i] = out[:, 0, i]

    def _ratio_and_k3(self, out: Mapping[str, Vector], block: _Total, ell: Vector) -> None:
        """Write the sums of r_i - 1 and of r_i - 1 + l_i, which differ by l."""
        total = self._remainder[block.rows[0]] if block.rows else np.zeros(ell.shape)
        for row in block.rows[1:]:
            total += self._remainder[row]
        for row in block.small:
            total -= self._ell[row]
        ratio, k3 = (out[name][block.cell] if name in out else total for name in ("ratio", "k3"))
        if block.only_small:
            k3[:] = total
            np.subtract(total, ell, out=ratio)
        else:
            np.subtract(total, block.ones, out=ratio)
            np.add(ratio, ell, out=k3)
