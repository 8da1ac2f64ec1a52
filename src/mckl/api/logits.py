"""`full_kl` computes the KL of each next token from the logits of two models."""

from __future__ import annotations

from typing import Any

import numpy as np

from mckl.api.conversion import real_numbers
from mckl.arrays import Vector
from mckl.errors import UserError

_AT_ONCE = 2**22  # logits that are in float64 at a time


def full_kl(logits_q: Any, logits_p: Any) -> Vector:
    """KL(q||p) of the next token over the whole vocabulary, in nats, for `from_log_probs`.

    It is computed in float64 and a piece at a time, so that logits of any precision and size do.

    Parameters
    ----------
    logits_q, logits_p
        The logits of the sampled and of the reference model at the same places, with one shape
        whose last axis is the vocabulary; they need not be normalised. A logit of -inf stands for
        the probability 0.

    Returns
    -------
    numpy.ndarray
        KL at each place, the shape without the last axis; inf where p is 0 and q is not.

    Raises
    ------
    ValueError
        For logits of unequal shapes, and places where no token has a finite logit.

    Examples
    --------
    >>> full_kl([[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [3.0, 2.0]]).round(6)
    array([0.120115, 0.      ])
    """
    shape = _shape("logits_q", logits_q)
    if (other := _shape("logits_p", logits_p)) != shape:
        what = "vocabularies" if shape[:-1] == other[:-1] else "shapes"
        raise UserError(f"logits_p: shape {other}, expected {shape} as of logits_q: {what} differ")
    if not shape or not shape[-1]:
        raise UserError(f"logits_q: shape {shape}, expected (..., vocabulary)")
    q, p = (
        (x if hasattr(x, "reshape") else np.asarray(x)).reshape(-1, shape[-1])
        for x in (logits_q, logits_p)
    )
    rows = max(1, _AT_ONCE // shape[-1])
    out = np.empty(q.shape[0])
    for start in range(0, out.size, rows):
        part = slice(start, start + rows)
        out[part] = _kl(
            _log_softmax("logits_q", q[part], start), _log_softmax("logits_p", p[part], start)
        )
    return out.reshape(shape[:-1])


def _shape(name: str, logits: Any) -> tuple[int, ...]:
    return tuple(logits.shape) if hasattr(logits, "shape") else real_numbers(name, logits).shape


def _log_softmax(name: str, logits: Any, before: int) -> Vector:
    given = real_numbers(name, logits).astype(np.float64)
    largest = given.max(axis=-1, keepdims=True)
    bad = ~np.isfinite(largest[:, 0])
    if bad.any():
        row = before + int(np.argmax(bad))
        raise UserError(
            f"{name}: place {row} has NaN, inf or no finite logit (places count from 0)"
        )
    given -= largest
    given -= np.log(np.exp(given).sum(axis=-1, keepdims=True))
    return given


def _kl(log_q: Vector, log_p: Vector) -> Vector:
    with np.errstate(invalid="ignore"):
        terms = np.exp(log_q) * (log_q - log_p)
    # Rounding leaves a KL of 0 a little below it.
    kl: Vector = np.where(log_q == -np.inf, 0.0, terms).sum(axis=-1)
    return np.maximum(kl, 0.0)
