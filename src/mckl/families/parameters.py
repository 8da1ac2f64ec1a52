"""Reads the parameters of one side of a case. Every mistake is a ValueError with one line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.text import listed


class Synonym(NamedTuple):
    """Another name of a parameter.

    parameter   the family's own name
    convert     what makes the parameter's numbers from those given; None if they are the same
    above       a number above which the numbers to convert must be; None for any
    """

    parameter: str
    convert: Callable[[Vector], Vector] | None = None
    above: float | None = 0.0


def aliases(**names: str) -> dict[str, Synonym]:
    """The mere other names of parameters, which a text lists for each.

    >>> aliases(mean="mu loc")["loc"].parameter
    'mean'
    """
    return {name: Synonym(key) for key, text in names.items() for name in text.split()}


def spread_aliases(parameter: str, sd: float = 1.0) -> dict[str, Synonym]:
    """The names by which a law's standard deviation or variance is given in place of its scale.

    `sd` is the standard deviation of the law with scale 1.
    """
    scale = Synonym(parameter, lambda x: x / sd)
    square = Synonym(parameter, lambda x: np.sqrt(x) / sd)
    logarithm = Synonym(parameter, lambda x: np.exp(0.5 * x) / sd, above=None)
    return {
        "sd": scale, "std": scale, "stddev": scale, "var": square, "variance": square,
        "logvar": logarithm,
    }  # fmt: skip


def own_names(
    family: str, given: Mapping[str, Any], known: Collection[str], others: Mapping[str, Synonym]
) -> dict[str, Any]:
    """The parameters under the family's own names, `known`, with those of `others` converted.

    Raises ValueError for a name that the family does not have, and for two names of one parameter.
    """
    used: dict[str, str] = {}
    out = {}
    for name, value in given.items():
        parameter, convert, above = (
            Synonym(name) if name in known else others.get(name, Synonym(name))
        )
        if parameter not in known:
            near = difflib.get_close_matches(str(name), [*known, *others], 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{family}: unknown parameter {name}, expected {listed(known)}{meant}")
        if parameter in out:
            raise ValueError(f"{family}: {used[parameter]} and {name}, expected one of them")
        used[parameter], out[parameter] = name, value
        if convert is not None:
            numbers = parameter_numbers(family, name, value, above=above)
            with np.errstate(all="ignore"):
                converted = np.asarray(convert(numbers))
            out[parameter] = converted if converted.ndim else float(converted)
            if not np.isfinite(converted).all():
                text = shown_briefly(value)
                raise ValueError(f"{family}: {name} {text}, which gives no finite {parameter}")
    return out


def parameter_numbers(
    family: str,
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    zero: bool = False,
    infinite: bool = False,
    whole: bool = False,
    axes: int = 1,
) -> Vector:
    """The finite numbers of a scalar or a vector as an array of shape () or (length,).

    Raises ValueError for anything else, and for numbers not above `above`, below `least` or above
    `most`. With `zero`, the numbers are logarithms, and -inf, the logarithm of 0, is allowed. With
    `infinite`, they may be -inf or inf. With `whole`, they must be whole numbers. With two `axes`,
    lists of lists may be given.
    """
    expected = "a number or a list of numbers"
    try:
        out = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        text = shown_briefly(repr(value))
        raise ValueError(f"{family}: {name} {text}, expected {expected}") from None
    if out.ndim > axes or out.size == 0 or isinstance(value, (bool, str)):
        raise ValueError(f"{family}: {name} {shown_briefly(value)}, expected {expected}")
    conditions = [(np.isfinite(out), "a finite number")]
    if zero:
        conditions = [(np.isfinite(out) | (out == -np.inf), "a finite number, or -inf for no mass")]
    if infinite:
        conditions = [(~np.isnan(out), "a number, or an infinite one")]
    if above is not None:
        conditions.append((out > above, f"a number above {above:g}"))
    if least is not None:
        conditions.append((out >= least, f"a number of at least {least:g}"))
    if most is not None:
        conditions.append((out <= most, f"a number of at most {most:g}"))
    if whole:
        conditions.append((out == np.floor(out), "a whole number"))
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
