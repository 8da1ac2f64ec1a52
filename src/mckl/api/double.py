"""Distributions of torch and TensorFlow Probability (TFP) made again with float64 parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mckl.api.objects import given_first, library_of


def doubled(value: Any) -> Any:
    """The distribution with its parameters, as it holds them, in float64.

    A distribution that is not made from its parameters alone, such as one of transformed samples,
    is returned as it is.
    """
    library = library_of(value)
    try:
        if library == "torch":
            return _of_torch(value)
        if library == "tfp":
            return _of_tfp(value)
    except Exception:  # a class that does not follow its library's conventions
        return value
    return value


def _of_torch(value: Any) -> Any:
    """A torch distribution takes what its `arg_constraints` name, but one of probs and logits."""
    if hasattr(value, "reinterpreted_batch_ndims"):
        return type(value)(_of_torch(value.base_dist), value.reinterpreted_batch_ndims)
    names = [*value.arg_constraints]
    for rivals in (
        {"probs", "logits"}, {"covariance_matrix", "precision_matrix", "scale_tril"},
    ):  # fmt: skip
        if rivals & {*names}:
            holder = getattr(value, "_categorical", value)
            kept = given_first(holder, *rivals)
            names = [name for name in names if name not in rivals or name == kept]
    if not names:
        return value
    made = {name: getattr(value, name).detach().double() for name in names}
    return type(value)(**made, validate_args=False)


def _of_tfp(value: Any) -> Any:
    import tensorflow as tf

    made: Mapping[str, Any] = {
        name: _of_tfp(v) if library_of(v) == "tfp" else _cast(tf, getattr(value, name, v), v)
        for name, v in value.parameters.items()
    }
    return type(value)(**made)


def _cast(tf: Any, attribute: Any, given: Any) -> Any:
    """The attribute in float64 if it is of floating point, else the argument as it was given."""
    if given is None or isinstance(given, str | bool):
        return given
    held = attribute if tf.is_tensor(attribute) else given
    if tf.is_tensor(held):
        return tf.cast(held, tf.float64) if held.dtype.is_floating else held
    array = np.asarray(held)
    return np.asarray(array, np.float32).astype(np.float64) if array.dtype.kind == "f" else held
