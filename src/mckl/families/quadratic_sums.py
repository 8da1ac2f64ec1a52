"""Sums over the coordinates of a quadratic form of functions of l_i = c + a g^2 + b g.

The way in which a coordinate is evaluated depends on its coefficients alone, never on the draws, so
that a sample has the same sums to the last bit whichever samples are evaluated with it. Where no
likely g makes l_i large, r_i - 1 and -l_i agree in many digits, so r_i - 1 + l_i is summed by its
series. Where l_i is of medium size, r_i - 1 is expm1(-l_i), which keeps its digits. Elsewhere it is
e^-l_i less 1, which is faster. If all coordinates are equal, as in a sweep, the sums of l_i and of
its square follow from the power sums of g, which all forms share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector

_FAR = 9.0  # a standard normal exceeds it with a probability of 2e-19
_SMALL = 0.1  # the largest l_i for which the series is used
_SERIES = [(-1.0) ** k / math.factorial(k + 2) for k in range(10)]
_MIDDLE = 0.25  # the largest root of E l_i^2 for which r_i - 1 is computed by expm1
_LARGE = 300.0  # the largest l_i for which e^-l_i may be computed as e^-c times the rest


class _Coefficients:
    """The coordinates of one form that are evaluated in the same way.

    Coefficients that are all equal are kept as one number. `kind` is the way: ``small`` by the
    series, ``middle`` by expm1, ``large`` by e^-c times the exponential of the part that depends on
    g, and ``far`` by the exponential of the sum, as e^-c alone might overflow.
    """

    def __init__(
        self, a: Vector, b: Vector, c: Vector, where: NDArray[np.bool_], kind: str
    ) -> None:
        self.kind = kind
        self.columns = None if where.all() else np.flatnonzero(where)
        self.size = int(where.sum())
        self.a, self.b, self.c = (_alike(v[where]) for v in (a, b, c))
        self.ones = np.ones(self.size)
        weight = np.exp(-self.c) if kind == "large" else 1.0
        self.weight = np.ascontiguousarray(np.broadcast_to(weight, (self.size,)))

    @property
    def alike(self) -> bool:
        """Whether these are all the coordinates of the form, and all are equal."""
        return self.columns is None and all(np.ndim(v) == 0 for v in (self.a, self.b, self.c))

    def quadratic(self, g: Vector, sign: int, scale: float, room: Vector) -> Vector:
        """scale (a g^2 + b sign g) of each coordinate, shape (rows, coordinates), in `room`."""
        out = room[: g.size].reshape(g.shape)
        b = scale * sign * self.b
        if np.ndim(self.a) == 0 and self.a == 0.0:
            return np.multiply(g, b, out=out)
        np.multiply(g, scale * self.a, out=out)
        if np.ndim(b) > 0 or b != 0.0:
            out += b
        out *= g
        return out

    def ell(self, g: Vector, sign: int, room: Vector) -> Vector:
        """l_i of each coordinate, shape (rows, coordinates), in `room`."""
        out = self.quadratic(g, sign, 1.0, room)
        out += self.c
        return out

    def remainder(self, g: Vector, sign: int, room: Vector, out: Vector) -> None:
        """Write to `out`, shape (rows,), the sums that need an exponential.

        They are the sums of r_i - 1 + l_i for the kind ``small``, of r_i - 1 for ``middle``, and of
        r_i for the others.
        """
        if self.kind == "small":
            ell = self.ell(g, sign, room)
            np.vecdot(_series(ell), ell, out=out)
            return
        x = self.quadratic(g, sign, -1.0, room)
        if self.kind != "large":
            x -= self.c
        with np.errstate(over="ignore"):  # r may be infinite
            (np.expm1 if self.kind == "middle" else np.exp)(x, out=x)
        np.matmul(x, self.weight, out=out)


def _alike(v: Vector) -> Vector:
    return v[0] if (v == v[0]).all() else v


def _series(x: Vector) -> Vector:
    """(e^-x - 1 + x) / x for small x."""
    series = _SERIES[-1] * x
    for coefficient in _SERIES[-2:0:-1]:
        series += coefficient
        series *= x
    series += _SERIES[0]
    series *= x
    return np.asarray(series)


def _groups(a: Vector, b: Vector, c: Vector) -> list[_Coefficients]:
    """The coordinates of a form, grouped by the way in which they are evaluated."""
    reach = _FAR**2 * np.abs(a) + _FAR * np.abs(b) + np.abs(c)
    small = reach <= _SMALL
    middle = ~small & ((a + c) ** 2 + 2.0 * a * a + b * b <= _MIDDLE**2)
    far = reach > _LARGE
    kinds = {"small": small, "middle": middle, "large": ~(small | middle | far), "far": far}
    return [_Coefficients(a, b, c, where, kind) for kind, where in kinds.items() if where.any()]


class FactorSums:
    """The sums over coordinates of several forms that share their draws.

    Parameters
    ----------
    coefficients
        (a, b, c) of every form, each of shape (coordinates,).
    signs
        2 if the sums at the mirror images are wanted too, else 1.
    names
        The names of the sums, in the order in which `finish` writes them.
    """

    def __init__(
        self,
        coefficients: Sequence[tuple[Vector, Vector, Vector]],
        signs: int,
        names: Sequence[str],
    ) -> None:
        self._forms = [_groups(*c) for c in coefficients]
        self._signs, self._names = (1, -1)[:signs], names
        self._exponentials = bool({"ratio", "k3"} & {*names})
        self._alike = [len(groups) == 1 and groups[0].alike for groups in self._forms]
        nothing: Vector = np.empty(0)
        self._powers: Vector = nothing
        self._remainder: Vector = nothing
        self._ell: Vector = nothing
        self._square: Vector = nothing
        self._scratch: Vector = nothing
        self._room: Vector = nothing

    def resize(self, replicates: int, units: int) -> None:
        """Make room for the sums of so many replicates and units."""
        groups = max(map(len, self._forms))
        each = (len(self._signs), len(self._forms), groups, replicates, units)
        self._powers = np.empty((5, replicates, units))
        self._remainder, self._ell, self._square = (np.zeros(each) for _ in range(3))
        self._scratch = np.empty((replicates, units))

    def add(self, normals: Vector, replicate: int, start: int, stop: int) -> None:
        """Compute the sums of the units from start to stop, whose numbers are `normals`.

        `normals` has shape (rows, coordinates).
        """
        if self._room.size < normals.size:  # all forms share one array, which stays in cache
            self._room = np.empty(normals.size)
        room, here = self._room, (replicate, slice(start, stop))
        if any(self._alike):
            self._add_powers(normals, self._powers[(slice(None), *here)])
        for i, groups in enumerate(self._forms):
            for s, sign in enumerate(self._signs):
                for j, group in enumerate(groups):
                    g = normals if group.columns is None else normals[:, group.columns]
                    at = (s, i, j, *here)
                    if not self._alike[i]:
                        ell = group.ell(g, sign, room)
                        np.matmul(ell, group.ones, out=self._ell[at])
                        np.vecdot(ell, ell, out=self._square[at])
                    if self._exponentials:
                        group.remainder(g, sign, room, self._remainder[at])

    def _add_powers(self, g: Vector, out: Vector) -> None:
        """Sums of g^1 to g^4 over coordinates; the third and fourth only if squares are wanted."""
        np.matmul(g, np.ones(g.shape[1]), out=out[1])
        np.vecdot(g, g, out=out[2])
        if "half_square" in self._names:
            square = np.multiply(g, g, out=self._room[: g.size].reshape(g.shape))
            np.vecdot(square, g, out=out[3])
            np.vecdot(square, square, out=out[4])

    def finish(self, out: Vector) -> None:
        """Write the sums, shape (names, signs, forms, replicates, units)."""
        for i, groups in enumerate(self._forms):
            for s, sign in enumerate(self._signs):
                rows = dict(zip(self._names, out[:, s, i], strict=True))
                for row in rows.values():
                    row[:] = 0.0
                for j, group in enumerate(groups):
                    self._add_sums(rows, group, (s, i, j), sign)

    def _add_sums(
        self, rows: dict[str, Vector], group: _Coefficients, at: tuple[int, int, int], sign: int
    ) -> None:
        """Add the sums over the coordinates of a group."""
        ell, square = self._ell[at], self._square[at]
        if self._alike[at[1]]:
            n, a, b, c = group.size, group.a, sign * group.b, group.c
            self._polynomial((n * c, b, a), ell)
            if "half_square" in rows:
                of = (n * c * c, 2.0 * b * c, b * b + 2.0 * a * c, 2.0 * a * b, a * a)
                self._polynomial(of, square)
                np.maximum(square, 0.0, out=square)
        if "half_square" in rows:
            square *= 0.5
            rows["half_square"] += square
        if not self._exponentials:
            return
        remainder = self._remainder[at]
        # The remainder is the sum of r_i - 1 + l_i, of r_i - 1 or of r_i; that of l_i converts it.
        small = group.kind == "small"
        if group.kind in ("large", "far"):
            remainder -= group.size
        first, second = ("k3", "ratio") if small else ("ratio", "k3")
        if first in rows:
            rows[first] += remainder
        if second in rows:
            (np.subtract if small else np.add)(remainder, ell, out=remainder)
            rows[second] += remainder

    def _polynomial(self, coefficients: Sequence[Vector], out: Vector) -> None:
        """Write to `out` the first coefficient plus the others times the power sums of g."""
        out[:] = coefficients[0]
        for c, power in zip(coefficients[1:], self._powers[1:], strict=False):
            if c != 0.0:
                out += np.multiply(power, c, out=self._scratch)
