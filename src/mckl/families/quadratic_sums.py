"""Sums over the coordinates of a quadratic form of functions of l_i = c + a g^2 + b g.

How a coordinate is evaluated depends on its coefficients alone, never on the draws, so that the
sums of a sample have the same bits wherever it stands. Where no likely g makes l_i large, r_i - 1
and -l_i agree in many digits, and r_i - 1 + l_i is summed by its series. Where l_i is of a middle
size, r_i - 1 keeps its digits as expm1(-l_i); elsewhere e^-l_i less 1, which is faster, does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector

_FAR = 9.0  # a standard normal is farther out with a probability of 2e-19
_SMALL = 0.1  # an l_i up to which the series is used
_SERIES = [(-1.0) ** k / math.factorial(k + 2) for k in range(10)]
_MIDDLE = 0.25  # the root of E l_i^2 up to which r_i - 1 is not e^-l_i less 1
_LARGE = 300.0  # beyond, c and what depends on g are added up before the exponential


class CoordinateSums:
    """Sums of the coordinates of one form.

    Parameters
    ----------
    a, b, c
        The coefficients, shape (coordinates,).
    """

    def __init__(self, a: Vector, b: Vector, c: Vector) -> None:
        reach = _FAR**2 * np.abs(a) + _FAR * np.abs(b) + np.abs(c)
        small = reach <= _SMALL
        middle = ~small & ((a + c) ** 2 + 2.0 * a * a + b * b <= _MIDDLE**2)
        self._groups: list[tuple[Callable[..., dict[str, Vector]], _Group]] = [
            (function, _Group(a, b, c, where, bool(reach[where].max() > _LARGE)))
            for function, where in (
                (_of_small, small),
                (_of_middle, middle),
                (_of_others, ~(small | middle)),
            )
            if where.any()
        ]

    def __call__(self, g: Vector, sign: int) -> Mapping[str, Vector]:
        """The sums by name at sign g; g has shape (rows, coordinates)."""
        total: dict[str, Vector] = {}
        for function, group in self._groups:
            x = g if group.columns is None else g[:, group.columns]
            for name, values in function(group, x, sign).items():
                total[name] = total[name] + values if name in total else values
        return total


class _Group:
    """Some coordinates; coefficients that are all alike are one number."""

    def __init__(
        self, a: Vector, b: Vector, c: Vector, where: NDArray[np.bool_], far: bool
    ) -> None:
        self.columns = None if where.all() else np.flatnonzero(where)
        self.size = int(where.sum())
        self.a, self.b, self.c = (_alike(v[where]) for v in (a, b, c))
        self.far = far
        self.ones = np.ones(self.size)
        self.each_c = np.broadcast_to(self.c, (self.size,))
        self.sum_c, self.sum_c2 = float(self.each_c.sum()), float(self.each_c @ self.each_c)
        with np.errstate(over="ignore"):
            self.weight = self.ones if far else np.exp(-self.each_c)
        self._buffer = np.empty((0, self.size))

    def quadratic(self, g: Vector, sign: int) -> Vector:
        """Each a g^2 + b sign g, shape (rows, coordinates); valid until the next call."""
        if len(self._buffer) < len(g):
            self._buffer = np.empty(g.shape)
        out = self._buffer[: len(g)]
        if np.ndim(self.a) == 0 and self.a == 0.0:
            return np.multiply(g, sign * self.b, out=out)
        np.multiply(g, self.a, out=out)
        out += sign * self.b
        out *= g
        return out


def _alike(v: Vector) -> Vector:
    return v[0] if (v == v[0]).all() else v


def _of_small(group: _Group, g: Vector, sign: int) -> dict[str, Vector]:
    ell = group.quadratic(g, sign)
    ell += group.c
    series = _SERIES[-1] * ell
    for coefficient in _SERIES[-2:0:-1]:
        series += coefficient
        series *= ell
    series += _SERIES[0]
    series *= ell
    k3 = np.vecdot(series, ell)
    return {
        "half_square": 0.5 * np.vecdot(ell, ell),
        "ratio": k3 - ell @ group.ones,
        "k3": k3,
    }


def _of_middle(group: _Group, g: Vector, sign: int) -> dict[str, Vector]:
    x = group.quadratic(g, sign)
    x += group.c
    square, ell = np.vecdot(x, x), x @ group.ones
    np.negative(x, out=x)
    with np.errstate(over="ignore"):
        np.expm1(x, out=x)
    ratio = x @ group.ones
    return {"half_square": 0.5 * square, "ratio": ratio, "k3": ratio + ell}


def _of_others(group: _Group, g: Vector, sign: int) -> dict[str, Vector]:
    x = group.quadratic(g, sign)
    square = np.vecdot(x, x) + 2.0 * (x @ group.each_c) + group.sum_c2
    ell = x @ group.ones + group.sum_c
    if group.far:
        x += group.c
    np.negative(x, out=x)
    with np.errstate(over="ignore"):  # an infinite r is one
        np.exp(x, out=x)
    ratio = x @ group.weight - group.size
    return {"half_square": 0.5 * square, "ratio": ratio, "k3": ratio + ell}


class FactorSums:
    """The sums over coordinates of several forms that share their draws.

    Parameters
    ----------
    coefficients
        (a, b, c) of every form.
    names
        Of the sums, in the order in which they are given out.
    """

    def __init__(
        self,
        coefficients: Sequence[tuple[Vector, Vector, Vector]],
        signs: int,
        names: Sequence[str],
    ) -> None:
        self._forms = [CoordinateSums(*c) for c in coefficients]
        self._signs, self._names = (1, -1)[:signs], names
        self._out = np.empty(0)

    def resize(self, replicates: int, units: int) -> None:
        """Make room for so many replicates and units."""
        shape = (len(self._names), len(self._signs), len(self._forms), replicates, units)
        self._out = np.empty(shape)

    def add(self, normals: Vector, replicate: int, start: int, stop: int) -> None:
        """Take in the numbers, shape (rows, coordinates), of units start to stop."""
        for i, form in enumerate(self._forms):
            for s, sign in enumerate(self._signs):
                sums = form(normals, sign)
                for j, name in enumerate(self._names):
                    self._out[j, s, i, replicate, start:stop] = sums[name]

    def finish(self, out: Vector) -> None:
        """Write the sums, shape (names, signs, forms, replicates, units)."""
        out[:] = self._out
