"""Bijections of numbers, in a normal form in which equal ones are equal.

KL is the same for q and p and for what one and the same bijection makes of both. A bijection is a
sequence of steps, the first applied first: e^x, log x, the logistic function 1 / (1 + e^-x), its
inverse, and shift + scale x. All others are made of these: x^k is e^(k log x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mckl.arrays import Vector
from mckl.families.parameters import one_length, parameter_numbers, shown_briefly
from mckl.families.wide import affine, log, quotient, times
from mckl.text import listed, nearest, quoted


class Step(NamedTuple):
    """One step: its name, and for ``affine`` the numbers of shift + scale x."""

    name: str
    shift: float = 0.0
    scale: float = 1.0

    def __call__(self, x: float) -> float:
        """The value at a number, which may be an infinite end of the interval."""
        if self.name == "affine":
            return self.shift + self.scale * x
        return _FUNCTIONS[self.name](x)


Maps = tuple[Step, ...]
Interval = tuple[float, float]

POSITIVE, UNIT = (0.0, math.inf), (0.0, 1.0)
EXP, LOG, LOGISTIC, LOGIT = map(Step, ("exp", "log", "logistic", "logit"))
_INVERSE = {EXP: LOG, LOG: EXP, LOGISTIC: LOGIT, LOGIT: LOGISTIC}
# Where the steps that are not defined everywhere are.
_DOMAINS: Mapping[Step, Interval] = {LOG: POSITIVE, LOGIT: UNIT}
_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "exp": lambda x: math.exp(x) if x < 700.0 else math.inf,
    "log": lambda x: math.log(x) if x > 0.0 else -math.inf,
    "logistic": lambda x: 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0,
    "logit": lambda x: math.log(x / (1 - x)) if 0.0 < x < 1.0 else (x - 0.5) * math.inf,
}  # fmt: skip


def shifted(shift: float, scale: float = 1.0) -> Step:
    """The step shift + scale x; the numbers may have the digits of `mckl.families.wide`."""
    return Step("affine", shift, scale)


def power(k: float) -> Maps:
    """x^k of a positive x."""
    return LOG, shifted(0.0, k), EXP


def then(maps: Maps, *steps: Step) -> Maps:
    """The steps after those of `maps`, in normal form.

    Neighbours are joined, and a factor of e^x becomes a shift of x.
    """
    for step in steps:
        maps = _then(maps, step)
    return maps


def _then(maps: Maps, step: Step) -> Maps:
    *before, last = maps or (None,)
    inner = tuple(before)
    if step.name != "affine":
        return inner if last is not None and _INVERSE.get(last) == step else (*maps, step)
    if (step.shift, step.scale) == (0.0, 1.0):
        return maps
    if last is None:
        return (step,)
    if last.name == "affine":
        shift = affine(step.shift, step.scale, last.shift)
        return then(inner, shifted(shift, times(step.scale, last.scale)))
    if last == EXP and abs(step.scale) != 1.0:
        inner = then(inner, shifted(log(abs(step.scale))), EXP)
        return then(inner, shifted(step.shift, math.copysign(1.0, step.scale)))
    if last == LOGISTIC and step.scale < 0.0:  # 1 - logistic(x) is logistic(-x)
        inner = then(inner, shifted(0.0, -1.0), LOGISTIC)
        return then(inner, shifted(step.shift + step.scale, -step.scale))
    return (*maps, step)


def inverse(maps: Maps) -> Maps:
    """The steps back, the first applied first."""
    return tuple(_inverse(step) for step in reversed(maps))


def _inverse(step: Step) -> Step:
    if step.name != "affine":
        return _INVERSE[step]
    scale = quotient(1.0, step.scale)
    return shifted(times(-step.shift, scale), scale)


def image(interval: Interval, maps: Maps) -> Interval:
    """The values of a map on an interval, as its ends."""
    for step in maps:
        first, second = (step(x) for x in interval)
        interval = min(first, second), max(first, second)
    return interval


def domain_text(interval: Interval) -> str:
    """An interval as messages show it.

    >>> domain_text((0.0, math.inf))
    '(0, inf)'
    """
    return f"({interval[0]:g}, {interval[1]:g})"


def check_bijection(interval: Interval, maps: Maps, steps: Sequence[Step], name: str) -> None:
    """Raise ValueError unless the steps are a bijection of the values of `maps` on an interval."""
    for step in steps:
        low, high = image(interval, maps)
        least, most = _DOMAINS.get(step, (-math.inf, math.inf))
        if low < least or high > most:
            raise ValueError(
                f"transform {name}: values on {domain_text((low, high))}, expected values on "
                f"{domain_text((least, most))}, on which it is a bijection"
            )
        maps = then(maps, step)


class Transform(NamedTuple):
    """A bijection that a case names.

    text   its name and numbers, for messages and results
    steps  a function of a coordinate's numbers -> its steps
    given  its numbers by name, shape () or (coordinates,)
    """

    text: str
    steps: Callable[..., Maps]
    given: Mapping[str, Vector] = {}

    @property
    def length(self) -> int | None:
        """The number of coordinates; None if the numbers are those of every coordinate."""
        return one_length(f"transform {self.text}", self.given)

    def of_coordinate(self, i: int) -> Maps:
        """The steps in coordinate i."""
        return self.steps(*(float(v if v.ndim == 0 else v[i]) for v in self.given.values()))


def _affine(shift: float, scale: float) -> Maps:
    return (shifted(shift, scale),)


# By name the numbers that a case gives, with their defaults, and the steps.
_KNOWN: Mapping[str, tuple[Mapping[str, float | None], Callable[..., Maps]]] = {
    "exp": ({}, lambda: (EXP,)),
    "log": ({}, lambda: (LOG,)),
    "logistic": ({}, lambda: (LOGISTIC,)),
    "logit": ({}, lambda: (LOGIT,)),
    "affine": ({"shift": 0.0, "scale": 1.0}, _affine),
    "power": ({"power": None}, power),
    "square": ({}, lambda: power(2.0)),
    "sqrt": ({}, lambda: power(0.5)),
    "reciprocal": ({}, lambda: power(-1.0)),
    "expm1": ({}, lambda: (EXP, shifted(-1.0))),
    "log1p": ({}, lambda: (shifted(1.0), LOG)),
    "softplus": ({}, lambda: (EXP, shifted(1.0), LOG)),
    "tanh": ({}, lambda: (shifted(0.0, 2.0), LOGISTIC, shifted(-1.0, 2.0))),
    "arctanh": ({}, lambda: (shifted(0.5, 0.5), LOGIT, shifted(0.0, 0.5))),
}
_ALIASES = {"sigmoid": "logistic", "expit": "logistic", "atanh": "arctanh", "inverse": "reciprocal"}


def transforms(given: Any) -> list[Transform]:
    """The transforms that a case names: by a name, a mapping of it to numbers, or a list of these.

    Raises ValueError with one line.
    """
    if isinstance(given, list | tuple):
        if not given:
            raise ValueError("transform: an empty list, expected a transform")
        return [transform for part in given for transform in transforms(part)]
    name, numbers = given, None
    if isinstance(given, Mapping) and len(given) == 1:
        ((name, numbers),) = given.items()
    known = _ALIASES.get(name, name) if isinstance(name, str) else ""
    if known not in _KNOWN:
        hint = (
            nearest(name, _KNOWN)
            if isinstance(name, str)
            else f"expected one of {listed([*_KNOWN])}"
        )
        shown = quoted(name) if isinstance(name, str) else shown_briefly(given)
        raise ValueError(f"transform: {shown} is not one that mckl knows: {hint}")
    return [_transform(known, numbers)]


def _transform(name: str, numbers: Any) -> Transform:
    expected, steps = _KNOWN[name]
    if numbers is None:
        numbers = {}
    elif not isinstance(numbers, Mapping):
        if len(expected) != 1:
            raise ValueError(
                f"transform {name}: {shown_briefly(numbers)}, expected {_wanted(expected)}"
            )
        numbers = dict.fromkeys(expected, numbers)
    for key in numbers:
        if key not in expected:
            raise ValueError(f"transform {name}: unknown {key}, expected {_wanted(expected)}")
    given = {}
    for key, default in expected.items():
        if key not in numbers and default is None:
            raise ValueError(f"transform {name}: {key} is missing")
        given[key] = value = parameter_numbers(f"transform {name}", key, numbers.get(key, default))
        if key != "shift" and not value.all():
            raise ValueError(f"transform {name}: {key} 0, expected another number")
    one_length(f"transform {name}", given)
    return Transform(name, steps, given)


def _wanted(expected: Mapping[str, Any]) -> str:
    return listed([*expected]) if expected else "no numbers"


def coordinates(given: Sequence[Transform], length: int | None) -> list[list[tuple[str, Maps]]]:
    """For each coordinate the transforms' names and steps; one item if it stands for any number."""
    lengths = {n for n in (length, *(t.length for t in given)) if n is not None}
    if len(lengths) > 1:
        text = listed([str(n) for n in sorted(lengths)])
        raise ValueError(f"transform: vectors of {text} numbers, expected one length")
    return [[(t.text, t.of_coordinate(i)) for t in given] for i in range(max(lengths, default=1))]
