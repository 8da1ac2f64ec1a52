"""`from_log_probs` estimates KL from log-probabilities of samples of q."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from mckl.api.arguments import request_of
from mckl.api.conversion import as_cells, real_cells
from mckl.arrays import Cells, Lists
from mckl.errors import UserError
from mckl.estimation.given.answer import answer
from mckl.estimation.given.blocks import VALUES
from mckl.estimation.given.estimates import KLFromLogProbs
from mckl.estimation.given.groups import KLByGroup
from mckl.estimation.given.layout import IDS, Layout


def from_log_probs(
    log_q: Any,
    log_p: Any,
    *,
    sequence: Any = None,
    cluster: Any = None,
    full_kl: Any = None,
    log_sampler: Any = None,
    mask: Any = None,
    group: Any = None,
    tolerance: float | None = None,
    absolute: float | None = None,
    confidence: float = 0.95,
    estimator: str | None = None,
) -> KLFromLogProbs | KLByGroup:
    """Estimate KL(q||p) from log-probabilities of samples of q.

    Arrays may be of NumPy, torch, TensorFlow, JAX, pandas, Polars or Arrow, and lists of tokens may
    be of Python or of any of these. Logarithms must be natural.

    Parameters
    ----------
    log_q, log_p
        The log-probabilities of the samples under q and under p, in nats, shape (samples,). For
        tokens of sequences, the shape is (tokens,) with `sequence`, or (sequences, tokens), with
        `mask` if sequences differ in length, or a list of tokens for each sequence. Tokens that are
        missing (None or masked) in all arrays do not count.
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
        the shape of `log_q`. Samples then have the weights q/s, and `log_q` may be -inf where q
        is 0.
    mask
        True for the tokens that count, in the shape of `log_q`.
    group
        The id of the group of each sample, token or sequence, such as a training step. Then each
        group has an answer of its own.
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
    KLByGroup
        With `group`, such an answer for each group, in the order in which they appear.

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
    layout = Layout()
    columns = columns_of(
        layout,
        log_q=log_q,
        log_p=log_p,
        sequence=sequence,
        cluster=cluster,
        full_kl=full_kl,
        log_sampler=log_sampler,
        mask=mask,
        group=group,
    )
    if not columns["log_q"].size:
        raise UserError(
            "log_q: no values, expected at least one sample" if mask is None
            else "mask: no token counts"
        )  # fmt: skip
    request = request_of(tolerance, absolute, confidence)
    return answer([columns], columns, request, estimator, layout)


def columns_of(layout: Layout, **given: Any) -> dict[str, NDArray[Any]]:
    """The arrays of `from_log_probs` as columns of one length; raises `UserError` as it does."""
    columns = {
        name: (real_cells if name in VALUES else as_cells)(name, values)
        for name, values in given.items() if values is not None
    }  # fmt: skip
    for name in ("log_q", "log_p"):
        if name not in columns:
            raise UserError(f"{name}: missing")
    shape = _shape(columns["log_q"])
    for name, cells in columns.items():
        kind = (cells.values if isinstance(cells, Lists) else cells).dtype
        if name in IDS and kind.kind not in "biufSUOM":
            raise UserError(f"{name}: ids of type {str(kind)[:60]}, expected numbers or texts")
        one = f"({len(columns['log_q'])},)"
        if _shape(cells) != shape and not (name in IDS and _shape(cells) == one):
            each = "sequence" if isinstance(columns["log_q"], Lists) else "row"
            expected = f"{one}: one id a {each}" if name in IDS else f"{shape} as of log_q"
            raise UserError(f"{name}: shape {_shape(cells)}, expected {expected}")
    flat = layout.flat(columns)
    if "full_kl" in flat and "sequence" not in flat:
        raise UserError("full_kl: only with sequences, expected sequence as well")
    return flat


def _shape(cells: Cells) -> str:
    """The shape as a text, such as (2, 3), or (2, lists) for lists of different lengths."""
    if not isinstance(cells, Lists):
        return str(cells.shape)
    equal = len(cells) and (cells.lengths == cells.lengths[0]).all()
    return f"({len(cells)}, {cells.lengths[0] if equal else 'lists'})"
