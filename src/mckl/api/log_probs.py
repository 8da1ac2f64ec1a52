"""`from_log_probs` estimates KL from log-probabilities of samples of q."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.api.arguments import request_of
from mckl.api.conversion import as_numpy, real_numbers
from mckl.errors import UserError
from mckl.estimation.given.answer import answer
from mckl.estimation.given.estimates import KLFromLogProbs


def from_log_probs(
    log_q: Any,
    log_p: Any,
    *,
    sequence: Any = None,
    cluster: Any = None,
    full_kl: Any = None,
    log_sampler: Any = None,
    mask: Any = None,
    tolerance: float | None = None,
    absolute: float | None = None,
    confidence: float = 0.95,
    estimator: str | None = None,
) -> KLFromLogProbs:
    """Estimate KL(q||p) from log-probabilities of samples of q.

    Arrays may be of NumPy, torch, TensorFlow, JAX or pandas. Logarithms must be natural.

    Parameters
    ----------
    log_q, log_p
        The log-probabilities of the samples under q and under p, in nats, shape (samples,). For
        tokens of sequences, the shape is (tokens,) with `sequence`, or (sequences, tokens), with
        `mask` if sequences differ in length.
    sequence
        The id of each token's sequence, shape (tokens,). The tokens of a sequence must follow each
        other.
    cluster
        What is independent, if sequences are not: the id of each sequence's cluster, such as its
        prompt or its episode, shape (sequences,), or (tokens,) with `sequence`. The sequences of a
        cluster may come in any order. Without sequences, the id of each sample's cluster.
    full_kl
        KL(q(. | before) || p(. | before)) over the whole vocabulary at each token, in nats, in the
        shape of `log_q`. It adds the estimator `rb` and needs sequences.
    log_sampler
        The log-probabilities of the samples under the law s that drew them, if this was not q, in
        the shape of `log_q`. Samples then have the weights q/s.
    mask
        True for the tokens that count, in the shape of a two-dimensional `log_q`.
    tolerance, absolute
        The half-width of the interval, relative to KL (1 % by default) or in nats, for which the
        answer says how many samples are needed.
    confidence
        The confidence of the intervals, between 0 and 1.
    estimator
        The name of the estimator to trust if it has an interval; by default one by token if there
        are sequences, and k1 where p/q is in doubt.

    Returns
    -------
    KLFromLogProbs
        All estimates, in nats. An interval is withheld, with a reason, if the diagnostics find a
        fault (diagnostics.md).

    Raises
    ------
    ValueError
        For arrays of different shapes, values that a sample of q cannot have, and ids of sequences
        that return. The message is one line.

    Notes
    -----
    Samples of s are self-normalised, and standard errors of ratios follow from the delta method;
    see A. B. Owen, "Monte Carlo theory, methods and examples" (2013), chapter 9.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(1).normal(size=10_000)  # q is standard normal; p has mean 0.1
    >>> found = from_log_probs(-0.5 * z**2, -0.5 * (z - 0.1) ** 2)
    >>> found.trusted, bool(found.interval[0] < 0.005 < found.interval[1])
    ('k1', True)
    """
    columns = columns_of(
        log_q,
        log_p,
        sequence=sequence,
        cluster=cluster,
        full_kl=full_kl,
        log_sampler=log_sampler,
        mask=mask,
    )
    request = request_of(tolerance, absolute, confidence)
    return answer([columns], columns, request, estimator)


def columns_of(
    log_q: Any,
    log_p: Any,
    *,
    sequence: Any = None,
    cluster: Any = None,
    full_kl: Any = None,
    log_sampler: Any = None,
    mask: Any = None,
) -> dict[str, NDArray[Any]]:
    """The arrays of `from_log_probs` as columns of one length; raises `UserError` as it does."""
    given = {"log_q": log_q, "log_p": log_p, "full_kl": full_kl, "log_sampler": log_sampler}
    columns = {
        name: real_numbers(name, values) for name, values in given.items() if values is not None
    }
    for name in ("log_q", "log_p"):
        if name not in columns:
            raise UserError(f"{name}: missing")
    shape = columns["log_q"].shape
    for name, column in columns.items():
        if column.shape != shape:
            raise UserError(f"{name}: shape {column.shape}, expected {shape} as of log_q")
    if len(shape) not in (1, 2):
        raise UserError(f"log_q: shape {shape}, expected (samples,) or (sequences, tokens)")
    if not columns["log_q"].size:
        raise UserError("log_q: no values, expected at least one sample")
    ids, clusters = _ids("sequence", sequence), _ids("cluster", cluster)
    if len(shape) == 2:
        columns, ids = _flattened(columns, ids, mask)
        if clusters is not None:
            _check_shape("cluster", clusters, shape[:1], "sequence")
            clusters = clusters[ids]
    elif mask is not None:
        raise UserError("mask: only with arrays of shape (sequences, tokens)")
    for name, given_ids in (("sequence", ids), ("cluster", clusters)):
        if given_ids is not None:
            _check_shape(name, given_ids, columns["log_q"].shape, "row")
            columns[name] = given_ids
    if ids is None and full_kl is not None:
        raise UserError("full_kl: only with sequences, expected sequence as well")
    return columns


def _ids(name: str, values: Any) -> NDArray[Any] | None:
    ids = None if values is None else as_numpy(name, values)
    if ids is not None and ids.dtype.kind not in "biufSUOM":
        raise UserError(f"{name}: ids of type {str(ids.dtype)[:60]}, expected numbers or texts")
    return ids


def _check_shape(name: str, ids: NDArray[Any], shape: tuple[int, ...], each: str) -> None:
    if ids.shape != shape:
        raise UserError(f"{name}: shape {ids.shape}, expected {shape}: one id a {each}")


def _flattened(
    columns: Mapping[str, NDArray[Any]], ids: NDArray[Any] | None, mask: Any
) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """The tokens of all rows in one column, and the row's number as the id of each sequence."""
    shape = columns["log_q"].shape
    if ids is not None:
        raise UserError("sequence: not with arrays of shape (sequences, tokens): each row is one")
    given = np.ones(shape, bool) if mask is None else as_numpy("mask", mask)
    if given.shape != shape:
        raise UserError(f"mask: shape {given.shape}, expected {shape} as of log_q")
    keep = given.astype(bool)
    if given.dtype.kind not in "biuf" or not (given == keep).all():
        raise UserError("mask: expected True or False, or 1 or 0")
    if not keep.any():
        raise UserError("mask: no token counts")
    rows = np.repeat(np.arange(shape[0]), keep.sum(axis=1))
    return {name: column[keep] for name, column in columns.items()}, rows
