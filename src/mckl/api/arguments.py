"""Checks the arguments of the Python interface: numbers, whole numbers and names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

from mckl.errors import UserError
from mckl.limits import MOST_SAMPLES
from mckl.text import plain, quoted, shortened

if TYPE_CHECKING:
    from mckl.estimation.intervals import Request

BUDGET = 10**8  # the most samples that are drawn if nothing else is said
MOST_SEED = 2**128


def real(
    name: str, value: Any, expected: str, above: float = -math.inf, below: float = math.inf
) -> float:
    """The value, a number between `above` and `below`; raises `UserError` for anything else.

    >>> real("confidence", 0.9, "a number between 0 and 1", 0, 1)
    0.9
    """
    try:
        number = float(value) if not isinstance(value, bool) and isinstance(value, Real) else None
    except OverflowError:
        number = None
    if number is None or not above < number < below:
        raise UserError(f"{name}: {_shown(value)}, expected {expected}")
    return number


def whole_number(name: str, value: Any, least: int, most: int = MOST_SAMPLES) -> int:
    """The value, a whole number from `least` to `most`; raises `UserError` for anything else.

    >>> whole_number("budget", 1e6, 16)
    1000000
    """
    number: Any = value if not isinstance(value, bool) and isinstance(value, Real) else math.nan
    if not least <= number <= most or number != int(number):
        expected = f"a whole number from {least} to {most:.3g}"
        raise UserError(f"{name}: {_shown(value)}, expected {expected}")
    return int(number)


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """The value, one of these names; raises `UserError` for anything else."""
    names = [*choices]
    if not (isinstance(value, str) and value in names):
        raise UserError(f"{name}: {quoted(value)}, expected one of {', '.join(names)}")
    return value


def several(name: str, value: Any, example: str) -> list[str]:
    """The names in a sequence; raises `UserError` for one text alone and for anything else.

    >>> several("samplers", ("iid", "sobol"), "iid")
    ['iid', 'sobol']
    """
    try:
        names = [] if isinstance(value, str) else [*value]
    except TypeError:
        names = [value]
    if isinstance(value, str) or not all(isinstance(each, str) for each in names):
        raise UserError(f"{name}: {quoted(value)}, expected a list of names such as ['{example}']")
    return names


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return shortened(plain(value), 60) if isinstance(value, Real) else quoted(value)


def request_of(tolerance: float | None, absolute: float | None, confidence: float) -> Request:
    """The precision requested; raises `UserError` for numbers outside of their range, or both."""
    from mckl.estimation.intervals import Request

    if tolerance is not None and absolute is not None:
        raise UserError("tolerance and absolute: expected one of them")
    name, size = ("tolerance", tolerance) if absolute is None else ("absolute", absolute)
    size = 0.01 if size is None else size
    size = real(name, size, "a number greater than 0", 0.0)
    confidence = real("confidence", confidence, "a number between 0 and 1", 0.0, 1.0)
    return Request(size, absolute is None, confidence, MOST_SAMPLES)
