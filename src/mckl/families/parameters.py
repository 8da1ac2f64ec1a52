"""Reads the parameters of one side of a case. Every mistake is a ValueError with one line."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.text import listed


def check_names(family: str, given: Mapping[str, Any], names: Collection[str]) -> None:
    """Raise ValueError for a parameter that the family does not have."""
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{family}: unknown parameter {name}, expected {listed(names)}{meant}")


def parameter_numbers(
    family: str,
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    zero: bool = False,
) -> Vector:
    """The finite numbers of a scalar or a vector as an array of shape () or (length,).

    Raises ValueError for anything else, and for numbers not above `above`, below `least` or above
    `most`. With `zero`, the numbers are logarithms, and -inf, the logarithm of 0, is allowed.
    """
    expected = "a number or a list of numbers"
    try:
        out = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        text = shown_briefly(repr(value))
        raise ValueError(f"{family}: {name} {text}, expected {expected}") from None
    if out.ndim > 1 or out.size == 0 or isinstance(value, (bool, str)):
        raise ValueError(f"{family}: {name} {shown_briefly(value)}, expected {expected}")
    conditions = [(np.isfinite(out), "a finite number")]
    if zero:
        conditions = [(np.isfinite(out) | (out == -np.inf), "a finite number, or -inf for no mass")]
    if above is not None:
        conditions.append((out > above, f"a number above {above:g}"))
    if least is not None:
        conditions.append((out >= least, f"a number of at least {least:g}"))
    if most is not None:
        conditions.append((out <= most, f"a number of at most {most:g}"))
    for met, expected in conditions:
        if not met.all():
            place = int(np.argmin(met))
            which = f" (number {place + 1} of {out.size})" if out.size > 1 else ""
            raise ValueError(f"{family}: {name} {out.flat[place]:g}{which}, expected {expected}")
    return out


def one_length(family: str, vectors: Mapping[str, Vector]) -> int | None:
    """The common length of the vectors, None where all are scalars; ValueError if they differ."""
    lengths = {name: v.size for name, v in vectors.items() if v.ndim}
    if len(set(lengths.values())) > 1:
        text = listed([f"{n} numbers of {name}" for name, n in lengths.items()])
        raise ValueError(f"{family}: {text}, expected one length, or a scalar for all coordinates")
    return next(iter(lengths.values()), None)


def missing(family: str, name: str) -> ValueError:
    """The error for a parameter that has no default and is not given."""
    return ValueError(f"{family}: {name} is missing")


def shown_briefly(value: Any) -> str:
    """A value as text, cut after 40 characters."""
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
