"""Reads the transforms of torch and the bijectors of TensorFlow Probability (TFP) as names of ours.

As for distributions, an object is recognised by the name of its class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mckl.api.conversion import as_numpy
from mckl.arrays import Vector

# The name of a transform, and its numbers by name.
Step = tuple[str, Mapping[str, Vector]]

# In both libraries; those of torch end with `Transform`.
_PLAIN = {
    "Exp": "exp", "Log": "log", "Sigmoid": "logistic", "Tanh": "tanh", "Softplus": "softplus",
    "Square": "square", "Reciprocal": "reciprocal", "Expm1": "expm1", "Log1p": "log1p",
}  # fmt: skip
_INVERSE: Mapping[str, Sequence[str]] = {
    "exp": ("log",), "log": ("exp",), "logistic": ("logit",), "logit": ("logistic",),
    "tanh": ("arctanh",), "arctanh": ("tanh",), "softplus": ("expm1", "log"), "square": ("sqrt",),
    "sqrt": ("square",), "reciprocal": ("reciprocal",), "expm1": ("log1p",), "log1p": ("expm1",),
}  # fmt: skip


def steps_of(value: Any) -> list[Step] | None:
    """The steps of a bijection, the first applied first; None for one that has no name here."""
    name = type(value).__name__.removesuffix("Transform")
    if name in _PLAIN:
        unlike = any(getattr(value, key, None) is not None for key in ("low", "high"))
        unlike |= getattr(value, "hinge_softness", None) is not None
        return None if unlike else [(_PLAIN[name], {})]
    read = _READERS.get(name)
    return None if read is None else read(value)


def _numbers(value: Any) -> Vector:
    return np.asarray(as_numpy("transform", value), np.float64)


def _affine(**names: str) -> Callable[[Any], list[Step]]:
    return lambda value: [
        ("affine", {key: _numbers(getattr(value, name)) for key, name in names.items()})
    ]


def _scale(value: Any) -> list[Step]:
    by_log = getattr(value, "log_scale", None)
    scale = _numbers(value.scale) if by_log is None else np.exp(_numbers(by_log))
    return [("affine", {"scale": scale})]


def _power(value: Any) -> list[Step]:
    return [
        ("power", {"power": _numbers(getattr(value, "exponent", getattr(value, "power", 1.0)))})
    ]


def _joined(parts: Sequence[Any]) -> list[Step] | None:
    out: list[Step] = []
    for part in parts:
        steps = steps_of(part)
        if steps is None:
            return None
        out += steps
    return out


def _inverted(value: Any) -> list[Step] | None:
    steps = steps_of(value)
    return None if steps is None else [s for step in reversed(steps) for s in _inverse(step)]


def _inverse(step: Step) -> list[Step]:
    name, numbers = step
    if name in _INVERSE:
        return [(other, {}) for other in _INVERSE[name]]
    if name == "power":
        return [("power", {"power": 1.0 / numbers["power"]})]
    scale, shift = numbers.get("scale", np.array(1.0)), numbers.get("shift", np.array(0.0))
    return [("affine", {"shift": -shift}), ("affine", {"scale": 1.0 / scale})]


_READERS: Mapping[str, Callable[[Any], list[Step] | None]] = {
    "Affine": _affine(shift="loc", scale="scale"),
    "Shift": _affine(shift="shift"),
    "Scale": _scale,
    "Power": _power,
    "Identity": lambda value: [],
    "Compose": lambda value: _joined(value.parts),
    "Chain": lambda value: _joined([*reversed(value.bijectors)]),  # the last is applied first
    "Independent": lambda value: steps_of(value.base_transform),
    "_Inverse": lambda value: _inverted(value._inv),
    "Invert": lambda value: _inverted(value.bijector),
}
