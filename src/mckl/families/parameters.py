"""Reads the parameters of one side of a case. Every mistake is a ValueError with one line."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.text import listed


def check_names(family: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise ValueError for a parameter that the family does not have."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{family}: unknown parameter {name}, expected {listed(known)}{meant}")


def numbers(
    family: str,
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> Vector:
    """The finite numbers of a scalar or a vector as an array of shape () or (length,).

    Raises ValueError for anything else, and for numbers not above `above`, below `least` or above
    `most`.
    """
    expected = "a number or a list of numbers"
    try:
        out = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{family}: {name} {value!r}, expected {expected}") from None
    if out.ndim > 1 or out.size == 0 or isinstance(value, (bool, str)):
        raise ValueError(f"{family}: {name} {shown_briefly(value)}, expected {expected}")
    bound = ""
    good = np.isfinite(out)
    if above is not None:
        good, bound = good & (out > above), f" above {above:g}"
    if least is not None:
        good, bound = good & (out >= least), f" of at least {least:g}"
    if most is not None:
        good, bound = good & (out <= most), f"{bound} and at most {most:g}"
    if not good.all():
        wrong = float(np.atleast_1d(out)[~np.atleast_1d(good)][0])
        raise ValueError(f"{family}: {name} {wrong:g}, expected finite numbers{bound}")
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
