"""Parameters that are computed from those given, with twice the digits of float64.

A Weibull law of scale s is a law of log x with the location log s. Rounded to float64, the
locations of two nearly equal laws would lose the digits by which they differ.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

_CONTEXT = Context(prec=50)


class Wide(float):
    """The number `float(x) + low`. It is that float, but sums and products keep `low`."""

    low: float

    def __new__(cls, value: float, low: float = 0.0) -> Wide:
        out = super().__new__(cls, value)
        out.low = low
        return out

    def __add__(self, other: Any) -> Any:
        return affine(other, 1.0, self) if _is_number(other) else float(self) + other

    __radd__ = __add__

    def __neg__(self) -> Wide:
        return Wide(-float(self), -self.low)

    def __abs__(self) -> Wide:
        return -self if self < 0.0 else self

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        return times(self, other) if _is_number(other) else float(self) * other

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, float | int):
            return NotImplemented
        return float(self) == float(other) and self.low == getattr(other, "low", 0.0)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((float(self), self.low))


def log(x: float) -> float:
    """The natural logarithm of a positive number.

    >>> log(3.0) == math.log(3.0), float(log(3.0)) == math.log(3.0)
    (False, True)
    """
    return _number(_decimal(x).ln(_CONTEXT))


def times(x: float, y: float) -> float:
    """The product of two numbers."""
    return affine(0.0, x, y)


def affine(shift: float, scale: float, x: float) -> float:
    """shift + scale x."""
    return _number(_CONTEXT.fma(_decimal(scale), _decimal(x), _decimal(shift)))


def quotient(x: float, y: float) -> float:
    """x / y."""
    return _number(_CONTEXT.divide(_decimal(x), _decimal(y)))


def _decimal(x: float) -> Decimal:
    return _CONTEXT.add(Decimal(float(x)), Decimal(getattr(x, "low", 0.0)))


def _number(x: Decimal) -> float:
    """The number as a float, with a low part unless this is 0."""
    value = float(x)
    low = float(_CONTEXT.subtract(x, Decimal(value))) if math.isfinite(value) else 0.0
    return Wide(value, low) if low else value


def _is_number(x: Any) -> bool:
    return isinstance(x, float | int) and math.isfinite(x)
