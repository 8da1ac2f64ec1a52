"""Checks rows of log-probabilities, and computes l of each row, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.errors import UserError

# Rows of a block. Fewer would spend more time in Python calls, more would not stay in cache.
ROWS = 2**16
# The columns with a number for each row.
VALUES = ("log_q", "log_p", "log_ratio", "log_sampler", "full_kl")


class RowError(UserError):
    """What is wrong with a value of a column; `row` is its row in the piece, counted from 0."""

    name: str
    row: int
    why: str

    def __init__(self, name: str, row: int, why: str) -> None:
        self.name, self.row, self.why = name, row, why
        super().__init__(f"{name}: row {row} {why} (rows count from 0)")


class Block(NamedTuple):
    """Consecutive rows; each field has shape (rows,).

    ell         log q - log p, in nats
    sequence    the id of each row's sequence, of any type that compares; None without sequences
    log_weight  log q - log s if the samples are of another law s, -inf where q is 0, whose l is
                then 0, as it has no weight; None if the samples are of q
    log_sampled log s - log p if the samples are of another law s; None if they are of q
    full_kl     KL(q(. | before) || p(. | before)) of each row's token, in nats; None if not given
    cluster     the id of each row's cluster, within which sequences depend on each other; None if
                all sequences, or samples, are independent
    """

    ell: Vector
    sequence: Any = None
    log_weight: Vector | None = None
    log_sampled: Vector | None = None
    full_kl: Vector | None = None
    cluster: Any = None


def blocks(columns: Iterable[Mapping[str, Any]]) -> Iterator[Block]:
    """The blocks of the data, which come as pieces: mappings of columns by name.

    The columns are `log_q` and `log_p`, or `log_ratio`; and, if they are given, `sequence`,
    `cluster`, `log_sampler` and `full_kl`. Raises `RowError` for a value that a sample of q, or of
    the sampler's law, cannot have. A sample of another law may have q = 0.
    """
    for before, given in _cut(columns):
        real = {name: np.asarray(given[name], np.float64) for name in VALUES if name in given}
        weighted = "log_sampler" in real and "log_q" in real
        zero = real["log_q"] == -math.inf if weighted else None
        for name, values in real.items():
            fine = np.isfinite(values)
            if zero is not None and name in ("log_q", "log_p"):
                fine |= zero & (values == -math.inf)
            if not fine.all():
                _refuse(name, values, fine, before)
            if name in _MASKED:
                counted = values if zero is None else np.where(zero, 0.0, values)
                _refuse_masked(name, counted, before, "sequence" in given, weighted)
        if "log_ratio" in real:
            ell = real["log_ratio"]
        elif zero is None:
            ell = real["log_q"] - real["log_p"]
        else:
            ell = np.zeros_like(real["log_q"])
            np.subtract(real["log_q"], real["log_p"], out=ell, where=~zero)
        if "full_kl" in real and real["full_kl"].min(initial=0.0) < -1e-6:
            row = int(np.argmin(real["full_kl"]))
            why = f"is {real['full_kl'][row]:g}, and no KL is negative"
            raise RowError("full_kl", before + row, why)
        weight = real["log_q"] - real["log_sampler"] if weighted else None
        sampled = real["log_sampler"] - real["log_p"] if weighted else None
        ids, clusters = (ids_of(name, given.get(name), before) for name in ("sequence", "cluster"))
        yield Block(ell, ids, weight, sampled, real.get("full_kl"), clusters)


def _cut(columns: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Parts of the pieces, each with the number of the piece's rows before it."""
    for piece in columns:
        rows = len(next(iter(piece.values())))
        for start in range(0, rows, ROWS):
            yield start, {name: column[start : start + ROWS] for name, column in piece.items()}


def ids_of(name: str, ids: Any, before: int = 0) -> Any:
    """The ids of sequences, clusters or groups; raises `RowError` where a row has none."""
    if ids is None:
        return None
    ids = np.asarray(ids)
    lacks = ids != ids if ids.dtype.kind == "f" else np.zeros(ids.size, bool)
    if ids.dtype == object:
        lacks = np.array([i is None or i != i for i in ids.tolist()], bool)
    if lacks.any():
        raise RowError(name, before + int(np.argmax(lacks)), "has no id")
    return ids


_INFINITE = "KL is infinite where p = 0 and q > 0"
_ZERO = "a sample of q cannot have q = 0; if another law drew it, give log_sampler"
# The meaning of an infinite value, by column: first for -inf, then for inf.
_MEANINGS = {
    "log_q": (_ZERO, "expected finite numbers"),
    "log_p": (_INFINITE, "expected finite numbers"),
    "log_ratio": (
        "a sample of q cannot have q = 0; of another law, give log_q, log_p and log_sampler",
        _INFINITE,
    ),
    "log_sampler": ("no sample can have the probability 0", "expected finite numbers"),
    "full_kl": ("no KL is negative", "KL is infinite, whatever the samples say"),
}


# A masked logit is often not -inf but one of these, or lower than any token's log-probability.
_MASKED = {"log_q": _ZERO, "log_p": _INFINITE}
_NO_TOKEN, _LOWEST = -1e4, (np.finfo(np.float32).min, np.finfo(np.float64).min)


def _refuse_masked(name: str, values: Vector, before: int, tokens: bool, weighted: bool) -> None:
    """Raise `UserError` for a value that stands for a masked logit."""
    row = int(np.argmin(values))
    value = float(values[row])
    if value > _NO_TOKEN:
        return
    # Rounding and the log normaliser move a power of ten such as -1e9 by little.
    power = 10.0 ** round(math.log10(-value))
    if tokens or value in _LOWEST or (power >= 1e8 and abs(value + power) < 1e-7 * power):
        zero = weighted and name == "log_q"
        why = "expected -inf where q = 0" if zero else _MASKED[name]
        raise RowError(name, before + row, f"is {value:g}, as of a masked logit: {why}")


def _refuse(name: str, values: Vector, fine: NDArray[np.bool_], before: int) -> NoReturn:
    row = int(np.argmin(fine))
    value = values[row]
    meaning = "" if np.isnan(value) else _MEANINGS[name][int(value > 0)]
    raise RowError(name, before + row, f"is {value:g}: {meaning}" if meaning else "is not a number")
